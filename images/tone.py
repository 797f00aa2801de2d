"""The tone of a picture whose colors follow from luminance: a gray, sepia or otherwise toned one."""

from dataclasses import dataclass

import cv2
import numpy as np

WEIGHTS = (0.299, 0.587, 0.114)  # of red, green and blue in luminance, as in Pillow
# Standard deviations, in levels of luminance, by which a curve is smoothed, and their weights. The wide one counts
# where few pixels are known.
SMOOTHING = ((2, 1), (12, 0.01))
WINDOWS = 16  # windows along the longer side, in which colors are averaged. So the noise of JPEG hardly counts
# The largest distance from the curve, in levels, that SHARE of the pixels of a toned picture may have. It rejects 2 of
# 450 simulated toned photos and faces in JPEG of quality 60 and 95. It accepts none of 591 color photos and faces:
# their distances are 8.3 or more.
SPREAD, SHARE = 7, 0.98
FEW = 512  # pixels: the colors of fewer fit some curve by chance, so only gray ones have a tone


def luminance(pixels: np.ndarray) -> np.ndarray:
    """The luminance of uint8 [..., 3], as uint8 [...]."""
    return (pixels @ np.array(WEIGHTS)).round().astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Tone:
    """A curve in color space: the color at each luminance."""

    colors: np.ndarray  # uint8 [256, 3]

    def applied(self, pixels: np.ndarray) -> np.ndarray:
        """The colors of the curve with the luminance of the pixels, uint8 [..., 3]."""
        return self.colors[luminance(pixels)]


GRAY = Tone(np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1))


def tone_of(pixels: np.ndarray, known: np.ndarray) -> Tone | None:
    """The tone of a picture, uint8 [H, W, 3], by its known pixels, bool [H, W]; None if it is a color picture."""
    levels = luminance(pixels[known])
    if not levels.size:
        return None
    tints = pixels[known] - levels[:, None].astype(np.float32)
    if not tints.any():
        return GRAY
    if levels.size < FEW:
        return None
    curve = _curve(levels, tints)
    if np.quantile(_distances(tints - curve[levels], known), SHARE) > SPREAD:
        return None
    colors = (np.arange(256)[:, None] + curve).round()
    possible = np.flatnonzero(((colors >= 0) & (colors <= 255)).all(axis=1))
    # Clipping a color would change its tint.
    return Tone(colors[np.arange(256).clip(possible[0], possible[-1])].clip(0, 255).astype(np.uint8))


def _curve(levels: np.ndarray, tints: np.ndarray) -> np.ndarray:
    """[256, 3]: the smoothed mean tint, a color minus its luminance, at each level. levels: [n]; tints: [n, 3]."""
    sums = np.stack([np.bincount(levels, weights, 256) for weights in (np.ones(len(levels)), *tints.T)], axis=1)
    parts = [w * cv2.GaussianBlur(sums, (1, 8 * s + 1), 1, None, s, cv2.BORDER_CONSTANT) for s, w in SMOOTHING]
    smoothed = np.sum(parts, axis=0)
    seen = np.flatnonzero(sums[:, 0])
    means = smoothed[seen, 1:] / smoothed[seen, :1]
    return np.stack([np.interp(np.arange(256), seen, mean) for mean in means.T], axis=1)


def _distances(off: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[n]: the length of the mean difference from the curve in the window around each known pixel. off: [n, 3]."""
    spread = np.zeros((*known.shape, 4), np.float32)
    spread[known] = np.column_stack([off, np.ones(len(off))])
    side = max(known.shape) // WINDOWS | 1
    sums = cv2.blur(spread, (side, side), borderType=cv2.BORDER_CONSTANT)[known]
    return np.linalg.norm(sums[:, :3] / sums[:, 3:], axis=1)
