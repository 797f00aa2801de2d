"""Locates faces that a hole has damaged.

dlib's detector looks at the photo with its hole filled smoothly. Each box gives a guess of the face's frame. A small
network, the scout, corrects the guess, and scores how likely it is a face (faces/placing.py). Where this finds no face,
the scout scans the photo around its hole for more guesses. What several guesses lead to is more likely a face. Another
network places the face more precisely. Then a short search with the model fills the hole, and dlib finds landmarks in
the result. The final frame is the mean of two estimates from these landmarks, because their errors differ:

- the map under which the visible landmarks are the most likely, given how landmarks of aligned faces scatter: those of
  the eyes by half a pixel, those of the jaw by seven, and neighbors together;
- align.py's map, which moves three landmarks to fixed places.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import dlib
import numpy as np

from faces.detector import HUGE, Boxes, FaceFinder, face_transform, filled, look
from faces.frame import Frame, chained, inverse, to_unit
from faces.placing import Network, placed, scan, surroundings
from faces.together import Ask, Asking
from images.photo import Photo, shrunk_to

LOOK = 1200  # pixels of the longer side in the first look; shows faces of 40 pixels
CLEAR = 0.3  # dlib's score from which a face is certain; badges and the like score up to it
CLOSE = 600  # pixels of the longer side in the last look, which enlarges them four times
# Least scores that are considered, in the first looks and in the last one. dlib itself takes 0 as the limit.
DOUBTFUL, FAINT = -0.7, -1.0
# What is not CLEAR is a face if the scout's score, plus VOTE times the logarithm of how many guesses led to it, exceeds
# LIKELY. With these numbers, 181 of 192 damaged faces were found, and nothing in 185 holes beside faces.
LIKELY, VOTE = 6, 2
# A hole in a photo without a CLEAR face was probably made in one. So if nothing is LIKELY, the likeliest guess above
# this is taken: that found 7 more of 256 damaged faces, and something in 1 more of 198 photos without a face.
PLAUSIBLE = 3
SAME = 16  # 64ths: frames displaced by less show the same face
LANDMARKS = "innerEyesAndBottomLip"  # by which align.py aligned the faces of the bundled models
# The map from dlib's box to the frame, both of side 1: the median of 2,600 damaged faces.
BOX = np.array([[1.09, 0, -0.06], [0, 1.13, -0.18]])
# Standard deviations of landmarks from their true places, in shares of the frame's side: visible and hidden ones.
SEEN, GUESSED = 1 / 64, 12 / 64
ENOUGH = 250  # pixels: a larger frame is shrunk to about this side before its landmarks are found
REACH = 0.02  # of the frame's side: landmarks closer to the hole count as hidden


class CloseUp(NamedTuple):
    """The part of a photo around a face."""

    photo: Photo
    frame: Frame  # roughly the face's


Fill = Callable[[list[CloseUp]], Sequence[np.ndarray]]
"""Fills the holes of photos, at least in these frames: returns pictures, uint8 [H, W, 3]."""


class Candidate(NamedTuple):
    """What may be a face."""

    score: float  # dlib's
    box: dlib.rectangle
    frame: Frame
    likely: float  # the scout's score


@dataclass(frozen=True)
class Locator:
    """Locates faces of photos by frames of `size` pixels."""

    finder: FaceFinder
    network: Network  # places faces
    scout: Network  # finds them
    fill: Fill  # makes hidden landmarks visible
    size: int
    # Around a frame, in shares of its side: the hole has damaged a face that it meets with `margin`, and touches those
    # that it meets with `near`, which is not less.
    margin: float = 0
    near: float = 0

    def faces_at_hole(self, photo: Photo, everywhere: bool = False, seen: Boxes | None = None) -> Asking:
        """Returns the frames of all faces that the photo's hole touches, the most certain first.

        everywhere: returns all certain faces, whether they meet the hole or not. seen: by `first_look`, if known.
        """
        found: list[Candidate] = []
        any_clear = False
        for boxes in _looks(photo, seen):
            any_clear |= any(score > CLEAR for _, score in boxes)
            clear = [box for box, score in boxes if score > CLEAR] if everywhere else []
            if clear and photo.intact:
                return [self._intact(photo, box) for box in clear]
            for box, score in boxes:
                if score > CLEAR or not clear:
                    found += yield from self._candidates(photo, box, score, everywhere)
            faces = _likely(found)
            chosen = (_certain(faces) if everywhere else []) or _meeting(faces, photo, self.margin)
            if chosen and photo.intact:
                return [self._intact(photo, each.box) for each in chosen]
            if chosen:
                return (yield from self._all_refined(photo, chosen if everywhere else self._touched(faces, photo)))
        if photo.intact:
            return []
        for guess in (yield from scan(photo, self.size, self.scout)):
            found.append(Candidate(-np.inf, box_of(guess), *(yield from placed(photo, guess, self.scout))))
        chosen = self._touched(_likely(found), photo)
        if not (chosen or any_clear):
            chosen = self._touched(_likely(found, PLAUSIBLE), photo)[:1]
        return (yield from self._all_refined(photo, chosen))

    def _touched(self, faces: Sequence[Candidate], photo: Photo) -> list[Candidate]:
        return _meeting(faces, photo, self.near)

    def _intact(self, photo: Photo, box: dlib.rectangle) -> Frame:
        return by_landmarks(self.finder.landmarks(photo.pixels, box), self.size)

    def _candidates(self, photo: Photo, box: dlib.rectangle, score: float, everywhere: bool) -> Asking:
        """Returns what is in the box; nothing if it is surely too far from the hole."""
        guess = by_box(box, self.size)
        if not everywhere and not surroundings(guess).widened(self.near).meets_hole(photo):
            return []
        return [Candidate(score, box, *(yield from placed(photo, guess, self.scout)))]

    def _all_refined(self, photo: Photo, found: Sequence[Candidate]) -> Asking:
        frames = []
        for each in found:
            frames.append((yield from self._refined(photo, each.frame)))
        return frames

    def _refined(self, photo: Photo, rough: Frame) -> Asking:
        """Returns the frame of a damaged face by its landmarks. rough: a frame nearby."""
        rough, _ = yield from placed(photo, rough, self.network)
        near, closer = rough.close_up(photo, ENOUGH)
        if not near.known.any():
            return rough
        guess = rough.after(inverse(closer))
        shown = near.pixels if near.intact else (yield Ask(self.fill, CloseUp(near, guess)))
        landmarks = self.finder.landmarks(shown, box_of(guess))
        frame = by_landmarks(landmarks, rough.size)
        if not near.intact:
            seen = _visible(landmarks, near.known, max(1, round(REACH * guess.side)))
            frame = Frame((rough.size * likeliest(landmarks, seen) + frame.transform) / 2, rough.size)
        return frame.after(closer)


def by_landmarks(landmarks: np.ndarray, size: int) -> Frame:
    """The frame of `size` pixels that align.py finds by three of a face's landmarks, [68, 2] (x, y)."""
    return Frame(face_transform(landmarks, LANDMARKS, size), size)


