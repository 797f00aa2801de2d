"""Distances of sets of pictures, against SciPy and closed forms."""

import cv2
import numpy as np
import pytest
from scipy import linalg, stats

from images.likeness import frechet, sliced_wasserstein


def textures(n, seed, size=32, sigma=1.5):
    """Smooth random pictures."""
    noise = np.random.default_rng(seed).normal(0, 1, (n, size, size, 1))
    smooth = np.stack([cv2.GaussianBlur(each, (0, 0), sigma)[..., None] for each in noise])
    return (128 + 100 * smooth / np.abs(smooth).max()).astype(np.uint8)


def test_sliced_wasserstein_is_the_mean_over_directions():
    rng = np.random.default_rng(0)
    # A picture of 7x7 is one patch.
    a, b = (rng.choice([0, 255], (60, 7, 7, 1), p=(1 - p, p)).astype(np.uint8) for p in (0.5, 0.05))
    flat_a, flat_b = ((each.reshape(60, 49) - each.mean()) / each.std() for each in (a, b))
    directions = rng.normal(size=(2000, 49))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = np.mean([stats.wasserstein_distance(flat_a @ each, flat_b @ each) for each in directions])
    np.testing.assert_allclose(sliced_wasserstein(a, b), 1000 * expected, rtol=0.05)


def test_each_size_sees_what_differs_there():
    real, same = textures(60, 0), textures(60, 1)
    blurred = np.stack([cv2.GaussianBlur(each, (0, 0), 1.5)[..., None] for each in same])
    fine, coarse = sliced_wasserstein(same, real)
    fine_of_blurred, coarse_of_blurred = sliced_wasserstein(blurred, real)
    assert fine_of_blurred > 1.5 * fine
    assert sliced_wasserstein(textures(60, 2, sigma=6), real)[1] > 3 * coarse
    np.testing.assert_array_equal(sliced_wasserstein(same, real), (fine, coarse))
    assert np.isfinite(coarse_of_blurred)


def test_flat_pictures_have_a_distance():
    flat = np.full((4, 16, 16, 3), 7, np.uint8)
    assert sliced_wasserstein(flat, flat) == [0]


def test_sets_of_two_sizes_are_not_compared():
    with pytest.raises(ValueError, match="different shapes"):
        sliced_wasserstein(textures(3, 0), textures(4, 0))


def test_frechet_is_that_of_two_normal_distributions():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (500, 6)) @ rng.normal(0, 1, (6, 6)), rng.normal(1, 2, (500, 6))
    covariances = np.cov(a.T), np.cov(b.T)
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(sum(covariances) - 2 * root)
    np.testing.assert_allclose(frechet(a, b), expected)
    np.testing.assert_allclose(frechet(a, a + 3), 6 * 9)
    assert abs(frechet(a, a)) < 1e-9
