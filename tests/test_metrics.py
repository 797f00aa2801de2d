"""PSNR and SSIM against their definitions."""

import numpy as np

from pictures.metrics import psnr, ssim


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


def test_ssim():
    """Of one window, by its formula with Gaussian weights of deviation 1.5."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 1, 12, 11, 1), np.uint8)
    distance = np.arange(-5, 6)
    weights = np.exp(-(distance[:, None] ** 2 + distance**2) / (2 * 1.5**2))
    weights /= weights.sum()
    x, y = (p[0, 1:, :, 0].astype(float) for p in (a, b))
    mx, my = (weights * x).sum(), (weights * y).sum()
    vx, vy = (weights * x**2).sum() - mx**2, (weights * y**2).sum() - my**2
    covariance = (weights * x * y).sum() - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = (2 * mx * my + c1) * (2 * covariance + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    similar = ssim(a, b)
    assert similar.shape == (1, 2, 1)
    np.testing.assert_allclose(similar[0, 1, 0], expected, rtol=1e-3)
