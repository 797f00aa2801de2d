"""Locates faces that a hole has damaged.

dlib's detector looks at the photo with its hole filled smoothly. Each box gives a guess of the face's frame. A small
network corrects the guess (faces/placing.py); if its answers scatter, the box is not a face, unless dlib is certain.
Then a short search with the model fills the hole, and dlib finds landmarks in the result. The final frame is the mean
of two estimates from these landmarks, because their errors differ:

- the map under which the visible landmarks are the most likely, given how landmarks of aligned faces scatter: those of
  the eyes by half a pixel, those of the jaw by seven, and neighbors together;
- align.py's map, which moves three landmarks to fixed places.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import dlib
import numpy as np

from faces.detector import HUGE, FaceFinder, face_transform, filled
from faces.frame import Frame, chained, inverse, to_unit
from faces.placing import placed, surroundings
from images.photo import Photo, shrunk_to

LOOK = 1200  # pixels of the longer side in the first look; shows faces of 40 pixels
CLEAR = 0.3  # dlib's score from which a face is certain; badges and the like score up to it
CLOSE = 600  # pixels of the longer side in the last look, which enlarges them four times
# Least scores that are considered, in the first looks and in the last one. dlib itself takes 0 as the limit.
DOUBTFUL, FAINT = -0.7, -1.0
# In 64ths of the frame's side. A box that is not CLEAR and scatters more (see `placed`) is not a face. This rejects
# 5 of 99 damaged faces, 3 of them placed wrong, and 38 of 45 boxes in photos without a face.
SCATTER = 1.0
SAME = 10  # 64ths: frames displaced by less show the same face
LANDMARKS = "innerEyesAndBottomLip"  # by which align.py aligned the faces of the bundled models
# The map from dlib's box to the frame, both of side 1: the median of 2,600 damaged faces.
BOX = np.array([[1.09, 0, -0.06], [0, 1.13, -0.18]])
# Standard deviations of landmarks from their true places, in shares of the frame's side: visible and hidden ones.
SEEN, GUESSED = 1 / 64, 12 / 64
ENOUGH = 250  # pixels: a larger frame is shrunk to about this side before its landmarks are found
REACH = 0.02  # of the frame's side: landmarks closer to the hole count as hidden

Fill = Callable[[Photo, Sequence[Frame]], np.ndarray]
"""Fills the hole of a photo, at least in these frames: returns uint8 [H, W, 3]."""


class Candidate(NamedTuple):
    """A box of dlib that may show a face."""

    score: float
    box: dlib.rectangle
    frame: Frame


def damaged_faces(finder: FaceFinder, photo: Photo, size: int, fill: Fill, everywhere: bool = False) -> list[Frame]:
    """The frames of `size` pixels of all faces that meet the photo's hole, the most certain first.

    everywhere: returns all certain faces, whether they meet the hole or not. fill: makes hidden landmarks visible.
    """
    for boxes in _looks(finder, photo):
        found = [each for box, score in boxes if (each := _candidate(photo, box, score, size, everywhere))]
        chosen = (_certain(found) if everywhere else []) or _meeting(found, photo)
        if chosen and photo.intact:
            return [by_landmarks(finder.landmarks(photo.pixels, each.box), size) for each in chosen]
        if chosen:
            return [_refined(finder, photo, each.frame, fill) for each in chosen]
    return []


def by_landmarks(landmarks: np.ndarray, size: int) -> Frame:
    """The frame of `size` pixels that align.py finds by three of a face's landmarks, [68, 2] (x, y)."""
    return Frame(face_transform(landmarks, LANDMARKS, size), size)


def _candidate(photo: Photo, box: dlib.rectangle, score: float, size: int, everywhere: bool) -> Candidate | None:
    """The face in the box; None if there is probably none, or it is surely too far from the hole."""
    guess = by_box(box, size)
    if not everywhere and not surroundings(guess).meets_hole(photo):
        return None
    frame, scatter = placed(photo, guess)
    return Candidate(score, box, frame) if score > CLEAR or scatter < SCATTER else None


def _certain(found: Sequence[Candidate]) -> list[Candidate]:
    """dlib's certain faces, or else its best guess."""
    return [each for each in found if each.score > CLEAR] or [each for each in found if each.score > 0][:1]


def _meeting(found: Sequence[Candidate], photo: Photo) -> list[Candidate]:
    """The faces whose frames meet the hole, each once."""
    chosen: list[Candidate] = []
    for each in found:
        new = all(each.frame.displacement(other.frame) > SAME for other in chosen)
        if new and each.frame.meets_hole(photo):
            chosen.append(each)
    return chosen


