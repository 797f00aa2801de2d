"""How near a completed picture comes to the true one."""

import numpy as np
from scipy import ndimage


def psnr(completed: np.ndarray, pictures: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Peak signal-to-noise ratio in dB, [N], of uint8 pictures [N, H, W, C]; infinite where nothing differs.

    where: bool [N, H, W], the pixels that count; all of them unless given.
    """
    error = ((completed.astype(float) - pictures) ** 2).mean(axis=3)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / np.mean(error, axis=(1, 2), where=True if where is None else where))


def ssim(completed: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Structural similarity, [N, H - 10, W - 10], of uint8 pictures [N, H, W, C], 11 or more pixels high and wide.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity" (2004), with its window
    of 11 pixels; the value at [i, j] is that of the window around pixel [i + 5, j + 5], the channels' mean.
    """
    a, b = completed.astype(float), pictures.astype(float)
    mean_a, mean_b = _window_mean(a), _window_mean(b)
    variance_a, variance_b = _window_mean(a**2) - mean_a**2, _window_mean(b**2) - mean_b**2
    covariance = _window_mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    contrast_and_structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (luminance * contrast_and_structure).mean(axis=3)


def sharpness(completed: np.ndarray, pictures: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The mean gradient of uint8 pictures [N, H, W, C] as a share of the true `pictures`', [N]: below 1 if blurred.

    where: bool [N, H, W], the pixels that count. Not a number where the true picture is flat.
    """
    found, true = (np.mean(_gradient(each), axis=(1, 2), where=where) for each in (completed, pictures))
    return np.divide(found, true, out=np.full(len(true), np.nan), where=true > 0)


def _gradient(pictures: np.ndarray) -> np.ndarray:
    """[N, H, W]: the mean magnitude over the channels of each pixel's difference to the next ones, right and below."""
    x = pictures.astype(float)
    right, below = (np.diff(x, axis=axis, append=x.take([-1], axis)) for axis in (2, 1))
    return np.hypot(right, below).mean(axis=3)


def _window_mean(values: np.ndarray) -> np.ndarray:
    """[N, H, W, C] -> [N, H - 10, W - 10, C]: means weighted by a Gaussian of deviation 1.5 in windows of 11 pixels."""
    for axis in (1, 2):
        values = ndimage.gaussian_filter1d(values, 1.5, axis=axis, radius=5)
    return values[:, 5:-5, 5:-5]
