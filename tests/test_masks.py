"""Masks against what the post and its repository say of them."""

import numpy as np
import pytest

from masks import TYPES, hide, make_mask


def mask(kind, size=64, scale=0.25, seed=0):
    return make_mask(kind, size, scale, seed)


def test_center():
    expected = np.ones((64, 64), bool)
    expected[16:48, 16:48] = False
    np.testing.assert_array_equal(mask("center"), expected)
    expected = np.ones((64, 64), bool)
    expected[19:44, 19:44] = False  # int(64 * 0.3) to int(64 * 0.7)
    np.testing.assert_array_equal(mask("center", scale=0.3), expected)
    assert not mask("center", scale=0).any()
    assert mask("center", scale=0.5).all()


def test_random():
    a, same, other = (mask("random", 256, seed=seed) for seed in (1, 1, 2))
    assert 1 - a.mean() == pytest.approx(0.2, abs=0.01)
    np.testing.assert_array_equal(a, same)
    assert (a != other).any()


def test_left_full_grid_lowres():
    left = mask("left")
    assert not left[:, :32].any() and left[:, 32:].all()
    assert mask("full").all()
    rows, columns = np.nonzero(mask("grid"))
    assert set(rows) == set(columns) == set(range(0, 64, 4)) and len(rows) == 256
    assert not mask("lowres").any()


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("size", [8, 256])
def test_every_type_at_every_size(kind, size):
    assert mask(kind, size).shape == (size, size)
    assert mask(kind, size).dtype == bool


def test_an_unknown_type():
    with pytest.raises(ValueError, match="no mask type middle"):
        mask("middle")


def test_hide():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    known = np.eye(16, dtype=bool)
    hidden = hide(pictures, known)
    np.testing.assert_array_equal(hidden[:, known], pictures[:, known])
    assert (hidden[:, ~known] == 128).all()
    means = hide(pictures, known, lowres=True)
    assert means.shape == pictures.shape
    assert (means[1, :8, 8:] == means[1, 0, 8]).all()
    np.testing.assert_allclose(means[1, 0, 8], pictures[1, :8, 8:].mean((0, 1)), atol=0.5)
