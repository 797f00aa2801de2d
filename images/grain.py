"""Grain: the noise of film, sensors or print. It is measured around a hole, and synthesized in it.

The noise has the power spectrum of small squares around the hole that are flat and as bright as the hole. Edges and
texture hardly count, because each frequency gets the median power of these squares. White noise is filtered to this
spectrum, and added where the completion is smoother than the noise.
"""

import math
import zlib
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import dct, fft2, fftfreq, fftshift, idct, ifft2

from images.photo import Part

SIDE = 16  # pixels of a square
STRIDE, MOST, FEWEST = 4, 1024, 8  # distance of the squares in pixels, and how many are used
REACH = 3 * SIDE  # pixels around the hole in which squares are looked for
TYPICAL, ALIKE = (0.05, 0.95), 16  # a square is at most 16 levels darker or brighter than 90 % of the hole
FLAT = 0.25  # of the squares: those with the least power at low frequencies
LOW = 0.12  # cycles a pixel; at lower frequencies, shading has more power than noise
LOUDEST = 24  # levels, the greatest standard deviation of grain. Dots of a coarse halftone are not replaced by noise
SHARP, NEARBY = 0.7, 2.0  # standard deviations in pixels: of a high-pass filter, and of the window of a local power


def add_grain(
    pixels: np.ndarray, known: np.ndarray, holes: Iterable[tuple[Part, np.ndarray]], strength: float, seed: int
) -> None:
    """Adds noise to the holes of a completed picture, uint8 [H, W, C], like that of its known pixels.

    holes: boxes, and where the hole is in each, bool [h, w]. strength: 1 for as much noise as around the hole. The
    random numbers follow from `seed` and the known pixels.
    """
    around = squares(pixels, known)
    if known.all() or len(around) < FEWEST:
        return
    low, high = np.quantile(pixels[~known].mean(axis=1), TYPICAL)
    brightness = around.mean(axis=(1, 2, 3))
    similar = (brightness >= low - ALIKE) & (brightness <= high + ALIKE)
    noise = spectrum(power(around[similar] if similar.sum() >= FEWEST else around))
    blur = np.exp(-2 * (math.pi * SHARP * frequencies()) ** 2)
    usual = (noise * (1 - blur) ** 2).mean(axis=(0, 1))
    rng = np.random.default_rng([seed, zlib.crc32(around.tobytes())])
    for box, hole in holes:
        colors = dct(pixels[box].astype(np.float32), axis=-1, norm="ortho")
        own = _mean((colors - _mean(colors, hole, SHARP)) ** 2, hole, NEARBY)
        share = np.sqrt((1 - own / np.maximum(usual, 1e-9)).clip(0))
        grainy = idct(colors + strength * share * synthesized(noise, hole.shape, rng), axis=-1, norm="ortho")
        pixels[box][hole] = grainy[hole].clip(0, 255).round()


def sharp_power(pixels: np.ndarray, where: np.ndarray) -> float:
    """Mean power above half of the Nyquist frequency of a picture, [H, W, C], in its part `where`, bool [H, W].

    It is measured in squares that lie in this part; not a number if none does.
    """
    found = squares(pixels, where)
    high = np.maximum.outer(*2 * [abs(fftfreq(SIDE))]) >= 0.25
    return float(power(found)[:, high, 0].mean()) if len(found) else math.nan


def squares(pixels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """uint8 [n, SIDE, SIDE, C]: squares of a picture, [H, W, C], that lie in `where`, bool [H, W]; at most MOST."""
    if min(where.shape) < SIDE:
        return np.empty((0, SIDE, SIDE, pixels.shape[2]), np.uint8)
    y, x = STRIDE * np.argwhere(sliding_window_view(where, (SIDE, SIDE))[::STRIDE, ::STRIDE].all(axis=(2, 3))).T
    evenly = slice(None, None, max(1, -(-len(y) // MOST)))
    return np.moveaxis(sliding_window_view(pixels, (SIDE, SIDE), axis=(0, 1))[y[evenly], x[evenly]], 1, -1)


def power(pixels: np.ndarray) -> np.ndarray:
    """[n, SIDE, SIDE, C]: the power spectra of squares. White noise of variance 1 has power 1.

    The last axis is the DCT of the colors: brightness, then two tints. These hardly correlate.
    """
    colors = dct(pixels.astype(np.float32), axis=-1, norm="ortho")
    ramp = np.linspace(-1, 1, SIDE, dtype=np.float32)
    ramp /= np.linalg.norm(ramp)
    flat = colors - colors.mean(axis=(1, 2), keepdims=True)
    for shape in ((1, SIDE, 1, 1), (1, 1, SIDE, 1)):  # removes linear shading
        slope = (flat * ramp.reshape(shape)).sum(axis=(1, 2), keepdims=True) / SIDE
        flat -= slope * ramp.reshape(shape)
    window = np.outer(np.hanning(SIDE + 2)[1:-1], np.hanning(SIDE + 2)[1:-1])[..., None]
    return np.abs(fft2(flat * window, axes=(1, 2))) ** 2 / (window**2).sum()


def frequencies() -> np.ndarray:
    """[SIDE, SIDE, 1]: the frequencies of a power spectrum in cycles a pixel."""
    return np.hypot(*np.meshgrid(fftfreq(SIDE), fftfreq(SIDE)))[..., None]


def spectrum(powers: np.ndarray) -> np.ndarray:
    """[SIDE, SIDE, C]: the power spectrum of the noise in squares with these power spectra."""
    high = frequencies() >= LOW
    shading = (powers * ~high).sum(axis=(1, 2, 3))
    flat = powers[shading <= np.quantile(shading, FLAT)]
    noise = high * np.median(flat, axis=0) / math.log(2)  # the mean of an exponential distribution
    return noise if noise.mean() <= LOUDEST**2 else np.zeros_like(noise)


def synthesized(spectrum: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """float32 [H, W, C]: noise with this power spectrum."""
    kernels = fftshift(ifft2(np.sqrt(spectrum), axes=(0, 1)).real, axes=(0, 1))
    white = rng.standard_normal((spectrum.shape[2], shape[0] + SIDE, shape[1] + SIDE), np.float32)
    channels = zip(white, np.moveaxis(kernels, -1, 0), strict=True)
    noise = np.dstack([cv2.filter2D(channel, cv2.CV_32F, kernel) for channel, kernel in channels])
    return noise[SIDE // 2 :, SIDE // 2 :][: shape[0], : shape[1]]


def _mean(colors: np.ndarray, hole: np.ndarray, width: float) -> np.ndarray:
    """[H, W, C]: Gaussian means of [H, W, C] over the pixels of the hole, bool [H, W]."""
    weights = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), width)[..., None]
    sums = cv2.GaussianBlur(np.where(hole[..., None], colors, 0), (0, 0), width)
    return sums.reshape(colors.shape) / np.maximum(weights, 1e-6)
