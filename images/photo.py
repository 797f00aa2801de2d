"""A photo with a hole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from images.incomplete import HIDDEN

Part = tuple[slice, slice]
"""Rows and columns of a photo."""


def shrunk_to(pixels: np.ndarray, longest: int) -> np.ndarray:
    """A picture, uint8 [H, W, C], shrunk so that no side has more than `longest` pixels."""
    scale = longest / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    height, width = (max(1, round(scale * n)) for n in pixels.shape[:2])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def same_proportions(shape: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two pictures, (height, width, ...) each, can be the same in two resolutions."""
    (h, w), (height, width) = shape[:2], other[:2]
    return abs(w * height - h * width) <= max(h, w, height, width)  # sides are rounded to whole numbers


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo and which of its pixels are known. The others are its hole."""

    pixels: np.ndarray  # uint8 [H, W, 3]. Pixels in the hole are ignored
    known: np.ndarray  # bool [H, W]
    gray: bool = False  # whether its file has one channel of color
    profile: bytes | None = None  # ICC profile of its file

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.known.shape

    @property
    def intact(self) -> bool:
        """Whether it has no hole."""
        return bool(self.known.all())

    def whole(self) -> "Photo":
        """The photo as if all of its pixels were known."""
        return replace(self, known=np.ones_like(self.known))

    def hiding(self, hole: np.ndarray) -> "Photo":
        """The photo with another hole, bool [H, W], added to its own."""
        return replace(self, known=self.known & ~hole)

    def masked(self) -> np.ndarray:
        """uint8 [H, W, 3] with a gray hole."""
        return np.where(self.known[..., None], self.pixels, np.uint8(HIDDEN))

    def to_save(self) -> np.ndarray:
        """uint8 [H, W, C] as its file has it: C is 1 for a gray photo, else 3."""
        return self.pixels[..., :1] if self.gray else self.pixels

    def __getitem__(self, part: Part) -> "Photo":
        return replace(self, pixels=self.pixels[part], known=self.known[part])

    def around_hole(self, margin: int = 0) -> Part:
        """The smallest box with the whole hole and a margin, in pixels, as far as the photo reaches."""
        left, top, width, height = cv2.boundingRect((~self.known).view(np.uint8))
        rows = slice(max(0, top - margin), top + height + margin)
        return rows, slice(max(0, left - margin), left + width + margin)

    def shrunk(self, times: int) -> tuple["Photo", np.ndarray]:
        """The photo with its sides divided by `times`, and the map [2, 3] from its coordinates to the new ones.

        Pixels become means of times x times pixels, and are known if all of these are. Both sides stay at least one
        pixel long. Rows and columns that do not fill a block are cut off at the bottom and right.
        """
        times = max(1, min(times, *self.shape))
        shift = (1 - times) / (2 * times)  # coordinate 0 is the center of the first pixel
        smaller = np.array([[1 / times, 0, shift], [0, 1 / times, shift]])
        if times == 1:
            return self, smaller
        height, width = (n // times for n in self.shape)
        whole = self[: height * times, : width * times]
        pixels = cv2.resize(whole.pixels, (width, height), interpolation=cv2.INTER_AREA)
        known = np.all(whole.known.reshape(height, times, width, times), axis=(1, 3))
        return replace(self, pixels=pixels, known=known), smaller
