"""Masks: which pixels of a picture are known (1) and which are in the hole (0)."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from pictures.files import SUFFIXES, PictureError, central_square, read_picture, resize
from pictures.options import MASK_TYPES, MaskOptions
from utils import UserError

HALVES = ("left", "right", "top", "bottom")
WITHOUT_HOLE = ("full", "lowres")  # nothing of the picture itself is to be completed, or nothing of it is known
PATTERN_SHARE = 0.25  # of the pixels that `pattern` hides (paper, section 4)


class Loaded(NamedTuple):
    """A picture to complete, as the model takes it."""

    path: Path
    mask: np.ndarray
    """bool [size, size], True where a pixel is known."""
    picture: np.ndarray
    """uint8 [size, size, c_dim]."""
    fitted: bool
    """Whether it was cropped or resized."""


def make_mask(kind: str, size: int, options: MaskOptions, seed: int) -> np.ndarray:
    """A mask of one of MASK_TYPES, bool [size, size], True where a pixel is known.

    center: the middle is the hole. random: single pixels drawn with `seed`. pattern: blobs drawn with `seed`, a
    quarter of the pixels. left, right, top, bottom: that half. full: no hole. grid: all but a grid of pixels. lowres:
    all, since only the means of blocks are known (`DCGAN.complete`, lowres). UserError if the options leave a mask
    that was to have a hole and known pixels without either.
    """
    mask = np.ones((size, size), bool)
    rng = np.random.default_rng(seed)
    if kind == "center":
        hole = slice(int(size * options.center_scale), int(size * (1 - options.center_scale)))
        mask[hole, hole] = False
    elif kind == "random":
        mask[rng.random((size, size)) < options.random_share] = False
    elif kind == "pattern":
        field = ndimage.gaussian_filter(rng.standard_normal((size, size)), size / 20, mode="wrap")
        mask = field > np.quantile(field, PATTERN_SHARE)
    elif kind in HALVES:
        side = slice(size // 2) if kind in ("left", "top") else slice(size // 2, size)
        mask[(slice(size), side) if kind in ("left", "right") else (side, slice(size))] = False
    elif kind in ("grid", "lowres"):
        mask[:] = False
        if kind == "grid":
            mask[:: options.grid_step, :: options.grid_step] = True
    elif kind != "full":
        raise ValueError(f"no mask type {kind}: one of {', '.join(MASK_TYPES)}")
    return mask if kind in WITHOUT_HOLE else with_both(mask, f"the mask {kind}")


def read_mask(path: Path, invert: bool = False) -> np.ndarray:
    """A mask picture, white where pixels are known and black in the hole, as bool [S, S].

    `invert`: white is the hole. UserError if it is not square, PictureError if it cannot be read.
    """
    picture = read_picture(path, "L")
    height, width = picture.shape
    if height != width:
        raise UserError(f"the mask {path} is {width}x{height}: crop it to a square, as pictures are")
    return (picture >= 128) ^ invert


def load_masked(path: Path, size: int, c_dim: int, mask: np.ndarray, by_transparency: bool = False) -> Loaded:
    """A picture and its mask. Known pixels do not depend on hidden ones, not even when resized.

    mask: bool [S, S], 1 where a pixel is known and 0 in the hole, resized to the central square of the picture. What
        is transparent in the picture is a hole, too.
    by_transparency: a picture that is transparent anywhere has no other hole than that.
    PictureError if the picture cannot be read, UserError if its mask hides nothing or everything.
    """
    pixels = read_picture(path, "LA" if c_dim == 1 else "RGBA")
    square = central_square(pixels)
    opaque = square[..., -1] >= 128
    if not opaque.all():
        mask = opaque if by_transparency else opaque & (_covered(mask, len(square)) >= 128)
    square[..., -1] = _covered(mask, len(square))
    known = fit_mask(mask, size, f"the mask of {path}")
    # What is hidden may be shown beside the result; resized apart, it does not run into what is known.
    alone = resize(square[..., 0] if c_dim == 1 else square[..., :3], size).reshape(size, size, c_dim)
    picture = np.where(known[..., None], resize(square, size)[..., :-1], alone)
    return Loaded(path, known, picture, pixels.shape[:2] != (size, size))


def fit_mask(mask: np.ndarray, size: int, name: str) -> np.ndarray:
    """bool [S, S] resized to [size, size]; a pixel is known if half of what it covers is, or more.

    UserError, with the mask's `name`, if it then hides nothing or everything.
    """
    return with_both(_covered(mask, size) >= 128, name)


def _covered(mask: np.ndarray, size: int) -> np.ndarray:
    """bool [S, S] resized to uint8 [size, size]: how much of what a pixel covers is known, 0 to 255."""
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize((size, size), Image.Resampling.BOX))


def find_mask(folder: Path, picture: Path) -> Path:
    """The mask of a picture, the other file in `folder` that has its stem; PictureError if it is not just one."""
    suffixes = sorted(SUFFIXES | {suffix.upper() for suffix in SUFFIXES})
    paths = [folder / (picture.stem + suffix) for suffix in suffixes]
    paths = [path for path in paths if path.exists() and os.path.realpath(path) != os.path.realpath(picture)]
    if len(paths) != 1:
        what = f"several masks, {', '.join(path.name for path in paths)}," if paths else f"no mask {picture.stem}.png"
        raise PictureError(f"{picture} has {what} in {folder}")
    return paths[0]


def each_mask(masks: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The distinct masks [H, W] of bool [N, H, W], each with the places that have it: what is costly is done once."""
    distinct, which = np.unique(masks.reshape(len(masks), -1), axis=0, return_inverse=True)
    for m, mask in enumerate(distinct):
        yield mask.reshape(masks.shape[1:]), np.flatnonzero(which.ravel() == m)


def with_both(mask: np.ndarray, name: str) -> np.ndarray:
    """The mask itself; UserError if it hides nothing or everything."""
    if mask.all() or not mask.any():
        raise UserError(f"{name} hides {'nothing' if mask.all() else 'everything'}: choose one with a hole to complete")
    return mask


def context_weights(mask: np.ndarray, window: int) -> np.ndarray:
    """The weights of the contextual loss, float32 [H, W] like `mask` (paper, section 3.2, equation 2).

    At a known pixel the share of unknown pixels in the window around it, as far as that lies in the picture; 0 in
    the hole. With window 0, and for a mask without a hole, all known pixels weigh 1.
    """
    if not window or mask.all():
        return mask.astype(np.float32)
    hidden = ndimage.uniform_filter((~mask).astype(float), window, mode="constant")
    inside = ndimage.uniform_filter(np.ones(mask.shape), window, mode="constant")
    return (mask * hidden / inside).astype(np.float32)


def hide(pictures: np.ndarray, mask: np.ndarray, lowres: int = 0) -> np.ndarray:
    """What the search sees of uint8 pictures [N, H, W, C]: the known pixels, or for `lowres` the means of its blocks.

    mask: [H, W] or [N, H, W], 1 where a pixel is known and 0 in the hole, which comes out grey.
    """
    if not lowres:
        return np.where(mask[..., None], pictures, np.uint8(128))
    n, height, width, channels = pictures.shape
    blocks = pictures.reshape(n, height // lowres, lowres, width // lowres, lowres, channels)
    means = blocks.mean(axis=(2, 4)).round().astype(np.uint8)
    return means.repeat(lowres, axis=1).repeat(lowres, axis=2)
