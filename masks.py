"""Masks: which pixels of a picture are known (1) and which are in the hole (0)."""

import numpy as np

TYPES = ("center", "random", "left", "full", "grid", "lowres")
RANDOM_SHARE = 0.2  # of the pixels that `random` hides
GRID_STEP = 4  # `grid` keeps one pixel in GRID_STEP x GRID_STEP
LOWRES_BLOCK = 8  # side of the blocks whose means `lowres` keeps


def make_mask(kind: str, size: int, center_scale: float, seed: int) -> np.ndarray:
    """A mask of one of TYPES, bool [size, size], True where a pixel is known.

    center: the middle is the hole, from `center_scale` (0 to 0.5) of the side to 1 - `center_scale`. random: single
    pixels drawn with `seed`. left: the left half. full: no hole. grid: all but a grid of pixels. lowres: all, since
    only the means of blocks are known (`DCGAN.complete`, lowres).
    """
    if kind in ("grid", "lowres"):
        mask = np.zeros((size, size), bool)
        if kind == "grid":
            mask[::GRID_STEP, ::GRID_STEP] = True
        return mask
    mask = np.ones((size, size), bool)
    if kind == "center":
        hole = slice(int(size * center_scale), int(size * (1 - center_scale)))
        mask[hole, hole] = False
    elif kind == "random":
        mask[np.random.default_rng(seed).random((size, size)) < RANDOM_SHARE] = False
    elif kind == "left":
        mask[:, : size // 2] = False
    elif kind != "full":
        raise ValueError(f"no mask type {kind}: one of {', '.join(TYPES)}")
    return mask


def hide(pictures: np.ndarray, mask: np.ndarray, lowres: bool = False) -> np.ndarray:
    """What the search sees of uint8 pictures [N, H, W, C]: the known pixels, or the means of blocks for `lowres`.

    mask: [H, W], 1 where a pixel is known and 0 in the hole, which comes out grey.
    """
    if not lowres:
        return np.where(mask[..., None], pictures, np.uint8(128))
    n, height, width, channels = pictures.shape
    side = LOWRES_BLOCK
    blocks = pictures.reshape(n, height // side, side, width // side, side, channels)
    means = blocks.mean(axis=(2, 4)).round().astype(np.uint8)
    return means.repeat(side, axis=1).repeat(side, axis=2)
