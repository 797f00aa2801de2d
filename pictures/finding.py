"""Finds faces that a hole has damaged, and how they come into the model's frame.

A face is a set of landmarks that an affine map has brought into the frame, where they scatter around their means: those
of the eyes by half a pixel, those of the jaw by seven, and neighbours together. The map found is the one under which
the visible landmarks are the likeliest; where all can be seen it is nearly align.py's, which moves three into place.
Once the hole is filled by it, with a face, all landmarks can be seen, after a fashion, and the map is found anew: what
belongs into the hole and where the face is are refined in turns. This helps the visible landmarks, too, which dlib
finds together with the hidden ones.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import dlib
import numpy as np

from pictures.faces import HUGE, FaceFinder, chained, face_transform, filled, inverse
from pictures.photos import covered, shrunk

LOOK = 1200  # pixels of a photo's longer side, at first; faces of 40 pixels are found in it
CLEAR = 0.3  # dlib's score from which on a face is one for sure; badges and the like come up to it
CLOSE = 600  # pixels of the longer side at the last look, four times enlarged
# dlib's score of what may be a face if the hole is in it, and at the last look; it takes for a face what is above 0.
DOUBTFUL, FAINT = -0.7, -1.0
MOST = 0.5  # of the hole lies in the square of what is doubtful and yet taken for a face
# Deviations of dlib's landmarks from where they should be, in shares of the frame's side.
SEEN, GUESSED = 1 / 64, 12 / 64
LANDMARKS = "innerEyesAndBottomLip"  # of align.py, as the bundled model's faces were aligned
AROUND, ENOUGH = 1, 250  # sides of dlib's box around it where its hole is filled, and the box's pixels there at least
SMALL, MAYBE, SAME = 400, -0.5, 0.4  # pixels of a close-up that is enlarged once; dlib's score; of two boxes' union
REACH = 0.02  # of the side of dlib's box: what is nearer to the hole is guessed

Fill = Callable[[np.ndarray, np.ndarray, list[np.ndarray]], np.ndarray]
"""Of a photo, uint8 [H, W, 3], which pixels are known, bool [H, W], and transforms [N, 2, 3] into the frame: the photo
with its hole filled where these faces are, uint8 [H, W, 3]."""
Look = tuple[Fill, bool]
"""How the hole is filled, and whether so well that the face's box is looked for anew, too."""


def damaged_faces(
    finder: FaceFinder,
    photo: np.ndarray,
    known: np.ndarray,
    size: int,
    looks: Sequence[Look] = (),
    everywhere: bool = False,
) -> list[np.ndarray]:
    """[2, 3] for each face of a photo, uint8 [H, W, 3], whose aligned square meets the hole, the surest first.

    All faces if nothing is hidden, or if they are to be found `everywhere`. The hole is where bool [H, W] is not
    `known`; what is hidden there has no say.
    size: the side of the frame. looks: how the landmarks in the hole are made visible, time after time.
    """
    shown, whole = filled(photo, known), everywhere or known.all()
    for scored in _looks(finder, shown):
        found = [(score, box, _transform(finder.landmarks(shown, box), known, box, size)) for box, score in scored]
        sure = [transform for score, _, transform in found if score > 0]
        if whole and sure:
            return [transform for score, _, transform in found if score > CLEAR] or sure[:1]
        chosen = _meeting(found, ~known, size)
        if chosen:
            return [_again(finder, photo, known, *each, size, looks) for each in chosen]
    return []


def _meeting(found: Sequence[tuple], hole: np.ndarray, size: int) -> list[tuple[dlib.rectangle, np.ndarray]]:
    """Those of (score, box, transform), surest first, whose squares meet the hole, bool [H, W], without their scores.

    What is doubtful only if most of those parts of the hole lies in its square that no surer face meets.
    """
    _, parts = cv2.connectedComponents(cv2.dilate(hole.astype(np.uint8), np.ones((5, 5), np.uint8)))
    chosen, rest = [], hole
    for score, box, transform in found:
        inside = covered(hole.shape, [transform], size)
        if (inside & hole).any() and (score > 0 or (inside & rest).sum() > MOST * rest.sum()):
            chosen.append((box, transform))
            rest = rest & ~np.isin(parts, np.unique(parts[inside & hole]))
    return chosen


def _again(
    finder: FaceFinder,
    photo: np.ndarray,
    known: np.ndarray,
    box: dlib.rectangle,
    transform: np.ndarray,
    size: int,
    looks: Sequence[Look],
) -> np.ndarray:
    """[2, 3]: the map of the face in the box, of which `transform` is a guess, found by filling the hole.

    In a face so filled the likeliest map and align.py's err in different ways: their mean is nearer than either.
    """
    photo, known, box, closer = _close_up(photo, known, box)
    transform = chained(transform, inverse(closer))
    for fill, well in looks if known.any() else ():
        whole = fill(photo, known, [transform])
        box = _same_face(finder, whole, box) if well else box
        landmarks = finder.landmarks(whole, box)
        transform = (_transform(landmarks, known, box, size) + face_transform(landmarks, LANDMARKS, size)) / 2
    return chained(transform, closer)


def _same_face(finder: FaceFinder, photo: np.ndarray, box: dlib.rectangle) -> dlib.rectangle:
    """The likeliest box in the photo, uint8 [H, W, 3], of the face that another look saw in `box`; that if none is."""
    boxes, _, _ = finder.detector.run(photo, int(max(photo.shape) < SMALL), MAYBE)
    common = ((each, each.intersect(box).area()) for each in boxes)
    return next((each for each, both in common if both > SAME * (each.area() + box.area() - both)), box)


def _close_up(
    photo: np.ndarray, known: np.ndarray, box: dlib.rectangle
) -> tuple[np.ndarray, np.ndarray, dlib.rectangle, np.ndarray]:
    """What is around the box of a photo, uint8 [H, W, 3], in pixels large enough to find landmarks by; which of them
    are known, bool [H, W]; the box there, and the map [2, 3] from the photo. The rest of a large photo takes time.
    """
    reach = round(AROUND * box.width())
    left, top = max(0, box.left() - reach), max(0, box.top() - reach)
    near = np.s_[top : max(0, box.bottom()) + reach + 1, left : max(0, box.right()) + reach + 1]
    photo, known, to_small = shrunk(photo[near], known[near], box.width() // ENOUGH)
    closer = chained(to_small, np.array([[1.0, 0, -left], [0, 1, -top]]))
    corners = (closer @ (x, y, 1) for x, y in ((box.left(), box.top()), (box.right(), box.bottom())))
    return photo, known, dlib.rectangle(*np.concatenate([*corners]).round().astype(int)), closer


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


def _transform(landmarks: np.ndarray, known: np.ndarray, box: dlib.rectangle, size: int) -> np.ndarray:
    """[2, 3]: the map of the face in the box, by those of its landmarks that are `known`, into a frame of `size`."""
    landmarks = landmarks.astype(float)
    reach = max(1, round(REACH * box.width()))
    left, top = np.floor(landmarks.min(axis=0)).astype(int) - reach
    right, bottom = np.ceil(landmarks.max(axis=0)).astype(int) + reach + 1
    # What lies beyond the photo is hidden, too.
    around = np.zeros((bottom - top, right - left), np.uint8)
    inside = known[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    around[max(0, -top) :, max(0, -left) :][: inside.shape[0], : inside.shape[1]] = inside
    seen = cv2.erode(around, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8), borderValue=0)
    x, y = landmarks.round().astype(int).T
    return size * likeliest(landmarks, seen[y - top, x - left] > 0)


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
