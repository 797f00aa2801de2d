"""Reads masks from picture files, finds them in folders, and resizes them."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from images.decoding import OPAQUE, PictureError, read_picture
from images.files import SUFFIXES
from images.mask_options import MaskOptions
from images.masks import checked
from images.photo import same_proportions
from utils import UserError

BLACK, WHITE = 32, 224  # a mask mostly between these is taken for a photo; a soft brush leaves less
STRAY = 0.05  # share of the painted pixels that may have the other tone by accident
PAINT = "paint known pixels white and the hole black"


def has_mask(options: MaskOptions, picture: Path) -> bool:
    """Whether there is a mask for the picture. It is not read."""
    return not options.folder or bool(masks_of(options.folder, picture))


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
    return checked(covered(mask, size) >= OPAQUE, name)


def stretched(mask: np.ndarray, shape: tuple[int, int], photo: Path) -> np.ndarray:
    """Resizes a mask, bool [h, w], to the shape (H, W) of its photo. UserError if the proportions differ."""
    (h, w), (height, width) = mask.shape, shape
    if not same_proportions(mask.shape, shape):
        fault = f"the mask of {photo} is {w}x{h} but the photo is {width}x{height}"
        raise UserError(f"{fault}: give both the same proportions")
    return covered(mask, width, height) >= OPAQUE


def covered(mask: np.ndarray, width: int, height: int | None = None) -> np.ndarray:
    """The known share of each new pixel's area, 0 to 255: bool [H, W] -> uint8 [height, width], or a square."""
    size = (width, height or width)
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX))
