"""Masks against what the post and its repository say of them."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from pictures.files import PictureError
from pictures.masks import context_weights, find_mask, fit_mask, hide, load_masked, make_mask, read_mask
from pictures.options import MASK_TYPES, MaskOptions
from utils import UserError


def mask(kind, size=64, seed=0, **options):
    return make_mask(kind, size, MaskOptions(**options), seed)


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


def test_an_unknown_type():
    with pytest.raises(ValueError, match="no mask type middle"):
        mask("middle")


@pytest.mark.parametrize(
    ("kind", "options", "word"),
    [("center", {"center_scale": 0}, "everything"), ("center", {"center_scale": 0.5}, "nothing")],
)
def test_a_mask_that_hides_nothing_or_everything(kind, options, word):
    with pytest.raises(UserError, match=word):
        mask(kind, **options)


def write(path, array):
    Image.fromarray(np.asarray(array, np.uint8)).save(path)
    return path


def test_a_mask_picture_is_white_where_pixels_are_known(tmp_path):
    left = np.zeros((8, 8))
    left[:, 4:] = 255
    path = write(tmp_path / "m.png", left)
    np.testing.assert_array_equal(read_mask(path), left == 255)
    np.testing.assert_array_equal(read_mask(path, invert=True), left == 0)


def test_a_resized_mask_has_no_grey_edge():
    large = np.ones((90, 90), bool)
    large[:, :46] = False  # 46 / 90 * 16 = 8.2 columns
    expected = np.ones((16, 16), bool)
    expected[:, :8] = False
    np.testing.assert_array_equal(fit_mask(large, 16, "m"), expected)
    small = np.array([[True, False], [True, True]])
    np.testing.assert_array_equal(fit_mask(small, 4, "m"), small.repeat(2, 0).repeat(2, 1))


def test_a_mask_that_is_not_square_or_no_picture(tmp_path):
    with pytest.raises(UserError, match="20x10"):
        read_mask(write(tmp_path / "wide.png", np.zeros((10, 20))))
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(PictureError, match="text"):
        read_mask(tmp_path / "text.png")


def test_the_mask_of_a_picture_has_its_stem(tmp_path):
    (tmp_path / "a.JPG").touch()
    (tmp_path / "b.txt").touch()
    (tmp_path / "c.jpg").touch()
    (tmp_path / "c.png").touch()
    assert find_mask(tmp_path, tmp_path / "else" / "a.png") == tmp_path / "a.JPG"
    with pytest.raises(PictureError, match="no mask b"):
        find_mask(tmp_path, tmp_path / "b.png")
    assert find_mask(tmp_path, tmp_path / "c.jpg") == tmp_path / "c.png"  # a picture is not its own mask
    with pytest.raises(PictureError, match=r"several masks, c\.jpg, c\.png"):
        find_mask(tmp_path, tmp_path / "else" / "c.png")


@pytest.mark.parametrize("c_dim", [1, 3])
def test_hidden_pixels_do_not_run_into_known_ones_when_resized(tmp_path, c_dim):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (50, 70, 3))
    known = np.ones((50, 50), bool)
    known[10:30, 5:27] = False
    loaded = []
    for filling in (0, 255):
        square = picture[:, 10:60]
        square[~known] = filling
        loaded.append(load_masked(write(tmp_path / "p.png", picture), 16, c_dim, known))
    assert loaded[0].picture.shape == (16, 16, c_dim) and loaded[0].fitted
    seen = loaded[0].mask
    assert not seen.all() and seen.any()
    np.testing.assert_array_equal(loaded[0].picture[seen], loaded[1].picture[seen])
    assert (loaded[0].picture != loaded[1].picture).any()  # what was hidden can be shown


def test_transparency_is_a_hole(tmp_path):
    made = mask("left", 16)
    rgba = np.random.default_rng(0).integers(0, 256, (16, 16, 4))
    rgba[..., 3] = 255
    plain = load_masked(write(tmp_path / "p.png", rgba), 16, 3, made, by_transparency=True)
    np.testing.assert_array_equal(plain.mask, made)
    rgba[2:5, 3:9, 3] = 0
    erased = load_masked(write(tmp_path / "p.png", rgba), 16, 3, made, by_transparency=True)
    np.testing.assert_array_equal(~erased.mask, rgba[..., 3] == 0)
    np.testing.assert_array_equal(erased.picture[erased.mask], rgba[erased.mask][:, :3])
    assert not erased.fitted
    both = load_masked(tmp_path / "p.png", 16, 3, made)
    np.testing.assert_array_equal(both.mask, made & erased.mask)
    rgba[..., 3] = 0
    with pytest.raises(UserError, match=r"p\.png hides everything"):
        load_masked(write(tmp_path / "p.png", rgba), 16, 3, made, by_transparency=True)


def test_context_weights_are_the_shares_of_unknown_neighbours():
    """Each counted by hand, as far as the window lies in the picture."""
    known = np.random.default_rng(0).random((12, 12)) < 0.6
    weights = context_weights(known, 5)
    for y in range(12):
        for x in range(12):
            window = ~known[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
            assert weights[y, x] == pytest.approx(window.mean() if known[y, x] else 0, abs=1e-6)
    np.testing.assert_array_equal(context_weights(known, 0), known)
    np.testing.assert_array_equal(context_weights(np.ones((8, 8), bool), 7), 1)


def test_hide():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    known = np.eye(16, dtype=bool)
    hidden = hide(pictures, known)
    np.testing.assert_array_equal(hidden[:, known], pictures[:, known])
    assert (hidden[:, ~known] == 128).all()
    means = hide(pictures, known, lowres=8)
    assert means.shape == pictures.shape
    assert (means[1, :8, 8:] == means[1, 0, 8]).all()
    np.testing.assert_allclose(means[1, 0, 8], pictures[1, :8, 8:].mean((0, 1)), atol=0.5)
