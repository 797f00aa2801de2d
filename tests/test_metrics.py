"""PSNR and SSIM against their definitions."""

import numpy as np
import pytest

from images.metrics import ms_ssim, psnr, sharpness, ssim
from kernels.tensorflow import tf


def test_psnr():
    a = np.full((2, 8, 8, 3), 100, np.uint8)
    b = a.copy()
    b[1, :4] = 110
    values = psnr(b, a)
    assert values[0] == np.inf
    np.testing.assert_allclose(values[1], 10 * np.log10(255**2 / 50))
    where = np.zeros((2, 8, 8), bool)
    where[:, 2:6] = True  # half of it differs, too
    where[:, 2] = False
    np.testing.assert_allclose(psnr(b, a, where)[1], 10 * np.log10(255**2 / (100 / 3)))


def window_ssim(x, y):
    """Of one window of 11x11 pixels, by its formula with Gaussian weights of deviation 1.5."""
    distance = np.arange(-5, 6)
    weights = np.exp(-(distance[:, None] ** 2 + distance**2) / (2 * 1.5**2))
    weights /= weights.sum()
    mx, my = (weights * x).sum(), (weights * y).sum()
    vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
    covariance = (weights * (x - mx) * (y - my)).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return (2 * mx * my + c1) * (2 * covariance + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))


def noisy(shape):
    """Two pictures that are somewhat alike."""
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, shape)
    return a.astype(np.uint8), np.clip(a + rng.normal(0, 40, shape), 0, 255).astype(np.uint8)


def test_ssim_is_that_of_each_window():
    a, b = noisy((2, 14, 12, 3))
    expected = np.zeros((2, 4, 2, 3))
    for n, i, j, c in np.ndindex(expected.shape):
        window = (n, slice(i, i + 11), slice(j, j + 11), c)
        expected[n, i, j, c] = window_ssim(a[window].astype(float), b[window].astype(float))
    np.testing.assert_allclose(ssim(a, b), expected.mean(axis=3), rtol=1e-9)
    np.testing.assert_allclose(ssim(a, a), 1)


def test_ssim_is_that_of_tensorflow():
    a, b = noisy((2, 40, 33, 3))
    expected = tf.image.ssim(tf.constant(a), tf.constant(b), 255, return_index_map=True)
    np.testing.assert_allclose(ssim(a, b), expected, atol=1e-4)


@pytest.mark.parametrize(("size", "scales"), [(64, 3), (16, 1)])
def test_ms_ssim_is_that_of_tensorflow(size, scales):
    a, b = noisy((2, size, size, 3))
    weights = np.array((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)[:scales])
    expected = tf.image.ssim_multiscale(tf.constant(a), tf.constant(b), 255, list(weights / weights.sum()))
    np.testing.assert_allclose(ms_ssim(a, b), expected, atol=1e-4)
    np.testing.assert_allclose(ms_ssim(a, a), 1)


def test_sharpness_is_the_share_of_the_gradient_that_is_left():
    slope = np.arange(0, 160, 10, dtype=np.uint8)
    true = np.broadcast_to(slope[:, None] + slope, (1, 16, 16))[..., None]  # 10 a pixel, right and down
    where = np.zeros((1, 16, 16), bool)
    where[:, 4:9, 3:12] = True
    assert sharpness(true, true, where) == 1
    assert sharpness(true // 2, true, where) == 0.5
    np.testing.assert_array_equal(sharpness(true, 0 * true, where), np.nan)
