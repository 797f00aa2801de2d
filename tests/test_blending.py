"""Blending against the definition of what it solves, hand-made cases, and what it must not read."""

import numpy as np
import pytest

from images.blending import TENSION, blend
from images.incomplete import Incomplete

RNG = np.random.default_rng(0)
KINDS = ("poisson", "tension")


def hole(size, *regions):
    mask = np.ones((size, size), bool)
    for region in regions:
        mask[region] = False
    return mask


HOLES = {
    "inside": hole(12, np.s_[3:8, 4:9]),
    "at the edge": hole(12, np.s_[:5, 7:]),
    "several": hole(12, np.s_[1:3, 1:4], np.s_[6:11, 5:7]),
    "one pixel": hole(12, np.s_[6, 6]),
    "a corner pixel": hole(12, np.s_[0, 11]),
    "half": hole(12, np.s_[:, :6]),
    "scattered": RNG.random((12, 12)) < 0.2,
}


def smooth(n=2, size=12):
    """Pictures far from black and white, so that nothing is cut off."""
    return RNG.integers(100, 150, (n, size, size, 3), np.uint8)


def energy(residual, kind):
    """What blending minimizes, summed by hand over neighbors within the picture."""
    dx, dy = np.diff(residual, axis=1), np.diff(residual, axis=0)
    tension = (dx**2).sum() + (dy**2).sum()
    if kind == "poisson":
        return tension
    laplace = np.zeros_like(residual)
    laplace[:, :-1] += dx
    laplace[:, 1:] -= dx
    laplace[:-1] += dy
    laplace[1:] -= dy
    return (laplace**2).sum() + TENSION * tension


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HOLES)
def test_the_residual_in_the_hole_has_the_least_energy(kind, name):
    """Against a dense solution of the normal equations, made from the energy's values alone."""
    mask = HOLES[name]
    generated, pictures = smooth(), smooth()
    completed = blend(generated, Incomplete(pictures, mask), kind)
    places = np.argwhere(~mask)
    fixed = np.where(mask, pictures[1, ..., 2] - generated[1, ..., 2].astype(float), 0)
    basis = np.zeros((len(places), *mask.shape))
    basis[np.arange(len(places)), places[:, 0], places[:, 1]] = 1
    e = [energy(b, kind) for b in basis]
    matrix = np.array(
        [[(energy(a + b, kind) - e[i] - e[j]) / 2 for j, b in enumerate(basis)] for i, a in enumerate(basis)]
    )
    right = np.array([(energy(fixed + b, kind) - energy(fixed, kind) - e[i]) / 2 for i, b in enumerate(basis)])
    expected = generated[1, ..., 2][~mask] - np.linalg.solve(matrix, right)
    assert abs(completed[1, ..., 2][~mask] - expected).max() <= 0.51
    np.testing.assert_array_equal(completed[:, mask], pictures[:, mask])


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_offset_is_taken_away(kind):
    pictures = smooth()
    np.testing.assert_array_equal(blend(pictures - 30, Incomplete(pictures, HOLES["half"]), kind), pictures)


@pytest.mark.parametrize("kind", KINDS)
def test_one_pixel_gets_its_neighbors_mean_residual(kind):
    """By symmetry: all residuals are 0 but at the four neighbors, or at all pixels 8."""
    mask = HOLES["one pixel"]
    pictures = np.full((1, 12, 12, 1), 100, np.uint8)
    incomplete = Incomplete(pictures, mask)
    generated = pictures.copy()
    generated[0, 6, 6] = 50
    if kind == "poisson":
        for y, x, value in ((5, 6, 92), (7, 6, 96), (6, 5, 104), (6, 7, 88)):  # residuals 8, 4, -4, 12
            generated[0, y, x] = value
        assert blend(generated, incomplete, kind)[0, 6, 6] == 50 + 5
    assert blend(np.where(mask[None, ..., None], 92, generated).astype(np.uint8), incomplete, kind)[0, 6, 6] == 58


def test_poisson_keeps_between_the_residuals_and_does_not_wrap():
    """The maximum principle; a bright right edge must not reach a hole at the left edge."""
    mask = hole(16, np.s_[4:12, :6])
    generated = np.full((1, 16, 16, 1), 100, np.uint8)
    pictures = generated.copy()
    pictures[0, :, 12:] = 200
    np.testing.assert_array_equal(blend(generated, Incomplete(pictures, mask), "poisson"), pictures)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HOLES)
def test_no_hidden_pixel_is_read(kind, name):
    mask, generated, pictures = HOLES[name], smooth(), smooth()
    scrambled = np.where(mask[..., None], pictures, RNG.integers(0, 256, pictures.shape, np.uint8))
    whole, other = (blend(generated, Incomplete(seen, mask), kind) for seen in (pictures, scrambled))
    np.testing.assert_array_equal(whole, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_each_and_no_influence_of_the_others(kind):
    masks = np.stack([HOLES["inside"], HOLES["scattered"], HOLES["inside"]])
    generated, pictures = RNG.integers(0, 256, (2, 3, 12, 12, 3), np.uint8)
    together = blend(generated, Incomplete(pictures, masks), kind)
    for i in range(3):
        alone = blend(generated[i : i + 1], Incomplete(pictures[i : i + 1], masks[i]), kind)
        np.testing.assert_array_equal(together[i : i + 1], alone)


@pytest.mark.parametrize("kind", KINDS)
def test_values_stay_in_range(kind):
    pictures = np.zeros((1, 12, 12, 3), np.uint8)
    generated = np.full_like(pictures, 255)
    generated[:, 5:7, 5:7] = 0  # darker than black once the residual of -255 is added
    dark, bright = (Incomplete(known, HOLES["inside"]) for known in (pictures, 255 - pictures))
    assert (blend(generated, dark, kind)[:, 5:7, 5:7] == 0).all()
    assert (blend(255 - generated, bright, kind)[:, 5:7, 5:7] == 255).all()


def test_nothing_known_nothing_hidden_and_no_blending():
    generated, pictures = smooth(), smooth()
    everywhere, nowhere = np.ones((12, 12), bool), np.zeros((12, 12), bool)
    for kind in KINDS:
        np.testing.assert_array_equal(blend(generated, Incomplete(pictures, everywhere), kind), pictures)
        np.testing.assert_array_equal(blend(generated, Incomplete(pictures, nowhere), kind), generated)
    mask = HOLES["inside"]
    pasted = blend(generated, Incomplete(pictures, mask), "none")
    np.testing.assert_array_equal(pasted[:, mask], pictures[:, mask])
    np.testing.assert_array_equal(pasted[:, ~mask], generated[:, ~mask])
