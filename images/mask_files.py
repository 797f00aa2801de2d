"""Reads pictures and their masks, and resizes both to the size of the model."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from images.decoding import OPAQUE, PictureError, central_square, load_picture, read_picture, resized
from images.files import SUFFIXES
from images.incomplete import Incomplete
from images.mask_options import MaskOptions
from images.masks import WITHOUT_HOLE, checked, make_mask
from utils import UserError

BLACK, WHITE = 32, 224  # a mask mostly between these is taken for a photo; a soft brush leaves less
STRAY = 0.05  # share of the painted pixels that may have the other tone by accident
PAINT = "paint known pixels white and the hole black"


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
        return Incomplete(self.picture[None], self.mask)


class Final(NamedTuple):
    """A completed picture as it is written."""

    pixels: np.ndarray  # uint8 [H, W, C]
    profile: bytes | None = None  # its color profile
    row: Sequence[np.ndarray] = ()  # thumbnails of a photo, original, masked and completed, each uint8 [h, w, 3]


class MaskedReader:
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
            return Loaded(path, self.mask, *load_picture(path, self.size, self.c_dim))
        folder, invert = self.options.folder, self.options.invert
        mask = read_mask(find_mask(folder, path), invert) if folder else self.mask
        return load_masked(path, self.size, self.c_dim, mask, by_transparency=self.options.usual)

    def with_faces(self, loaded: dict[int, Loaded]) -> dict[int, Loaded]:
        """The pictures unchanged: each is a face."""
        return loaded

    def final(self, loaded: Loaded, faces: np.ndarray) -> Final:
        """The picture to write, from its completed face, uint8 [1, size, size, c_dim]."""
        return Final(faces[0])


def has_mask(options: MaskOptions, picture: Path) -> bool:
    """Whether there is a mask for the picture. It is not read."""
    return not options.folder or bool(masks_of(options.folder, picture))


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
        mask = opaque if by_transparency else opaque & (_covered(mask, len(square)) >= OPAQUE)
    square[..., -1] = _covered(mask, len(square))
    known = fit_mask(mask, size, f"the mask of {path}")
    # The hole is resized apart, because its pixels are shown beside the result but must not run into known ones.
    alone = resized(square[..., 0] if c_dim == 1 else square[..., :3], size).reshape(size, size, c_dim)
    picture = np.where(known[..., None], resized(square, size)[..., :-1], alone)
    return Loaded(path, known, picture, pixels.shape[:2] != (size, size))


def read_mask(path: Path, invert: bool = False) -> np.ndarray:
    """Reads a square mask, bool [S, S], as `read_any_mask` does. UserError if it is not square."""
    mask = read_any_mask(path, invert)
    height, width = mask.shape
    if height != width:
        raise UserError(f"the mask {path} is {width}x{height}: crop it to a square, like the pictures")
    return mask


def read_any_mask(path: Path, invert: bool = False) -> np.ndarray:
    """Reads a mask, bool [H, W], True (white) where pixels are known. invert: white is the hole.

    In a partly transparent mask, transparent pixels are the opposite of the painted ones. Raises UserError if the mask
    looks like a photo or is ambiguous, PictureError if it cannot be read.
    """
    grey, alpha = np.moveaxis(read_picture(path, "LA"), -1, 0)
    painted = alpha >= OPAQUE
    tones = grey[painted]
    between = float(((tones >= BLACK) & (tones < WHITE)).mean()) if tones.size else 0.0
    if between > 0.5:
        fault = f"{between:.0%} of the mask {path} is neither white nor black, as in a photo"
        raise UserError(f"{fault}: {PAINT}")
    known = grey >= OPAQUE
    if tones.size < grey.size:
        share = float((tones >= OPAQUE).mean()) if tones.size else 0.5
        if STRAY < share < 1 - STRAY:
            fault = f"the mask {path} is partly transparent, and which part is the hole is not clear"
            raise UserError(f"{fault}: {PAINT}")
        known = np.where(painted, known, share < 0.5)
    return known ^ invert


def find_mask(folder: Path, picture: Path) -> Path:
    """Finds the mask of a picture. Raises PictureError unless there is exactly one."""
    paths = masks_of(folder, picture)
    if len(paths) != 1:
        what = f"several masks, {', '.join(path.name for path in paths)}," if paths else f"no mask {picture.stem}.png"
        raise PictureError(f"{picture} has {what} in {folder}")
    return paths[0]


def masks_of(folder: Path, picture: Path) -> list[Path]:
    """The files in `folder` with the picture's stem, except the picture itself."""
    suffixes = sorted(SUFFIXES | {suffix.upper() for suffix in SUFFIXES})
    paths = [folder / (picture.stem + suffix) for suffix in suffixes]
    # os.path.exists returns False for a name that is too long; Path.exists raises an error.
    found = [path for path in paths if os.path.exists(path) and os.path.realpath(path) != os.path.realpath(picture)]
    # On disks that ignore capitals, one file is found under several names.
    return list({(os.stat(path).st_dev, os.stat(path).st_ino): path for path in found}.values())


def fit_mask(mask: np.ndarray, size: int, name: str) -> np.ndarray:
    """Resizes a mask, bool [S, S], to [size, size]; a pixel is known if at least half of its area is.

    Raises UserError, with the mask's `name`, if it then hides nothing or everything.
    """
    return checked(_covered(mask, size) >= OPAQUE, name)


def stretched(mask: np.ndarray, shape: tuple[int, int], photo: Path) -> np.ndarray:
    """Resizes a mask, bool [h, w], to the shape (H, W) of its photo. UserError if the proportions differ."""
    (h, w), (height, width) = mask.shape, shape
    # Sides were rounded to whole numbers when the photo was resized.
    if abs(w * height - h * width) > max(h, w, height, width):
        fault = f"the mask of {photo} is {w}x{h} but the photo is {width}x{height}"
        raise UserError(f"{fault}: give both the same proportions")
    return _covered(mask, width, height) >= OPAQUE


def _covered(mask: np.ndarray, width: int, height: int | None = None) -> np.ndarray:
    """The known share of each new pixel's area, 0 to 255: bool [H, W] -> uint8 [height, width], or a square."""
    size = (width, height or width)
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX))
