"""Finds faces that a hole has damaged, and how they come into the model's frame.

An undamaged face comes there as by align.py. For others dlib's detector looks at the photo with its hole smoothly
filled. Its box is a guess at how the face comes into the frame. A network that is told what is hidden moves this guess
into place, and others around it; where they end apart there is no face, unless dlib is sure. Once the hole is filled
with a face dlib's landmarks can be seen, after a fashion, and the map is found by them. A face is a set of landmarks
that an affine map has brought into the frame, where they scatter around their means: those of the eyes by half a pixel,
those of the jaw by seven, and neighbours together. The map under which the visible landmarks are the likeliest and
align.py's, which moves three into place, err in different ways there: their mean is nearer than either.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import dlib
import numpy as np

from faces.compositing import close_up, covered, pixel_side
from faces.detector import HUGE, FaceFinder, chained, displacement, face_transform, filled, in_sides, inverse
from faces.placing import SIDE, placed, surroundings

LOOK = 1200  # pixels of a photo's longer side, at first; faces of 40 pixels are found in it
CLEAR = 0.3  # dlib's score from which on a face is one for sure; badges and the like come up to it
CLOSE = 600  # pixels of the longer side at the last look, four times enlarged
# dlib's score of what may be a face, and at the last look; it takes for a face what is above 0.
DOUBTFUL, FAINT = -0.7, -1.0
# In 64ths of the frame's side. What is not clear and scatters more (see `placed`) is no face: of 99 damaged ones five
# do, three of which were placed wrong, and of 45 boxes in photos without a face 38.
SCATTER = 1.0
SAME = 10  # 64ths: what is no further apart is one face
LANDMARKS = "innerEyesAndBottomLip"  # of align.py, as the bundled models' faces were aligned
# From dlib's box to the frame, the sides of both being 1: the median of 2,600 damaged faces.
BOX = np.array([[1.09, 0, -0.06], [0, 1.13, -0.18]])
# Deviations of dlib's landmarks from where they should be, in shares of the frame's side.
SEEN, GUESSED = 1 / 64, 12 / 64
ENOUGH = 250  # pixels of the frame's side at least, where landmarks are looked for
REACH = 0.02  # of the frame's side: what is nearer to the hole is guessed

Fill = Callable[[np.ndarray, np.ndarray, list[np.ndarray]], np.ndarray]
"""Of a photo, uint8 [H, W, 3], which pixels are known, bool [H, W], and transforms [N, 2, 3] into the frame: the photo
with its hole filled where these faces are, uint8 [H, W, 3]."""


def damaged_faces(
    finder: FaceFinder, photo: np.ndarray, known: np.ndarray, size: int, fill: Fill, everywhere: bool = False
) -> list[np.ndarray]:
    """[2, 3] for each face of a photo, uint8 [H, W, 3], whose aligned square meets the hole, the surest first.

    All faces if nothing is hidden, or if they are to be found `everywhere`. The hole is where bool [H, W] is not
    `known`; what is hidden there has no say. size: the side of the frame. fill: makes the hidden landmarks visible.
    """
    shown, intact = filled(photo, known), known.all()

    def transform_of(box: dlib.rectangle, score: float) -> np.ndarray | None:
        guess = by_box(box, size)
        if not everywhere and not (covered(known.shape, [surroundings(guess, size)], SIDE) & ~known).any():
            return None
        transform, scatter = placed(photo, known, guess, size)
        if score <= CLEAR and scatter >= SCATTER:
            return None
        return face_transform(finder.landmarks(photo, box), LANDMARKS, size) if intact else transform

    for scored in _looks(finder, shown):
        found = [(score, each) for box, score in scored if (each := transform_of(box, score)) is not None]
        sure = [transform for score, transform in found if score > 0]
        if sure and (everywhere or intact):
            chosen = [transform for score, transform in found if score > CLEAR] or sure[:1]
        else:
            chosen = _meeting([transform for _, transform in found], ~known, size)
        if chosen:
            return chosen if intact else [_by_landmarks(finder, photo, known, each, size, fill) for each in chosen]
    return []


def _by_landmarks(
    finder: FaceFinder, photo: np.ndarray, known: np.ndarray, transform: np.ndarray, size: int, fill: Fill
) -> np.ndarray:
    """[2, 3]: the map of the face that `transform` puts roughly into place."""
    photo, known, closer = close_up(photo, known, transform, size, ENOUGH)
    if not known.any():
        return transform
    guess = chained(transform, inverse(closer))
    intact = known.all()
    landmarks = finder.landmarks(photo if intact else fill(photo, known, [guess]), box_of(guess, size))
    by_three = face_transform(landmarks, LANDMARKS, size)
    if intact:
        return chained(by_three, closer)
    seen = _visible(landmarks, known, max(1, round(REACH * size * pixel_side(guess))))
    return chained((size * likeliest(landmarks, seen) + by_three) / 2, closer)


def _visible(landmarks: np.ndarray, known: np.ndarray, reach: int) -> np.ndarray:
    """bool [68]: which landmarks, [68, 2] (x, y), have nothing but `known` pixels, bool [H, W], within the reach."""
    x, y = landmarks.T
    inside = (x >= 0) & (y >= 0) & (x < known.shape[1]) & (y < known.shape[0])
    # What lies beyond the photo is hidden, too.
    seen = cv2.erode(known.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8), borderValue=0)
    return inside & (seen[y * inside, x * inside] > 0)


def by_box(box: dlib.rectangle, size: int) -> np.ndarray:
    """[2, 3]: how the face in dlib's box comes into a frame of `size` pixels, as a rule."""
    width, height = box.width(), box.height()
    into_box = np.array([[1 / width, 0, (0.5 - box.left()) / width], [0, 1 / height, (0.5 - box.top()) / height]])
    return chained(inverse(in_sides(size)), chained(BOX, into_box))


