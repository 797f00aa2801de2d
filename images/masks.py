"""Masks: bool arrays, True for known pixels and False in the hole."""

from collections import defaultdict
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

from images.mask_options import WITHOUT_HOLE, MaskOptions
from images.photo import same_proportions
from utils import UserError

HALVES = ("left", "right", "top", "bottom")
HALF = 128  # of a pixel's area, as `covered` counts it
PATTERN_SHARE = 0.25  # of the pixels, hidden by `pattern` (paper, section 4)


def make_mask(kind: str, size: int, options: MaskOptions, seed: int) -> np.ndarray:
    """Makes a mask of one of MASK_TYPES, bool [size, size], True where a pixel is known.

    The hole is: for center, the middle; for random, single pixels drawn with `seed`; for pattern, blobs drawn with
    `seed`, a quarter of the pixels; for left, right, top and bottom, that half; for full, nothing; for grid, all but a
    grid of pixels; for lowres, everything, because only block means are known (`Incomplete.lowres`). Raises UserError
    if the options leave no hole or no known pixel, except for full and lowres.
    """
    mask = np.ones((size, size), bool)
    rng = np.random.default_rng(seed)
    if kind == "center":
        hole = slice(int(size * options.center_scale), int(size * (1 - options.center_scale)))
        mask[hole, hole] = False
    elif kind == "random":
        mask[rng.random((size, size)) < options.random_share] = False
    elif kind == "pattern":
        from scipy import ndimage  # here, as it takes a third of a second to load

        field = ndimage.gaussian_filter(rng.standard_normal((size, size)), size / 20, mode="wrap")
        mask = field > np.quantile(field, PATTERN_SHARE)
    elif kind in HALVES:
        side = slice(size // 2) if kind in ("left", "top") else slice(size // 2, size)
        mask[(slice(size), side) if kind in ("left", "right") else (side, slice(size))] = False
    elif kind in ("grid", "lowres"):
        mask[:] = False
        if kind == "grid":
            mask[:: options.grid_step, :: options.grid_step] = True
    return mask if kind in WITHOUT_HOLE else checked(mask, f"the mask {kind}")


def each_mask(masks: np.ndarray) -> Iterator[tuple[np.ndarray, list[int]]]:
    """Yields each distinct mask [H, W] of bool [N, H, W] once, with the indices that have it."""
    which = defaultdict(list)
    for i, mask in enumerate(masks):
        which[mask.tobytes()].append(i)  # np.unique takes longer than blending
    for indices in which.values():
        yield masks[indices[0]], indices


def checked(mask: np.ndarray, name: str) -> np.ndarray:
    """Returns the mask. Raises UserError if it hides nothing or everything."""
    if mask.all() or not mask.any():
        fault = "nothing: choose one with a hole" if mask.all() else "everything: leave some pixels known"
        raise UserError(f"{name} hides {fault}")
    return mask


def grown(known: np.ndarray, by: int) -> np.ndarray:
    """Enlarges the hole of a mask, bool [H, W], by a number of pixels in every direction."""
    return cv2.distanceTransform(known.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > by if by else known


def fit_mask(mask: np.ndarray, size: int, name: str) -> np.ndarray:
    """Resizes a mask, bool [S, S], to [size, size]; a pixel is known if at least half of its area is.

    Raises UserError, with the mask's `name`, if it then hides nothing or everything.
    """
    return checked(covered(mask, size, size) >= HALF, name)


def stretched(mask: np.ndarray, shape: tuple[int, int], photo: object) -> np.ndarray:
    """Resizes a mask, bool [h, w], to the shape (H, W) of its photo. UserError if the proportions differ."""
    (h, w), (height, width) = mask.shape, shape
    if not same_proportions(mask.shape, shape):
        fault = f"the mask of {photo} is {w}x{h} but the photo is {width}x{height}"
        raise UserError(f"{fault}: give both the same proportions")
    return covered(mask, width, height) >= HALF


def covered(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """The known share of each new pixel's area, 0 to 255: bool [H, W] -> uint8 [height, width]."""
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BOX))


def context_weights(mask: np.ndarray, window: int, floor: float = 0.0) -> np.ndarray:
    """The weights of the contextual loss, float32 [H, W] like `mask` (paper, section 3.2, equation 2).

    A known pixel's weight is `floor` plus the share of the hole in the window around it, where that lies in the
    picture. Weights are 0 in the hole. With window 0, or without a hole, all known pixels have weight 1.
    """
    if not window or mask.all():
        return mask.astype(np.float32)
    counts = np.dstack([~mask, np.ones(mask.shape)])
    hidden, inside = np.moveaxis(cv2.boxFilter(counts, -1, (window, window), borderType=cv2.BORDER_CONSTANT), 2, 0)
    return (mask * (hidden / inside + floor)).astype(np.float32)
