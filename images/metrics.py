"""Measures how close a completed picture comes to the true one."""

import numpy as np
from scipy import ndimage

WINDOW = 11  # pixels, for structural similarity
SMALLEST = 16  # pixels: the smallest power of two that the window fits into
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # from the finest scale on


def psnr(completed: np.ndarray, pictures: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Peak signal-to-noise ratio in dB, [N], of uint8 pictures [N, H, W, C]; infinite for equal pictures.

    where: bool [N, H, W], the pixels that count; by default all.
    """
    error = ((completed.astype(float) - pictures) ** 2).mean(axis=3)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / np.mean(error, axis=(1, 2), where=True if where is None else where))


def ssim(completed: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Structural similarity, [N, H - 10, W - 10], of uint8 pictures [N, H, W, C], 11 or more pixels high and wide.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity" (2004), with a window of 11
    pixels. The value at [i, j] belongs to the window around pixel [i + 5, j + 5] and is the mean over the channels.
    """
    luminance, contrast_and_structure = _ssim_factors(completed.astype(float), pictures.astype(float))
    return (luminance * contrast_and_structure).mean(axis=3)


def ms_ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity at several scales, [N], of uint8 pictures [N, H, W, C], 11 or more pixels high and wide.

    Wang et al., "Multiscale Structural Similarity for Image Quality Assessment" (2003), equation 7, with those of its
    five scales that the window of 11 pixels fits into (three for 64x64) and weights scaled to a sum of 1. Negative
    values of contrast and structure count as 0.
    """
    x, y = a.astype(float), b.astype(float)
    weights = SCALE_WEIGHTS[: (min(x.shape[1:3]) // WINDOW).bit_length()]
    similar = np.ones((len(x), x.shape[3]))
    for scale, weight in enumerate(weights, 1):
        luminance, factor = _ssim_factors(x, y)
        if scale == len(weights):
            factor = luminance * factor
        similar *= factor.mean(axis=(1, 2)).clip(0) ** (weight / sum(weights))
        x, y = (_halved(each) for each in (x, y))
    return similar.mean(axis=1)


def _halved(pictures: np.ndarray) -> np.ndarray:
    """[N, H, W, C] -> [N, H / 2, W / 2, C]: means of 2x2 pixels; an odd last row or column is dropped."""
    n, height, width, channels = pictures.shape
    even = pictures[:, : height // 2 * 2, : width // 2 * 2]
    return even.reshape(n, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


def _ssim_factors(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luminance, and contrast times structure, each [N, H - 10, W - 10, C]."""
    mean_a, mean_b = _window_mean(a), _window_mean(b)
    variance_a, variance_b = _window_mean(a**2) - mean_a**2, _window_mean(b**2) - mean_b**2
    covariance = _window_mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance, (2 * covariance + c2) / (variance_a + variance_b + c2)


def sharpness(completed: np.ndarray, pictures: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mean gradient relative to the true `pictures`, [N], of uint8 pictures [N, H, W, C]; below 1 if blurred.

    where: bool [N, H, W], the pixels that count. NaN if the true picture is flat there.
    """
    found, true = (np.mean(_gradient(each), axis=(1, 2), where=where) for each in (completed, pictures))
    return np.divide(found, true, out=np.full(len(true), np.nan), where=true > 0)


def _gradient(pictures: np.ndarray) -> np.ndarray:
    """[N, H, W]: magnitude of the differences to the pixels to the right and below, mean over the channels."""
    x = pictures.astype(float)
    right, below = (np.diff(x, axis=axis, append=x.take([-1], axis)) for axis in (2, 1))
    return np.hypot(right, below).mean(axis=3)


def _window_mean(values: np.ndarray) -> np.ndarray:
    """[N, H, W, C] -> [N, H - 10, W - 10, C]: Gaussian means (deviation 1.5) over windows of 11 pixels."""
    for axis in (1, 2):
        values = ndimage.gaussian_filter1d(values, 1.5, axis=axis, radius=5)
    return values[:, 5:-5, 5:-5]
