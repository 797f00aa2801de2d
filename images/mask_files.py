"""Pictures and their masks as files: what of a picture is known, brought to the size that a model takes."""

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

BLACK, WHITE = 32, 224  # what lies between in most of a mask makes it a photo; a soft brush leaves less
STRAY = 0.05  # of what is painted on a layer: so much of the other tone may be an accident


class Loaded(NamedTuple):
    """A picture to complete, as the model takes it."""

    path: Path
    mask: np.ndarray
    """bool [size, size], True where a pixel is known."""
    picture: np.ndarray
    """uint8 [size, size, c_dim]."""
    fitted: bool
    """Whether it was cropped or resized."""

    @property
    def made_of(self) -> tuple[np.ndarray, np.ndarray]:
        """What a completion of it depends on."""
        return self.picture, self.mask

    @property
    def incomplete(self) -> Incomplete:
        """It alone."""
        return Incomplete(self.picture[None], self.mask)


class Final(NamedTuple):
    """What is written of a completed picture."""

    pixels: np.ndarray
    """uint8 [H, W, C]."""
    profile: bytes | None = None
    """Of its colours."""
    row: Sequence[np.ndarray] = ()
    """Three, each uint8 [h, w, 3]: a photo before, masked and completed, small."""


class MaskedReader:
    """Reads pictures [size, size, c_dim] and the masks that the options give them."""

    def __init__(self, options: MaskOptions, size: int, c_dim: int, seed: int):
        """Random masks follow from `seed`. UserError if the options name no mask that can be used."""
        self.options, self.size, self.c_dim, self.lowres = options, size, c_dim, options.lowres
        if options.file:
            self.mask = read_mask(options.file, options.invert)
            fit_mask(self.mask, size, f"the mask {options.file}")
        elif not options.folder:
            self.mask = make_mask(options.kind or "center", size, options, seed)

    def has_mask(self, path: Path) -> bool:
        """Whether there is a mask for the picture; not whether it can be read."""
        return not self.options.folder or bool(mask_files(self.options.folder, path))

    def read(self, path: Path) -> Loaded:
        """A picture and its mask; UserError if one of them cannot be read, or if the mask fits none."""
        if self.options.kind in WITHOUT_HOLE:
            return Loaded(path, self.mask, *load_picture(path, self.size, self.c_dim))
        folder, invert = self.options.folder, self.options.invert
        mask = read_mask(find_mask(folder, path), invert) if folder else self.mask
        return load_masked(path, self.size, self.c_dim, mask, by_transparency=self.options.usual)

    def with_faces(self, loaded: dict[int, Loaded]) -> dict[int, Loaded]:
        """The pictures as they are: each is a face."""
        return loaded

    def final(self, loaded: Loaded, faces: np.ndarray) -> Final:
        """What is written of a picture with its one completed face, uint8 [1, size, size, c_dim]."""
        return Final(faces[0])


def load_masked(path: Path, size: int, c_dim: int, mask: np.ndarray, by_transparency: bool = False) -> Loaded:
    """A picture and its mask. Known pixels do not depend on hidden ones, not even when resized.

    mask: bool [S, S], 1 where a pixel is known and 0 in the hole, resized to the central square of the picture. What
        is transparent in the picture is a hole, too.
    by_transparency: a picture that is transparent anywhere has no other hole than that.
    PictureError if the picture cannot be read, UserError if its mask hides nothing or everything.
    """
    pixels = read_picture(path, "LA" if c_dim == 1 else "RGBA")
    square = central_square(pixels)
    opaque = square[..., -1] >= OPAQUE
    if not opaque.all():
        mask = opaque if by_transparency else opaque & (_covered(mask, len(square)) >= OPAQUE)
    square[..., -1] = _covered(mask, len(square))
    known = fit_mask(mask, size, f"the mask of {path}")
    # What is hidden may be shown beside the result; resized apart, it does not run into what is known.
    alone = resized(square[..., 0] if c_dim == 1 else square[..., :3], size).reshape(size, size, c_dim)
    picture = np.where(known[..., None], resized(square, size)[..., :-1], alone)
    return Loaded(path, known, picture, pixels.shape[:2] != (size, size))


def read_mask(path: Path, invert: bool = False) -> np.ndarray:
    """A mask picture, white where pixels are known and black in the hole, as bool [S, S].

    `invert`: white is the hole. UserError if it is not square, PictureError if it cannot be read.
    """
    mask = read_any_mask(path, invert)
    height, width = mask.shape
    if height != width:
        raise UserError(f"the mask {path} is {width}x{height}: crop it to a square, as pictures are")
    return mask


def read_any_mask(path: Path, invert: bool = False) -> np.ndarray:
    """The same of any shape, bool [H, W]. On a layer, what is transparent is the opposite of what is painted.

    UserError if it looks like a photo, or if that leaves open what is meant.
    """
    grey, alpha = np.moveaxis(read_picture(path, "LA"), -1, 0)
    painted = alpha >= OPAQUE
    tones = grey[painted]
    between = float(((tones >= BLACK) & (tones < WHITE)).mean()) if tones.size else 0.0
    if between > 0.5:
        raise UserError(
            f"{between:.0%} of the mask {path} is neither white nor black, as in a photo: paint it white where pixels "
            "are known and black in the hole"
        )
    known = grey >= OPAQUE
    if tones.size < grey.size:
        share = float((tones >= OPAQUE).mean()) if tones.size else 0.5
        if STRAY < share < 1 - STRAY:
            raise UserError(
                f"the mask {path} is transparent in part, which could mean either: paint it white where pixels are "
                "known and black in the hole"
            )
        known = np.where(painted, known, share < 0.5)
    return known ^ invert


def find_mask(folder: Path, picture: Path) -> Path:
    """The mask of a picture; PictureError if there is not just one."""
    paths = mask_files(folder, picture)
    if len(paths) != 1:
        what = f"several masks, {', '.join(path.name for path in paths)}," if paths else f"no mask {picture.stem}.png"
        raise PictureError(f"{picture} has {what} in {folder}")
    return paths[0]


def mask_files(folder: Path, picture: Path) -> list[Path]:
    """The other files in `folder` that have a picture's stem."""
    suffixes = sorted(SUFFIXES | {suffix.upper() for suffix in SUFFIXES})
    paths = [folder / (picture.stem + suffix) for suffix in suffixes]
    # os.path's exists is false for a name that is too long; Path's raises an error.
    found = [path for path in paths if os.path.exists(path) and os.path.realpath(path) != os.path.realpath(picture)]
    # On some disks capitals make no difference, and one file has several names.
    return list({(os.stat(path).st_dev, os.stat(path).st_ino): path for path in found}.values())


def fit_mask(mask: np.ndarray, size: int, name: str) -> np.ndarray:
    """bool [S, S] resized to [size, size]; a pixel is known if half of what it covers is, or more.

    UserError, with the mask's `name`, if it then hides nothing or everything.
    """
    return checked(_covered(mask, size) >= OPAQUE, name)


def stretched(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """bool [H, W] resized to [height, width] as in `fit_mask`; ValueError if that has not the same shape."""
    # A side that is resized with the other is a whole number again.
    if abs(mask.shape[1] * height - mask.shape[0] * width) > max(*mask.shape, width, height):
        raise ValueError(f"{mask.shape[1]}x{mask.shape[0]}")
    return _covered(mask, width, height) >= OPAQUE


def _covered(mask: np.ndarray, width: int, height: int | None = None) -> np.ndarray:
    """bool [H, W] resized to uint8 [height, width], or a square: how much of what a pixel covers is known, 0 to 255."""
    size = (width, height or width)
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX))
