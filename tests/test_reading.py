"""Pictures and masks from files: what of a picture is known once it has the model's size."""

import numpy as np
import pytest
from PIL import Image

from completion.aligned_reader import AlignedReader
from completion.given_masks import GivenMasks
from dcgan.options import NetworkOptions
from images.mask_options import MaskOptions
from images.masks import fit_mask, make_mask
from utils import UserError


def write(path, array):
    Image.fromarray(np.asarray(array, np.uint8)).save(path)
    return path


def test_a_resized_mask_has_no_grey_edge():
    large = np.ones((90, 90), bool)
    large[:, :46] = False  # 46 / 90 * 16 = 8.2 columns
    expected = np.ones((16, 16), bool)
    expected[:, :8] = False
    np.testing.assert_array_equal(fit_mask(large, 16, "m"), expected)
    small = np.array([[True, False], [True, True]])
    np.testing.assert_array_equal(fit_mask(small, 4, "m"), small.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("c_dim", [1, 3])
def test_hidden_pixels_do_not_run_into_known_ones_when_resized(tmp_path, c_dim):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (50, 70, 3))
    known = np.ones((50, 50), bool)
    known[10:30, 5:27] = False
    reader = AlignedReader(
        GivenMasks(MaskOptions(file=write(tmp_path / "mask.png", 255 * known))), NetworkOptions(16, c_dim), 0
    )
    loaded = []
    for filling in (0, 255):
        square = picture[:, 10:60]
        square[~known] = filling
        loaded.append(reader.read(write(tmp_path / "p.png", picture)))
    assert loaded[0].picture.pixels.shape == (16, 16, c_dim) and loaded[0].fitted
    seen = loaded[0].picture.known
    assert not seen.all() and seen.any()
    np.testing.assert_array_equal(loaded[0].picture.pixels[seen], loaded[1].picture.pixels[seen])
    assert (loaded[0].picture.pixels != loaded[1].picture.pixels).any()  # what was hidden can be shown


@pytest.mark.parametrize("kind", ["center", "lowres"])
def test_a_picture_is_enlarged_eight_times_at_most(tmp_path, kind):
    reader = AlignedReader(GivenMasks(MaskOptions(kind=kind)), NetworkOptions(32), 0)
    assert reader.read(write(tmp_path / "p.png", np.zeros((4, 9, 3)))).fitted
    with pytest.raises(UserError, match=r"p\.png is 9x3, too small for this 32x32 model: use a larger picture"):
        reader.read(write(tmp_path / "p.png", np.zeros((3, 9, 3))))


def test_transparency_is_a_hole(tmp_path):
    rgba = np.random.default_rng(0).integers(0, 256, (16, 16, 4))
    rgba[..., 3] = 255
    rgba[2:5, 3:9, 3] = 0
    erased = read(write(tmp_path / "p.png", rgba))
    np.testing.assert_array_equal(~erased.picture.known, rgba[..., 3] == 0)
    np.testing.assert_array_equal(erased.picture.pixels[erased.picture.known], rgba[erased.picture.known][:, :3])
    assert not erased.fitted
    np.testing.assert_array_equal(read(tmp_path / "p.png", invert=True).picture.known, ~erased.picture.known)
    rgba[..., 3] = 0
    with pytest.raises(UserError, match=r"p\.png hides everything"):
        read(write(tmp_path / "p.png", rgba))
    with pytest.raises(UserError, match=r"p\.png hides everything"):
        read(write(tmp_path / "p.png", rgba[..., :3]), invert=True)


def opaque(tmp_path, hole=None):
    """A picture of 16x16, transparent in the hole."""
    rgba = np.random.default_rng(1).integers(0, 256, (16, 16, 4))
    rgba[..., 3] = 255
    if hole:
        rgba[(*hole, 3)] = 0
    return write(tmp_path / ("erased.png" if hole else "whole.png"), rgba)


def read(path, **options):
    return AlignedReader(GivenMasks(MaskOptions(**options)), NetworkOptions(16), seed=4).read(path)


def test_a_reader_hides_what_its_options_say(tmp_path):
    whole, erased = opaque(tmp_path), opaque(tmp_path, np.s_[2:5, 3:9])
    hole = np.zeros((16, 16), bool)
    hole[2:5, 3:9] = True
    drawn = write(tmp_path / "drawn.png", 255 * ~hole)
    masks = tmp_path / "masks"
    masks.mkdir()
    write(masks / "whole.png", 255 * hole)
    center, left, random = (make_mask(kind, 16, MaskOptions(), 4) for kind in ("center", "left", "random"))
    for path, options, mask in (
        (whole, {}, center),
        (erased, {}, ~hole),
        (erased, {"kind": "left"}, left & ~hole),
        (whole, {"kind": "random"}, random),
        (whole, {"file": drawn}, ~hole),
        (erased, {"file": drawn, "invert": True}, None),
        (whole, {"folder": masks}, hole),
        (whole, {"folder": masks, "invert": True}, ~hole),
        (erased, {"kind": "full"}, np.ones((16, 16), bool)),
        (erased, {"kind": "lowres"}, np.zeros((16, 16), bool)),
    ):
        if mask is None:
            with pytest.raises(UserError, match=r"erased\.png hides everything"):
                read(path, **options)
        else:
            np.testing.assert_array_equal(read(path, **options).picture.known, mask, err_msg=str(options))
    picture = np.asarray(Image.open(whole))[..., :3]
    np.testing.assert_array_equal(read(whole).picture.pixels, picture)


def test_a_reader_refuses_options_that_fit_no_picture(tmp_path):
    black = write(tmp_path / "black.png", np.zeros((16, 16)))
    with pytest.raises(UserError, match=r"black\.png hides everything"):
        AlignedReader(GivenMasks(MaskOptions(file=black)), NetworkOptions(16), 0)
    with pytest.raises(UserError, match="the mask center hides nothing"):
        AlignedReader(GivenMasks(MaskOptions(center_scale=0.5)), NetworkOptions(16), 0)
