"""Where a face is in a photo: affine maps between the photo and the model's frame.

A map is an array [2, 3] that takes (x, y, 1) to a point. Coordinates count pixels; (0, 0) is the center of the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from images.photo import Part, Photo

CONTEXT = 0.25  # margin around a face that is shown apart, in shares of its frame's side
LARGE = 16_000_000  # pixels; of a larger photo only the part around a frame is shrunk
BLACK = cv2.BORDER_CONSTANT  # outside of a photo, as in OpenFace's aligned faces


def inverse(transform: np.ndarray) -> np.ndarray:
    """The inverse of an affine map [2, 3]."""
    return cv2.invertAffineTransform(transform)


def chained(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The affine map [2, 3] that applies `first`, then `second`."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def to_unit(size: int) -> np.ndarray:
    """[2, 3]: from pixels of a frame to shares of its side: its corners become (0, 0) and (1, 1)."""
    return np.array([[1 / size, 0, 0.5 / size], [0, 1 / size, 0.5 / size]])


def warp(photo: np.ndarray, transform: np.ndarray, width: int, height: int, outside: int = BLACK) -> np.ndarray:
    """uint8 [height, width, C]: a picture [H, W, C] under an affine map. outside: OpenCV's border mode."""
    return cv2.warpAffine(photo, transform, (width, height), borderMode=outside)


def warp_known(known: np.ndarray, transform: np.ndarray, width: int, height: int) -> np.ndarray:
    """bool [height, width]: which pixels of a warped photo depend on `known` pixels, bool [H, W], alone."""
    hidden = (~known).astype(np.float32)  # 8 bits would round small shares of hidden pixels away
    return cv2.warpAffine(hidden, transform, (width, height), borderValue=1) == 0


def around(frames: Sequence["Frame"], shape: Sequence[int]) -> Part:
    """The part of a photo [H, W] that shows the faces in these frames, with a margin; without frames, all of it."""
    if not frames:
        return np.s_[:, :]
    rows, columns = zip(*(frame.box(shape, CONTEXT) for frame in frames), strict=True)
    top, left = (min(side.start for side in sides) for sides in (rows, columns))
    bottom, right = (max(side.stop for side in sides) for sides in (rows, columns))
    return slice(top, bottom), slice(left, right)


