"""Pictures and masks from files: what of a picture is known once it has the model's size."""

import numpy as np
import pytest
from PIL import Image

from images.decoding import PictureError
from images.mask_files import find_mask, fit_mask, has_mask, read_mask
from images.mask_options import MaskOptions
from images.masks import make_mask
from jobs.complete.aligned_reader import AlignedReader, load_masked
from utils import UserError


def write(path, array):
    Image.fromarray(np.asarray(array, np.uint8)).save(path)
    return path


def test_a_mask_picture_is_white_where_pixels_are_known(tmp_path):
    left = np.zeros((8, 8))
    left[:, 4:] = 255
    path = write(tmp_path / "m.png", left)
    np.testing.assert_array_equal(read_mask(path), left == 255)
    np.testing.assert_array_equal(read_mask(path, invert=True), left == 0)


def test_a_photo_is_no_mask_and_a_soft_brush_makes_one(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 100), (100, 1))
    with pytest.raises(UserError, match=r"7[0-9]% of the mask .*photo.png is neither white nor black"):
        read_mask(write(tmp_path / "photo.png", ramp))
    soft = np.clip(2.5 * (ramp - 255 / 2) + 255 / 2, 0, 255)
    np.testing.assert_array_equal(read_mask(write(tmp_path / "soft.png", soft)), np.uint8(soft) >= 128)


@pytest.mark.parametrize("painted", [0, 255])
def test_what_is_transparent_in_a_mask_is_the_opposite_of_what_is_painted(tmp_path, painted):
    """A layer on its own: strokes of one color, and beside them nothing, which drawing programs save as black."""
    layer = np.zeros((8, 8, 4))
    layer[:3] = (painted, painted, painted, 255)
    path = write(tmp_path / "layer.png", layer)
    strokes = layer[..., 3] > 0
    np.testing.assert_array_equal(read_mask(path), strokes == (painted == 255))
    np.testing.assert_array_equal(read_mask(path, invert=True), strokes == (painted == 0))


def test_a_layer_that_could_mean_either_and_a_photo_with_a_hole_are_no_masks(tmp_path):
    layer = np.zeros((8, 8, 4))
    layer[:3, :, 3] = 100  # a faint brush
    with pytest.raises(UserError, match=r"faint.png is partly transparent"):
        read_mask(write(tmp_path / "faint.png", layer))
    layer[..., :3] = 255 * (np.arange(8) % 2)[:, None]
    layer[:3, :, 3] = 255
    with pytest.raises(UserError, match=r"both.png is partly transparent"):
        read_mask(write(tmp_path / "both.png", layer))
    erased = np.dstack([np.tile(np.linspace(0, 255, 100), (100, 1))] * 3 + [np.full((100, 100), 255)])
    erased[:50, :, 3] = 0
    with pytest.raises(UserError, match=r"7[0-9]% of the mask .*erased.png is neither white nor black"):
        read_mask(write(tmp_path / "erased.png", erased))


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
    made = make_mask("left", 16, MaskOptions(), 0)
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


def opaque(tmp_path, hole=None):
    """A picture of 16x16, transparent in the hole."""
    rgba = np.random.default_rng(1).integers(0, 256, (16, 16, 4))
    rgba[..., 3] = 255
    if hole:
        rgba[(*hole, 3)] = 0
    return write(tmp_path / ("erased.png" if hole else "whole.png"), rgba)


def read(path, **options):
    return AlignedReader(MaskOptions(**options), 16, 3, seed=4).read(path)


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
            np.testing.assert_array_equal(read(path, **options).mask, mask, err_msg=str(options))
    picture = np.asarray(Image.open(whole))[..., :3]
    np.testing.assert_array_equal(read(whole).picture, picture)


def test_a_reader_refuses_options_that_fit_no_picture(tmp_path):
    black = write(tmp_path / "black.png", np.zeros((16, 16)))
    with pytest.raises(UserError, match=r"black\.png hides everything"):
        AlignedReader(MaskOptions(file=black), 16, 3, 0)
    with pytest.raises(UserError, match="the mask center hides nothing"):
        AlignedReader(MaskOptions(center_scale=0.5), 16, 3, 0)


def test_a_picture_whose_name_is_too_long_for_a_masks_has_none(tmp_path):
    long = tmp_path / ("x" * 251 + ".png")
    Image.new("RGB", (8, 8)).save(long)
    (tmp_path / "masks").mkdir()
    reader = AlignedReader(MaskOptions(folder=tmp_path / "masks"), 8, 3, 0)
    assert not has_mask(reader.options, long)
    with pytest.raises(PictureError, match="no mask"):
        find_mask(tmp_path / "masks", long)
    Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(tmp_path / "masks" / long.name)
    assert has_mask(reader.options, long)
    np.testing.assert_array_equal(reader.read(long).mask, np.eye(8, dtype=bool))


def test_several_masks_are_not_none(tmp_path):
    (tmp_path / "masks").mkdir()
    for suffix in (".png", ".bmp"):
        Image.new("L", (8, 8)).save(tmp_path / "masks" / f"a{suffix}")
    reader = AlignedReader(MaskOptions(folder=tmp_path / "masks"), 8, 3, 0)
    assert has_mask(reader.options, tmp_path / "a.jpg")
    with pytest.raises(UserError, match=r"several masks, a.bmp, a.png"):
        find_mask(tmp_path / "masks", tmp_path / "a.jpg")
