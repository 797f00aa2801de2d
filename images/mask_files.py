"""Reads masks from picture files."""

import cv2
import numpy as np

from images.decoding import OPAQUE, PictureError, Source, read_picture
from images.masks import grown
from utils import UserError

COLORED = 64  # difference between the channels of a pixel from which it counts as colored, not black, gray or white
NEAR = 32  # levels; a painted color varies less, except at its edges
STRAY = 0.05  # share of pixels that may be different by accident
# Levels by which JPEG changes the color of a painted hole, and up to how many pixels from its edge it changes it more.
LIKE, ROUGHLY, EDGE = 48, 96, 2
BLACK, WHITE, COLOR = range(3)


def read_mask(path: Source, invert: bool = False) -> np.ndarray:
    """Reads a mask, bool [H, W], True where pixels are known. invert: swaps known pixels and hole.

    The lighter of two tones is known. A color on black or white is the hole. In a partly transparent mask, painted
    pixels are the hole; if they are white, all others are. Raises UserError if the hole is not clear, PictureError if
    the file cannot be read.
    """
    pixels = read_picture(path, "RGBA")
    painted = pixels[..., 3] >= OPAQUE
    try:
        known = _opaque_mask(pixels) if painted.all() else painted == _is_white(pixels[painted])
    except ValueError as fault:
        raise UserError(f"the mask {path} {fault}: paint known pixels white and the hole black") from None
    return known ^ invert


def _opaque_mask(pixels: np.ndarray) -> np.ndarray:
    """Which pixels of an opaque mask, uint8 [H, W, 4], are known. ValueError if that is not clear."""
    kinds = _kinds(pixels)
    counts = np.bincount(kinds.ravel(), minlength=3)
    least, less, _ = np.sort(counts)
    if least > STRAY * less:
        raise ValueError("has black, white and colored parts, like a photo, so the hole is not clear")
    if not least < counts[COLOR] <= (1 - STRAY) * kinds.size:
        return _lighter(cv2.cvtColor(pixels, cv2.COLOR_RGBA2GRAY))
    _check_even(pixels[kinds == COLOR, :3])
    return kinds != COLOR


def _is_white(colors: np.ndarray) -> bool:
    """Whether a layer is painted white, uint8 [N, 4]. ValueError if it is painted white and in other colors."""
    if not len(colors):
        raise ValueError("is transparent everywhere, or nearly so")
    _check_even(colors[:, :3])
    share = (_kinds(colors[None]) == WHITE).mean()
    if STRAY < share < 1 - STRAY:
        raise ValueError(f"is partly transparent, and {share:.0%} of the rest is white, so the hole is not clear")
    return bool(share > 0.5)


def _kinds(pixels: np.ndarray) -> np.ndarray:
    """The kind of each pixel, BLACK, WHITE or COLOR: uint8 [H, W, 4] -> [H, W]."""
    red, green, blue, _ = cv2.split(pixels)
    spread = cv2.max(cv2.max(red, green), blue) - cv2.min(cv2.min(red, green), blue)
    return np.where(spread >= COLORED, np.uint8(COLOR), cv2.cvtColor(pixels, cv2.COLOR_RGBA2GRAY) >= OPAQUE)


def _check_even(colors: np.ndarray) -> None:
    """ValueError if most of the colors, uint8 [N, 3], differ from their median."""
    differ = np.abs(colors - np.median(colors, axis=0)).max(axis=1) > NEAR
    if differ.mean() > 0.5:
        raise ValueError(f"looks like a photo, because {differ.mean():.0%} of its painted pixels differ in color")


def _lighter(gray: np.ndarray) -> np.ndarray:
    """Which pixels, uint8 [H, W], have the lighter of two tones. ValueError if there are not two."""
    levels = np.bincount(gray.ravel(), minlength=256)
    low, high = np.flatnonzero(levels)[[0, -1]].tolist()
    if high - low < NEAR and np.count_nonzero(levels) > 2:
        raise ValueError(f"has hardly any contrast (gray levels {low} to {high})")
    between = slice(low + (high - low + 7) // 8, high - (high - low) // 8)
    share = levels[between].sum() / gray.size
    if share > 0.5:  # a soft brush leaves less
        raise ValueError(f"looks like a photo, because {share:.0%} of its pixels are neither light nor dark")
    flat = cv2.erode(gray, np.ones((3, 3))) == cv2.dilate(gray, np.ones((3, 3)))  # not at smooth edges
    third = np.bincount(gray[flat], minlength=256)[between]
    if third.size and third.max() > STRAY * gray.size:
        raise ValueError(f"has a third gray level, {between.start + third.argmax()}, so the hole is not clear")
    return gray >= ((low + high + 1) // 2 if low < high else OPAQUE)


def read_without_color(path: Source, color: str) -> np.ndarray:
    """Reads a picture as a mask, bool [H, W]: pixels of the color, such as "#00ff00", are its hole.

    Raises PictureError if no pixel has the color.
    """
    pixels, channels = read_picture(path), np.array([*bytes.fromhex(color[1:])])
    like, roughly = (cv2.inRange(pixels, channels - most, channels + most) > 0 for most in (LIKE, ROUGHLY))
    hole = roughly & ~grown(~like, EDGE)
    if not hole.any():
        raise PictureError(f"{path} has no pixels of the --holeColor {color}: look up the color in an image editor")
    return ~hole
