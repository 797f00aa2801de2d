"""Where the searches start, in a space whose pictures are known."""

import numpy as np
import pytest

from dcgan.spaces import Cube
from dcgan.starts import FIT_RIDGE, FIT_SAMPLES, STARTS
from images.incomplete import Face, Incomplete

RNG = np.random.default_rng(0)
LEFT = np.arange(8) < np.full((8, 1), 4)


class Linear:
    """Pictures of 8x8 that are linear in z, and a space of twice the cube's sides."""

    z_dim = 5
    random = staticmethod(Cube.random)
    to_pixels = RNG.normal(0, 0.1, (5, 64)).astype(np.float32)

    def images(self, z):
        return (z @ self.to_pixels).reshape(-1, 8, 8, 1)

    def project(self, z):
        return np.clip(z, -2, 2)


def start(kind, incomplete, seed=0):
    return STARTS[kind](Linear(), incomplete, seed)


def pictures_of(z):
    return ((Linear().images(z.astype(np.float32)) + 1) * 127.5).round().astype(np.uint8)


def test_random_z():
    faces = [Face(0), Face(1), Face(0, 1)]
    z = np.stack([Cube.random(seed, face, 50, restart) for seed in (0, 1) for face in faces for restart in (0, 1)])
    assert abs(z).max() <= 1 and z.std() == pytest.approx(1 / np.sqrt(3), abs=0.05)
    assert len(np.unique(z, axis=0)) == 12


def test_zero_and_random():
    incomplete = Incomplete(np.zeros((3, 8, 8, 1), np.uint8), LEFT, ids=[*map(Face, (4, 0, 9))])
    np.testing.assert_array_equal(start("zero", incomplete), np.zeros((3, 5)))
    expected = [Cube.random(7, face, 5) for face in incomplete.ids]
    np.testing.assert_array_equal(start("random", incomplete, 7), expected)


def test_fit_is_a_ridge_regression_on_the_known_pixels():
    """By the normal equations of the pixels, mask by mask, instead of those of the samples."""
    z = RNG.uniform(-0.5, 0.5, (3, 5))
    masks = np.stack([LEFT, ~LEFT, LEFT])
    pictures = pictures_of(z)
    found = start("fit", Incomplete(pictures, masks), seed=3)
    samples = np.random.default_rng(3).uniform(-1, 1, (FIT_SAMPLES, 5))
    for i, mask in enumerate(masks):
        x = Linear().images(samples)[:, mask][..., 0]
        centred = x - x.mean(axis=0)
        covariance = centred.T @ centred
        penalty = FIT_RIDGE * np.trace(covariance) / FIT_SAMPLES
        weights = np.linalg.solve(covariance + penalty * np.eye(32), centred.T @ samples)
        expected = (pictures[i][mask][:, 0] / 127.5 - 1 - x.mean(axis=0)) @ weights
        np.testing.assert_allclose(found[i], expected, atol=1e-3)
    assert abs(found - z).max() < 0.1


def test_fit_reads_no_hidden_pixel_and_stays_in_the_space():
    pictures = pictures_of(RNG.uniform(-0.5, 0.5, (2, 5)))
    scrambled = np.where(LEFT[..., None], pictures, 255 - pictures)
    np.testing.assert_array_equal(start("fit", Incomplete(pictures, LEFT)), start("fit", Incomplete(scrambled, LEFT)))
    black = Incomplete(np.zeros((1, 8, 8, 1), np.uint8), LEFT)
    assert abs(start("fit", black)).max() == 2


def test_fit_to_nothing_known_is_the_middle():
    masks = np.stack([LEFT, np.zeros((8, 8), bool)])
    found = start("fit", Incomplete(pictures_of(RNG.uniform(-0.5, 0.5, (2, 5))), masks))
    assert found[0].any() and not found[1].any()


def test_the_cube():
    z = np.array([[-3, 0.25, 1, 2]])
    np.testing.assert_array_equal(Cube.project(z), [[-1, 0.25, 1, 1]])
    z = np.array([[1.0, 2.0], [0.0, -3.0]])
    np.testing.assert_allclose(Cube(None, 2.0, 0.0, False).penalty(z), [10, 18])
    np.testing.assert_allclose(Cube(None, 2.0, 1.0, False).penalty(z), [2 * (5**0.5 - 1) ** 2, 8])
    assert Cube(lambda z: 2 * z, 0.0, 0.0, False).images(3) == 6
