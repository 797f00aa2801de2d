"""A photo with a hole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from images.colors import Colors
from images.incomplete import HIDDEN
from images.tone import luminance

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
class Stored:
    """A picture as its file has it, so that a result differs from the file in the hole alone."""

    numbers: np.ndarray  # uint8 [H, W, 3], or uint8 or uint16 [H, W, 1] of a gray picture
    colors: Colors
    white: int = 255  # the number that stands for white
    alpha: np.ndarray | None = None  # uint8 [H, W], if the result is to have it
    reduced: bool = False  # whether the file has more bits than the numbers
    metadata: Mapping[str, Any] = field(default_factory=dict)  # see images/saving.py

    def __getitem__(self, part: Part) -> "Stored":
        return replace(self, numbers=self.numbers[part], alpha=None if self.alpha is None else self.alpha[part])


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo and which of its pixels are known. The others are its hole."""

    pixels: np.ndarray  # uint8 [H, W, 3], sRGB; [H, W, 1] for models of gray pictures. Those in the hole are ignored
    known: np.ndarray  # bool [H, W]
    stored: Stored = None  # type: ignore[assignment] # by default the pixels themselves

    def __post_init__(self):
        if self.stored is None:
            object.__setattr__(self, "stored", Stored(self.pixels, Colors("RGB" if self.pixels.shape[2] == 3 else "L")))

    @property
    def gray(self) -> bool:
        """Whether its file has one channel of color."""
        return self.stored.colors.mode == "L"

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
        """The numbers of its file, like `Stored.numbers`, with the pixels in the hole."""
        numbers, hole = self.stored.numbers.copy(), ~self.known
        numbers[hole] = self.stored.colors.numbers(self.pixels[hole]) * numbers.dtype.type(self.stored.white // 255)
        return numbers

    def in_srgb(self) -> "Photo":
        """The photo as if its file had 8 bits for each channel, and no color profile."""
        colors = Colors("L" if self.gray else "RGB")
        numbers = self.pixels[..., : len(colors.mode)]
        return replace(self, stored=replace(self.stored, numbers=numbers, colors=colors, white=255))

    def in_gray(self) -> "Photo":
        """The photo for a model of gray pictures: its pixels are [H, W, 1]."""
        photo = replace(self, pixels=luminance(self.pixels)[..., None])
        return photo if self.gray else replace(photo, stored=replace(self.stored, colors=Colors("L"))).in_srgb()

    @property
    def made_of(self) -> tuple[Any, ...]:
        """All that a completion depends on, for a digest."""
        stored = self.stored
        numbers = np.where(self.known[..., None], stored.numbers, 0)
        return (
            numbers,
            self.known,
            stored.colors.mode,
            stored.colors.profile,
            stored.white,
            stored.alpha,
            stored.metadata,
        )

    def __getitem__(self, part: Part) -> "Photo":
        return replace(self, pixels=self.pixels[part], known=self.known[part], stored=self.stored[part])

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
        known = np.all([whole.known[i::times, j::times] for i in range(times) for j in range(times)], axis=0)
        return Photo(pixels, known), smaller
