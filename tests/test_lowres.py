"""Pictures of which the means of blocks are known: they hold, and the rest is as smooth as it can be."""

import numpy as np
import pytest
from scipy.optimize import minimize

from images.blending import TENSION, blend
from images.incomplete import Incomplete

KINDS = ("poisson", "tension")
RNG = np.random.default_rng(0)


def block_sums(pictures, side):
    n, height, width, channels = pictures.shape
    blocks = pictures.astype(int).reshape(n, height // side, side, width // side, side, channels)
    return blocks.sum(axis=(2, 4))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [2, 4, 8, 16])
@pytest.mark.parametrize("share", [0, 0.3])
def test_block_means_and_known_pixels_hold_exactly(kind, side, share):
    generated, pictures = RNG.integers(0, 256, (2, 3, 16, 16, 3), np.uint8)
    pictures[0] = 255 * RNG.integers(0, 2, (16, 16, 3))  # the limits cut off much
    pictures[1, :8] = 255
    masks = RNG.random((3, 16, 16)) < share
    completed = blend(generated, Incomplete(pictures, masks, side), kind)
    np.testing.assert_array_equal(block_sums(completed, side), block_sums(pictures, side))
    np.testing.assert_array_equal(completed[masks], pictures[masks])


def energy(residual, kind):
    dx, dy = np.diff(residual, axis=1), np.diff(residual, axis=0)
    laplace = np.zeros_like(residual)
    laplace[:, :-1] += dx
    laplace[:, 1:] -= dx
    laplace[:-1] += dy
    laplace[1:] -= dy
    tension = (dx**2).sum() + (dy**2).sum()
    return tension if kind == "poisson" else (laplace**2).sum() + TENSION * tension


@pytest.mark.parametrize("kind", KINDS)
def test_the_residual_has_the_least_energy_of_those_with_these_block_means(kind):
    """Against a minimizer that knows only the energy's values and the constraints."""
    generated, pictures = RNG.integers(110, 140, (2, 1, 8, 8, 1), np.uint8)
    completed = blend(generated, Incomplete(pictures, np.zeros((8, 8)), 4), kind)
    wanted = (block_sums(pictures, 4) - block_sums(generated, 4)).ravel()

    def sums(flat):
        return block_sums_of_floats(flat) - wanted

    def block_sums_of_floats(flat):
        return flat.reshape(2, 4, 2, 4).sum(axis=(1, 3)).ravel()

    found = minimize(
        lambda flat: energy(flat.reshape(8, 8), kind),
        np.zeros(64),
        constraints={"type": "eq", "fun": sums},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-10},
    )
    assert found.success
    assert abs(completed[0, ..., 0] - (generated[0, ..., 0] + found.x.reshape(8, 8))).max() < 1.1


def test_each_picture_alone_and_no_hidden_pixel_read():
    generated, pictures = RNG.integers(0, 256, (2, 3, 16, 16, 3), np.uint8)
    together = blend(generated, Incomplete(pictures, np.zeros((16, 16)), 4))
    turned = pictures.reshape(3, 4, 4, 4, 4, 3)[:, :, ::-1, :, ::-1].reshape(
        pictures.shape
    )  # in blocks: the same means
    for i in range(3):
        alone = blend(generated[i : i + 1], Incomplete(turned[i : i + 1], np.zeros((16, 16)), 4))
        np.testing.assert_array_equal(together[i : i + 1], alone)


def test_without_blending_the_generated_picture_stays_as_it_is():
    generated, pictures = RNG.integers(0, 256, (2, 1, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(blend(generated, Incomplete(pictures, np.zeros((16, 16)), 4), "none"), generated)