def _likely(found: Sequence[Candidate], least: float = LIKELY) -> list[Candidate]:
    """Those that are faces, the most certain first: dlib's clear ones, and those likelier than `least`."""
    coarse = [each.frame.resized(8) for each in found]
    votes = [sum(frame.displacement(other) < SAME for other in coarse) for frame in coarse]
    likely = [each.likely + VOTE * np.log(count) for each, count in zip(found, votes, strict=True)]
    order = sorted(range(len(found)), key=lambda i: (max(found[i].score, CLEAR), likely[i]), reverse=True)
    return [found[i] for i in order if found[i].score > CLEAR or likely[i] > least]


def _certain(found: Sequence[Candidate]) -> list[Candidate]:
    """dlib's certain faces, or else its best guess."""
    return [each for each in found if each.score > CLEAR] or [each for each in found if each.score > 0][:1]


def _meeting(found: Sequence[Candidate], photo: Photo, margin: float) -> list[Candidate]:
    """The faces whose frames with their margin meet the hole, each once."""
    chosen: list[Candidate] = []
    for each in found:
        new = all(each.frame.displacement(other.frame) > SAME for other in chosen)
        if new and each.frame.widened(margin).meets_hole(photo):
            chosen.append(each)
    return chosen


def first_look(photo: Photo) -> Boxes:
    """dlib's boxes in a photo from afar, with its hole filled smoothly."""
    return _look(photo, LOOK, 1, DOUBTFUL)


def _looks(photo: Photo, seen: Boxes | None) -> Iterator[Boxes]:
    """Boxes in the photo: from afar, as `seen` if known; close up; and at last also faint ones.

    The look close up is skipped if it shows no more than the first one, or would take too much memory.
    """
    yield first_look(photo) if seen is None else seen
    if max(photo.shape) > LOOK and photo.pixels.size < HUGE:
        yield _look(photo, max(photo.shape), 0, DOUBTFUL)
    yield _look(photo, CLOSE, 2, FAINT)


def _look(photo: Photo, longest: int, doublings: int, least: float) -> Boxes:
    """Boxes in the photo, shrunk so that no side has more than `longest` pixels; others as in `look`."""
    smaller, _ = photo.shrunk(max(photo.shape) // LOOK if photo.pixels.size >= HUGE else 1)
    seen = shrunk_to(filled(smaller.pixels, smaller.known), longest)
    to_photo = max(photo.shape) / max(seen.shape[:2])
    return [(dlib.scale_rect(box, to_photo), score) for box, score in look(seen, doublings, least)]


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
    mean, alone, together = _mean_face()
    pairs = np.zeros((len(landmarks), 2, 2, 3))
    pairs[:, 0, 0] = pairs[:, 1, 1] = np.column_stack([landmarks, np.ones(len(landmarks))])
    places = pairs.reshape(-1, 6)
    # The covariance's inverse is one of the components' number, by Woodbury's formula.
    weight = 1 / (alone**2 + np.where(seen, SEEN, GUESSED).repeat(2) ** 2)
    weighted = weight * together.T
    among = np.linalg.inv(np.eye(len(weighted)) + weighted @ together)
    precise = weight * places.T - places.T @ weighted.T @ among @ weighted
    return np.linalg.solve(precise @ places, precise @ mean.ravel()).reshape(2, 3)


@lru_cache
def _mean_face() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean [68, 2] of dlib's landmarks in align.py's frame of side 1; deviations [136] and components [136, 8].

    landmarks.csv has the mean, the deviation of each coordinate, and the eight largest principal components of 2,010
    photos of Labeled Faces in the Wild, without the people held out (checkpoints/pretrained/README.md).
    """
    table = np.loadtxt(Path(__file__).with_name("landmarks.csv"), delimiter=",")
    return table[:, :2], table[:, 2:4].ravel(), table[:, 4:].reshape(2 * len(table), -1)