def box_of(transform: np.ndarray, size: int) -> dlib.rectangle:
    """The box of which `by_box` makes such a transform, nearly, for dlib's boxes are upright squares."""
    into_box = chained(inverse(BOX), chained(in_sides(size), transform))
    side = pixel_side(into_box)
    left, top = inverse(into_box) @ (0.5, 0.5, 1) - (side - 1) / 2
    return dlib.rectangle(round(left), round(top), round(left + side - 1), round(top + side - 1))


def _meeting(found: Sequence[np.ndarray], hole: np.ndarray, size: int) -> list[np.ndarray]:
    """Those of the transforms, the surest first, whose squares meet the hole, bool [H, W]; each face once."""
    chosen: list[np.ndarray] = []
    for transform in found:
        meets = (covered(hole.shape, [transform], size) & hole).any()
        if meets and all(displacement(transform, other, size) > SAME for other in chosen):
            chosen.append(transform)
    return chosen


def _looks(finder: FaceFinder, photo: np.ndarray) -> Iterator[list[tuple[dlib.rectangle, float]]]:
    """Boxes in the photo and their scores, the highest first: from afar, close up if that differs, for the faint."""

    def look(longest: int, doublings: int, least: float) -> list[tuple[dlib.rectangle, float]]:
        scale = min(1, longest / max(photo.shape[:2]))
        height, width = (max(1, round(scale * n)) for n in photo.shape[:2])
        seen = photo if scale == 1 else cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
        boxes, scores, _ = finder.detector.run(seen, doublings, least)
        return [(dlib.scale_rect(box, 1 / scale), score) for box, score in zip(boxes, scores, strict=True)]

    yield look(LOOK, 1, DOUBTFUL)
    if max(photo.shape[:2]) > LOOK and photo.size < HUGE:
        yield look(max(photo.shape[:2]), 0, DOUBTFUL)
    yield look(CLOSE, 2, FAINT)


def likeliest(landmarks: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """[2, 3]: the affine map under which landmarks, [68, 2] (x, y), are likeliest in a frame of side 1.

    By least squares under the landmarks' covariance; only those `seen`, bool [68], have much of a say.
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
    """dlib's landmarks in align.py's frame, its side being 1: their means [68, 2] and covariance [136, 136].

    From 2,010 photos of Labeled Faces in the Wild, without the people held out (checkpoints/pretrained/README.md): the
    mean, the deviation of each number by itself, and the eight largest principal components of all.
    """
    table = np.loadtxt(Path(__file__).with_name("landmarks.csv"), delimiter=",")
    mean, alone, together = table[:, :2], table[:, 2:4].ravel(), table[:, 4:].reshape(2 * len(table), -1)
    return mean, together @ together.T + np.diag(alone**2)