def _looks(finder: FaceFinder, photo: Photo) -> Iterator[list[tuple[dlib.rectangle, float]]]:
    """Boxes in the photo with their scores, the highest first: from afar, close up, and at last also faint ones.

    The look close up is skipped if it shows no more than the first one, or would take too much memory.
    """
    huge = photo.pixels.size >= HUGE
    smaller, _ = photo.shrunk(max(photo.shape) // LOOK if huge else 1)
    shown = filled(smaller.pixels, smaller.known)

    def look(longest: int, doublings: int, least: float) -> list[tuple[dlib.rectangle, float]]:
        seen = shrunk_to(shown, longest)
        boxes, scores, _ = finder.detector.run(seen, doublings, least)
        to_photo = max(photo.shape) / max(seen.shape[:2])
        return [(dlib.scale_rect(box, to_photo), score) for box, score in zip(boxes, scores, strict=True)]

    yield look(LOOK, 1, DOUBTFUL)
    if max(photo.shape) > LOOK and not huge:
        yield look(max(photo.shape), 0, DOUBTFUL)
    yield look(CLOSE, 2, FAINT)


def _refined(finder: FaceFinder, photo: Photo, rough: Frame, fill: Fill) -> Frame:
    """The frame of a damaged face by its landmarks. rough: a frame nearby."""
    near, closer = rough.close_up(photo, ENOUGH)
    if not near.known.any():
        return rough
    guess = rough.after(inverse(closer))
    landmarks = finder.landmarks(near.pixels if near.intact else fill(near, [guess]), box_of(guess))
    frame = by_landmarks(landmarks, rough.size)
    if not near.intact:
        seen = _visible(landmarks, near.known, max(1, round(REACH * guess.side)))
        frame = Frame((rough.size * likeliest(landmarks, seen) + frame.transform) / 2, rough.size)
    return frame.after(closer)


def _visible(landmarks: np.ndarray, known: np.ndarray, reach: int) -> np.ndarray:
    """bool [68]: which landmarks, [68, 2] (x, y), have only `known` pixels, bool [H, W], within `reach` pixels."""
    x, y = landmarks.T
    inside = (x >= 0) & (y >= 0) & (x < known.shape[1]) & (y < known.shape[0])
    # Pixels outside of the photo count as hidden.
    seen = cv2.erode(known.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8), borderValue=0)
    return inside & (seen[y * inside, x * inside] > 0)


def by_box(box: dlib.rectangle, size: int) -> Frame:
    """The usual frame, of `size` pixels, of the face in a box of dlib."""
    width, height = box.width(), box.height()
    into_box = np.array([[1 / width, 0, (0.5 - box.left()) / width], [0, 1 / height, (0.5 - box.top()) / height]])
    return Frame(chained(inverse(to_unit(size)), chained(BOX, into_box)), size)


def box_of(frame: Frame) -> dlib.rectangle:
    """The box that dlib would find in a frame: an upright square for which `by_box` is nearly the frame."""
    into_box = Frame(chained(inverse(BOX), chained(to_unit(frame.size), frame.transform)), 1)
    side = into_box.pixel_side
    left, top = into_box.back @ (0.5, 0.5, 1) - (side - 1) / 2
    return dlib.rectangle(round(left), round(top), round(left + side - 1), round(top + side - 1))


def likeliest(landmarks: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """[2, 3]: the affine map under which landmarks, [68, 2] (x, y), are the most likely in a frame of side 1.

    By least squares, weighted by the landmarks' covariance. seen: bool [68]; the other landmarks hardly count.
    """
    mean, covariance = _mean_face()
    noise = np.where(seen, SEEN, GUESSED).repeat(2)
    places = np.zeros((len(landmarks), 2, 2, 3))
    places[:, 0, 0] = places[:, 1, 1] = np.column_stack([landmarks, np.ones(len(landmarks))])
    white = np.linalg.inv(np.linalg.cholesky(covariance + np.diag(noise**2)))
    found, *_ = np.linalg.lstsq(white @ places.reshape(-1, 6), white @ mean.ravel(), rcond=None)
    return found.reshape(2, 3)


@lru_cache
def _mean_face() -> tuple[np.ndarray, np.ndarray]:
    """Mean [68, 2] and covariance [136, 136] of dlib's landmarks in align.py's frame of side 1.

    landmarks.csv has the mean, the deviation of each coordinate, and the eight largest principal components of 2,010
    photos of Labeled Faces in the Wild, without the people held out (checkpoints/pretrained/README.md).
    """
    table = np.loadtxt(Path(__file__).with_name("landmarks.csv"), delimiter=",")
    mean, alone, together = table[:, :2], table[:, 2:4].ravel(), table[:, 4:].reshape(2 * len(table), -1)
    return mean, together @ together.T + np.diag(alone**2)
