"""How near a completed picture comes to the true one."""

import numpy as np

from ops import tf


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
    maps = tf.image.ssim(tf.constant(completed), tf.constant(pictures), 255, return_index_map=True)
    return maps.numpy()
