"""Masks against what the post and its repository say of them."""

import numpy as np
import pytest
from scipy import ndimage

from images.mask_options import MASK_TYPES, MaskOptions
from images.masks import context_weights, grown, make_mask
from utils import UserError


def mask(kind, size=64, seed=0, **options):
    return make_mask(kind, size, MaskOptions(kind=kind, **options), seed)


def test_center():
    expected = np.ones((64, 64), bool)
    expected[16:48, 16:48] = False
    np.testing.assert_array_equal(mask("center"), expected)
    expected = np.ones((64, 64), bool)
    expected[19:44, 19:44] = False  # int(64 * 0.3) to int(64 * 0.7)
    np.testing.assert_array_equal(mask("center", center_scale=0.3), expected)


def test_random():
    a, same, other = (mask("random", 256, seed=seed) for seed in (1, 1, 2))
    assert 1 - a.mean() == pytest.approx(0.2, abs=0.01)
    np.testing.assert_array_equal(a, same)
    assert (a != other).any()


def test_random_share():
    assert 1 - mask("random", 256, random_share=0.8).mean() == pytest.approx(0.8, abs=0.01)


def test_halves():
    for kind, turns in (("left", 0), ("top", 3), ("right", 2), ("bottom", 1)):
        left = np.rot90(mask(kind), -turns)
        assert not left[:, :32].any() and left[:, 32:].all(), kind


def test_pattern_is_a_quarter_in_blobs():
    a, same, other = (mask("pattern", seed=seed) for seed in (1, 1, 2))
    assert 1 - a.mean() == pytest.approx(0.25, abs=0.01)
    assert ndimage.label(~a)[1] < 30 < ndimage.label(~mask("random", random_share=0.25))[1]
    np.testing.assert_array_equal(a, same)
    assert (a != other).any()


def test_full_grid_lowres():
    assert mask("full").all()
    assert mask("grid", grid_step=8).sum() == 64
    rows, columns = np.nonzero(mask("grid"))
    assert set(rows) == set(columns) == set(range(0, 64, 4)) and len(rows) == 256
    assert not mask("lowres").any()


@pytest.mark.parametrize("kind", MASK_TYPES)
@pytest.mark.parametrize("size", [8, 256])
def test_every_type_at_every_size(kind, size):
    assert mask(kind, size).shape == (size, size)
    assert mask(kind, size).dtype == bool


@pytest.mark.parametrize(
    ("kind", "options", "word"),
    [("center", {"center_scale": 0}, "everything"), ("center", {"center_scale": 0.5}, "nothing")],
)
def test_a_mask_that_hides_nothing_or_everything(kind, options, word):
    with pytest.raises(UserError, match=word):
        mask(kind, **options)


def test_context_weights_are_the_shares_of_unknown_neighbors():
    """Each counted by hand, as far as the window lies in the picture."""
    known = np.random.default_rng(0).random((12, 12)) < 0.6
    weights = context_weights(known, 5)
    for y in range(12):
        for x in range(12):
            window = ~known[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
            assert weights[y, x] == pytest.approx(window.mean() if known[y, x] else 0, abs=1e-6)
    np.testing.assert_allclose(context_weights(known, 5, 0.25), weights + 0.25 * known, atol=1e-6)
    np.testing.assert_array_equal(context_weights(known, 0, 0.25), known)
    np.testing.assert_array_equal(context_weights(np.ones((8, 8), bool), 7), 1)


@pytest.mark.parametrize("by", [0, 1, 2, 5])
def test_a_hole_grows_by_a_distance(by):
    """A pixel is hidden if a pixel of the hole is at most this far away, each pair compared."""
    known = np.random.default_rng(3).random((30, 40)) > 0.01
    hole, everywhere = np.argwhere(~known), np.argwhere(np.ones_like(known))
    distances = np.sqrt(((everywhere[:, None] - hole) ** 2).sum(axis=-1)).min(axis=1).reshape(known.shape)
    np.testing.assert_array_equal(~grown(known, by), distances <= by)
    np.testing.assert_array_equal(grown(known, by), ndimage.distance_transform_edt(known) > by)


def test_without_a_hole_nothing_grows():
    assert grown(np.ones((5, 6), bool), 3).all() and not grown(np.eye(5, dtype=bool), 3).any()
