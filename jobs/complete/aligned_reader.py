"""Reads pictures that are completed as a whole, such as aligned faces, and fits them and their masks to the model."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from images.decoding import OPAQUE, central_square, load_picture, read_picture, resized
from images.incomplete import Incomplete
from images.mask_files import covered, find_mask, fit_mask, read_mask
from images.mask_options import MaskOptions
from images.masks import WITHOUT_HOLE, make_mask
from jobs.complete.batches import Final


class Loaded(NamedTuple):
    """A picture to complete, with the size of the model."""

    path: Path
    mask: np.ndarray  # bool [size, size], True where a pixel is known
    picture: np.ndarray  # uint8 [size, size, c_dim]
    fitted: bool  # whether it was cropped or resized

    @property
    def made_of(self) -> tuple[np.ndarray, np.ndarray]:
        """The arrays that its completion depends on."""
        return self.picture, self.mask

    @property
    def incomplete(self) -> Incomplete:
        """A batch of this picture alone."""
        return Incomplete(self.picture[None], self.mask).with_tones()


class AlignedReader:
    """Reads pictures [size, size, c_dim] and their masks."""

    def __init__(self, options: MaskOptions, size: int, c_dim: int, seed: int):
        """Random masks follow from `seed`. Raises UserError if the mask in the options cannot be used."""
        self.options, self.size, self.c_dim = options, size, c_dim
        self.mask = make_mask(options.kind or "center", size, options, seed)
        if options.file:
            self.mask = read_mask(options.file, options.invert)
            fit_mask(self.mask, size, f"the mask {options.file}")

    def read(self, path: Path) -> Loaded:
        """Reads a picture and its mask. Raises UserError if one cannot be read or the mask cannot be used."""
        if self.options.kind in WITHOUT_HOLE:
            return Loaded(path, self.mask, *load_picture(path, self.size, self.c_dim)[:2])
        folder, invert = self.options.folder, self.options.invert
        mask = read_mask(find_mask(folder, path), invert) if folder else self.mask
        return load_masked(path, self.size, self.c_dim, mask, by_transparency=self.options.usual)

    def with_faces(self, loaded: dict[int, Loaded]) -> dict[int, Loaded]:
        """The pictures unchanged: each is a face."""
        return loaded

    def final(self, loaded: Loaded, faces: np.ndarray) -> Final:
        """The picture to write, from its completed face, uint8 [1, size, size, c_dim]."""
        return Final(faces[0])


def load_masked(path: Path, size: int, c_dim: int, mask: np.ndarray, by_transparency: bool = False) -> Loaded:
    """Reads a picture with a mask. Known pixels do not depend on pixels in the hole, even if they are resized.

    mask: bool [S, S], True where a pixel is known; it is resized to the central square of the picture. Transparent
        pixels are added to the hole.
    by_transparency: if any pixel is transparent, the transparent pixels alone are the hole.
    Raises PictureError if the picture cannot be read, UserError if the mask hides nothing or everything.
    """
    pixels = read_picture(path, "LA" if c_dim == 1 else "RGBA")
    square = central_square(pixels)
    opaque = square[..., -1] >= OPAQUE
    if not opaque.all():
        mask = opaque if by_transparency else opaque & (covered(mask, len(square)) >= OPAQUE)
    square[..., -1] = covered(mask, len(square))
    known = fit_mask(mask, size, f"the mask of {path}")
    # The hole is resized apart, because its pixels are shown beside the result but must not run into known ones.
    alone = resized(square[..., 0] if c_dim == 1 else square[..., :3], size).reshape(size, size, c_dim)
    picture = np.where(known[..., None], resized(square, size)[..., :-1], alone)
    return Loaded(path, known, picture, pixels.shape[:2] != (size, size))
