"""Photos with a hole: their faces in the model's frame, and the completed faces back in the photo."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from faces.detector import chained, inverse, warp, warp_known
from images.incomplete import Incomplete
from images.spline import interpolated

FADE = 0.25  # of a frame's side: wide enough that no edge is to be seen
# Of a frame's side: a hole that goes on no farther ends with the frame, which is displaced by as much in most photos.
MARGIN = 0.03
GREY = (0.299, 0.587, 0.114)  # of red, green and blue, as Pillow weighs them


def in_frames(
    photo: np.ndarray, known: np.ndarray, transforms: Sequence[np.ndarray], size: int, c_dim: int = 3
) -> Incomplete:
    """The faces of a photo, uint8 [H, W, 3], in frames of `size` pixels, where `transforms` [N, 2, 3] bring them.

    A pixel of a face is known if it comes from nothing but `known` pixels of the photo, bool [H, W].
    """
    framed = [_in_frame(photo, known, transform, size) for transform in transforms]
    faces = np.stack([face for face, _ in framed])
    if c_dim == 1:
        faces = (faces @ np.array(GREY)).round().astype(np.uint8)[..., None]
    return Incomplete(faces, np.stack([mask for _, mask in framed]))


def _in_frame(photo: np.ndarray, known: np.ndarray, transform: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    # Or the pixels between those that are looked at would be lost.
    photo, known, to_small = shrunk(photo, known, int(pixel_side(transform)))
    transform = chained(transform, inverse(to_small))
    return warp(photo, transform, size, size), warp_known(known, transform, size, size)


def shrunk(photo: np.ndarray, known: np.ndarray, times: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The photo, uint8 [H, W, 3], with sides so many times shorter; which of its pixels are means of nothing but
    `known` ones, bool [H, W]; and the map [2, 3] of the photo's places to those in it.

    No shorter than one pixel; what is over at the right and below is left away.
    """
    times = max(1, min(times, *known.shape))
    if times > 1:
        height, width = (n // times for n in known.shape)
        photo, known = (whole[: height * times, : width * times] for whole in (photo, known))
        photo = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
        known = np.all(known.reshape(height, times, width, times), axis=(1, 3))
    shift = (1 - times) / (2 * times)  # the middle of the first pixel is place 0
    return photo, known, np.array([[1 / times, 0, shift], [0, 1 / times, shift]])


def close_up(
    photo: np.ndarray, known: np.ndarray, transform: np.ndarray, size: int, pixels: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What lies within a frame's side of where `transform` sees a face in a photo, uint8 [H, W, 3], the frame having so
    many pixels or more, if it has them; what of that is known, bool [H, W]; and the map [2, 3] of the photo's places to
    those there. The rest of a large photo takes time.
    """
    corners = square(transform, size)
    low, high = corners.min(axis=0), corners.max(axis=0)
    first = np.clip(np.floor(2 * low - high), 0, np.array(known.shape[::-1]) - 1).astype(int)
    left, top = first
    right, bottom = np.maximum(first + 1, np.ceil(2 * high - low).astype(int))
    near = np.s_[top:bottom, left:right]
    photo, known, smaller = shrunk(photo[near], known[near], int(pixel_side(transform) * size / pixels))
    return photo, known, chained(smaller, np.array([[1.0, 0, -left], [0, 1, -top]]))


def with_known(photo: np.ndarray, known: np.ndarray, transforms: Sequence[np.ndarray], size: int) -> list[np.ndarray]:
    """Those of the transforms that bring anything `known` into their frame."""
    return [each for each in transforms if in_frames(photo, known, [each], size).masks.any()]


def pixel_side(transform: np.ndarray) -> float:
    """How many pixels of the photo a pixel of the frame is wide."""
    return 1 / np.sqrt(abs(np.linalg.det(transform[:, :2])))


def square(transform: np.ndarray, size: int, margin: float = 0) -> np.ndarray:
    """[4, 2]: the corners (x, y) of the frame in the photo, wider by the margin, a share of its side, on each side."""
    low, high = -0.5 - margin * size, size - 0.5 + margin * size
    corners = np.array([[low, low], [high, low], [high, high], [low, high]])
    back = inverse(transform)
    return corners @ back[:, :2].T + back[:, 2]


def covered(shape: Sequence[int], transforms: Sequence[np.ndarray], size: int, margin: float = 0) -> np.ndarray:
    """bool [H, W] of that `shape`: which pixels of a photo lie in one of the frames, or within the margin."""
    inside = np.zeros(shape, np.uint8)
    for transform in transforms:
        cv2.fillConvexPoly(inside, square(transform, size, margin).round().astype(np.int32), 1)
    return inside > 0


def share_outside(known: np.ndarray, transforms: Sequence[np.ndarray], size: int) -> float:
    """How much of the hole, that is where bool [H, W] is not `known`, lies in none of the frames, 0 to 1."""
    return float((~known & ~covered(known.shape, transforms, size)).sum() / (~known).sum())


def hidden_by(shape: Sequence[int], mask: np.ndarray, transforms: Sequence[np.ndarray]) -> np.ndarray:
    """bool [H, W] of that `shape`: which pixels of a photo a mask of the frame, bool [size, size], hides.

    The mask is 1 where a pixel is known, and the same in each of the frames.
    """
    height, width = shape
    hidden = np.zeros((height, width), bool)
    for transform in transforms:
        back = inverse(transform)
        hidden |= cv2.warpAffine((~mask).astype(np.uint8), back, (width, height), None, cv2.INTER_NEAREST) > 0
    return hidden


def carried_back(
    photo: np.ndarray, known: np.ndarray, transforms: Sequence[np.ndarray], faces: np.ndarray, fade: float = FADE
) -> np.ndarray:
    """The photo, uint8 [H, W, 3], with the completed `faces`, uint8 [N, size, size, C], in its hole.

    Blended as in images/blending.py, at the photo's resolution. Outside every face the hole is filled by the spline
    alone, into which a face goes over within `fade` of its frame's side. known: bool [H, W]; these pixels stay as they
    are, and no other is read.
    """
    completed = photo.copy()
    for part, hole in regions(known):
        y = np.where(hole[..., None], 0, photo[part]).astype(np.float32)
        weight, weighted = _weighed(part, hole, transforms, faces, fade)
        # The spline through the photo, and that through what the photo differs from the faces by; the latter is added
        # to the faces, and where they end the former takes their place.
        both = interpolated(np.dstack([y, weight * y - weighted]), ~hole)
        x = weighted[hole] + (1 - weight[hole]) * both[:, :3] + both[:, 3:]
        completed[part][hole] = x.clip(0, 255).round()
    return completed


def regions(known: np.ndarray) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """The parts of the hole, that is of where bool [H, W] is not `known`, which have nothing to do with each other.

    Each as the box with the pixels that its spline depends on, and bool [h, w], where in the box it is.
    """
    around = cv2.dilate((~known).astype(np.uint8), np.ones((5, 5), np.uint8))
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(around)
    for label, (left, top, width, height, _) in enumerate(boxes[1:], 1):
        part = np.s_[top : top + height, left : left + width]
        yield part, ~known[part] & (labels[part] == label)


def _weighed(
    part: tuple[slice, ...], hole: np.ndarray, transforms: Sequence[np.ndarray], faces: np.ndarray, fade: float
) -> tuple[np.ndarray, np.ndarray]:
    """The `faces` in a part [h, w] of the photo, as the mean that is due to them there.

    Their weight [h, w, 1], which is 1 but towards where the `hole`, bool [h, w], leaves their frames and falls to 0
    there, and the mean times that, [h, w, 3]. Beyond a frame a face goes on as it is at the edge.
    """
    height, width = hole.shape
    weight, shares, mixed = (np.zeros((height, width, n), np.float32) for n in (1, 1, 3))
    size = faces.shape[1]
    middle = np.abs(np.arange(size) - (size - 1) / 2)
    depth = np.minimum.outer(size / 2 - middle, size / 2 - middle).astype(np.float32)
    for transform, face in zip(transforms, faces, strict=True):
        back = inverse(transform)
        back[:, 2] -= part[1].start, part[0].start
        inside = covered(hole.shape, [inverse(back)], size, MARGIN)
        if not (hole & inside).any():
            continue
        # Known pixels at most two away decide how the spline goes on from a place: beside those that the face does not
        # reach it has no weight.
        away = cv2.distanceTransform((~hole | inside).astype(np.uint8), cv2.DIST_L2, 5) - 2
        reach = np.float32(fade * size * pixel_side(transform))
        ramp = away.clip(0, reach) / reach
        due = (ramp**2 * (3 - 2 * ramp))[..., None]
        framed = np.dstack([np.broadcast_to(face, (size, size, 3)), depth]).astype(np.float32)
        large = cv2.warpAffine(framed, back, (width, height), None, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
        share = due * large[..., 3:].clip(0.5)
        weight = np.maximum(weight, due)
        shares += share
        mixed += share * large[..., :3]
    return weight, weight * mixed / np.maximum(shares, 1e-9)