@dataclass(frozen=True, eq=False)
class Frame:
    """The square of a photo that shows one face as align.py would crop it, upright and in a fixed size."""

    transform: np.ndarray  # [2, 3]: the map from the photo into the frame
    size: int  # pixels of the frame's side

    @cached_property
    def back(self) -> np.ndarray:
        """[2, 3]: the map from the frame into the photo."""
        return inverse(self.transform)

    @property
    def pixel_side(self) -> float:
        """Side of one of the frame's pixels, in pixels of the photo."""
        return 1 / np.sqrt(abs(np.linalg.det(self.transform[:, :2])))

    @property
    def side(self) -> float:
        """Side of the frame, in pixels of the photo."""
        return self.pixel_side * self.size

    def after(self, first: np.ndarray) -> "Frame":
        """The frame in another photo, whose coordinates the map `first` takes to this one's."""
        return Frame(chained(self.transform, first), self.size)

    def moved(self, change: np.ndarray) -> "Frame":
        """The frame with its content moved by a map [2, 3], in shares of its side."""
        unit = to_unit(self.size)
        return Frame(chained(chained(inverse(unit), chained(change, unit)), self.transform), self.size)

    def widened(self, margin: float) -> "Frame":
        """The frame with a margin on each side, in shares of its side, in the same number of pixels."""
        scale = 1 / (1 + 2 * margin)
        return self.moved(np.array([[scale, 0, margin * scale], [0, scale, margin * scale]]))

    def resized(self, size: int) -> "Frame":
        """The frame as align.py would crop it with another `--size`."""
        return Frame(self.transform * size / self.size, size)

    def displacement(self, true: "Frame") -> float:
        """Mean distance of the face's points from where they are in the frame `true`, in 64ths of the side."""
        change = chained(self.transform, true.back)
        y, x = np.indices((self.size, self.size)).reshape(2, -1)
        distances = np.linalg.norm(change @ np.stack([x, y, np.ones_like(x)]) - np.stack([x, y]), axis=0)
        return 64 / self.size * float(distances.mean())

    def corners(self, margin: float = 0) -> np.ndarray:
        """[4, 2]: the corners (x, y) in the photo. margin: widens the frame on each side, in shares of its side."""
        low, high = -0.5 - margin * self.size, self.size - 0.5 + margin * self.size
        corners = np.array([[low, low], [high, low], [high, high], [low, high]])
        return corners @ self.back[:, :2].T + self.back[:, 2]

    def box(self, shape: Sequence[int], margin: float = 0, step: int = 1) -> Part:
        """The part of a photo [H, W] around the frame; never empty. It begins at a multiple of `step` pixels."""
        corners, (height, width) = self.corners(margin), shape
        left, top = np.clip(np.floor(corners.min(axis=0)), 0, (width - 1, height - 1)).astype(int) // step * step
        right, bottom = np.clip(np.ceil(corners.max(axis=0)) + 1, (left + 1, top + 1), (width, height)).astype(int)
        return slice(top, bottom), slice(left, right)

    def in_part(self, part: Part) -> "Frame":
        """The frame in a part of the photo."""
        rows, columns = part
        return self.after(np.array([[1.0, 0, columns.start], [0, 1, rows.start]]))

    def covered(self, shape: Sequence[int], margin: float = 0) -> np.ndarray:
        """bool [H, W]: which pixels of a photo lie in the frame, widened by a margin as in `corners`."""
        inside = np.zeros(shape, np.uint8)
        cv2.fillConvexPoly(inside, self.corners(margin).round().astype(np.int32), 1)
        return inside > 0

    def meets_hole(self, photo: Photo) -> bool:
        """Whether part of the photo's hole lies in the frame."""
        part = self.box(photo.shape)
        hole = ~photo.known[part]
        return bool((self.in_part(part).covered(hole.shape) & hole).any())

    def left_by_hole(self, photo: Photo, inner: float, outer: float) -> bool:
        """Whether the hole meets the ring between two margins as in `corners`."""
        part = self.box(photo.shape, outer)
        hole, frame = ~photo.known[part], self.in_part(part)
        return bool((hole & frame.covered(hole.shape, outer) & ~frame.covered(hole.shape, inner)).any())

    def shows(self, photo: Photo) -> bool:
        """Whether a pixel of the frame is known."""
        return bool(self.view(photo)[1].any())

    def under(self, mask: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """bool [H, W]: which pixels of a photo a mask of the frame hides. mask: bool [size, size], True is known."""
        height, width = shape
        return cv2.warpAffine((~mask).astype(np.uint8), self.back, (width, height), None, cv2.INTER_NEAREST) > 0

    def view(self, photo: Photo, outside: int = BLACK) -> tuple[np.ndarray, np.ndarray]:
        """The photo in the frame, uint8 [size, size, 3], and its known pixels, bool [size, size].

        A pixel is known if all of the photo's pixels that it depends on are. outside: as in `warp`.
        """
        times = int(self.pixel_side)
        part = self.box(photo.shape, 4 / self.size, max(1, times)) if photo.known.size > LARGE else np.s_[0:, 0:]
        # Bilinear interpolation alone would skip pixels of a photo that is much larger than the frame.
        smaller, to_smaller = photo[part].shrunk(times)
        transform, size = self.in_part(part).after(inverse(to_smaller)).transform, self.size
        return warp(smaller.pixels, transform, size, size, outside), warp_known(smaller.known, transform, size, size)

    def close_up(self, photo: Photo, pixels: float) -> tuple[Photo, np.ndarray]:
        """The part of a photo within one side of the frame, and the map [2, 3] from the photo's coordinates to it.

        To make further steps faster, it is shrunk as far as the frame's side keeps this number of pixels.
        """
        rows, columns = part = self.box(photo.shape, margin=1)
        near, smaller = photo[part].shrunk(int(self.side / pixels))
        return near, chained(smaller, np.array([[1.0, 0, -columns.start], [0, 1, -rows.start]]))
