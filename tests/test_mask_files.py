"""Masks as other tools write them, each drawn by hand, and holes that are named by their color."""

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image, ImageDraw, ImageFilter

from images.decoding import PictureError
from images.mask_files import read_mask, read_without_color
from utils import UserError

SIDE = 120
DEMO = Image.open(ROOT / "data/demo/raw/astronaut.png").convert("RGB")


def stroke(smooth=False, size=(SIDE, SIDE)):
    """A blot and a stroke, 255 where they are. smooth: with antialiased edges."""
    large = Image.new("L", tuple(8 * side for side in size))
    draw = ImageDraw.Draw(large)
    draw.ellipse((160, 240, 560, 600), fill=255)
    draw.line((600, 100, 800, 900), fill=255, width=48)
    return large.resize(size, Image.Resampling.BOX if smooth else Image.Resampling.NEAREST)


HOLE = np.asarray(stroke()) > 0


def painted(background, paint, mode="RGB", smooth=False):
    picture = Image.new(mode, (SIDE, SIDE), background)
    picture.paste(paint, (0, 0), stroke(smooth))
    return picture


def numbers(hole, known, kind):
    return Image.fromarray(np.where(HOLE, hole, known).astype(kind))


def read(folder, picture, suffix="png", invert=False, **options):
    path = folder / f"mask.{suffix}"
    picture.save(path, **options)
    return read_mask(path, invert)


LAYER = (0, 0, 0, 0)
EXACT = {
    "0 and 255": (numbers(0, 255, np.uint8), "png"),
    "0 and 1": (numbers(0, 1, np.uint8), "png"),
    "0 and 2": (numbers(0, 2, np.uint8), "png"),
    "two grays": (numbers(100, 120, np.uint8), "png"),
    "1 bit": (painted(1, 0, "1"), "png"),
    "GIF": (painted(1, 0, "1"), "gif"),
    "16 bits, 0 and 1": (numbers(0, 1, np.uint16), "png"),
    "16 bits, 0 and 2": (numbers(0, 2, np.uint16), "png"),
    "16 bits, 0 and 255": (numbers(0, 255, np.uint16), "png"),
    "16 bits, 0 and 65535": (numbers(0, 65535, np.uint16), "png"),
    "32 bits, 0 and 1": (numbers(0, 1, np.int32), "tif"),
    "floats": (numbers(0, 1, np.float32), "tif"),
    "palette": (painted("white", "red").quantize(2), "png"),
    "red on white": (painted("white", "red"), "png"),
    "green on white": (painted("white", "#00ff00"), "png"),
    "yellow on white": (painted("white", "yellow"), "png"),
    "light yellow on white": (painted("white", "#ffffc0"), "png"),
    "two colors on white": (painted("white", "red"), "png"),
    "red on black": (painted("black", "#800000"), "png"),
    "two colors": (painted("#fde725", "#440154"), "png"),
    "red layer": (painted(LAYER, "red", "RGBA"), "png"),
    "green layer": (painted(LAYER, "#00ff00", "RGBA"), "png"),
    "gray layer": (painted(LAYER, "#707070", "RGBA"), "png"),
    "black layer": (painted(LAYER, "black", "RGBA"), "webp"),
}
ImageDraw.Draw(EXACT["two colors on white"][0]).bitmap((0, 0), stroke().crop((0, 0, 72, SIDE)), fill="blue")


@pytest.mark.parametrize("name", EXACT)
def test_a_mask_without_noise(tmp_path, name):
    picture, suffix = EXACT[name]
    options = {"lossless": True} if suffix == "webp" else {}
    np.testing.assert_array_equal(~read(tmp_path, picture, suffix, **options), HOLE)
    np.testing.assert_array_equal(read(tmp_path, picture, suffix, invert=True, **options), HOLE)


@pytest.mark.parametrize(("hole", "known"), [(255, 0), (1, 0), ((255, 255, 255, 255), LAYER)])
def test_white_holes_need_inversion(tmp_path, hole, known):
    """LaMa and IOPaint write them; a white layer likewise."""
    picture = painted(known, hole, "RGBA" if known == LAYER else "L")
    np.testing.assert_array_equal(read(tmp_path, picture), HOLE)
    np.testing.assert_array_equal(~read(tmp_path, picture, invert=True), HOLE)


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize(
    ("background", "paint", "mode", "suffix"),
    [
        (255, 0, "L", "png"),
        (200, 50, "L", "png"),
        ("white", "red", "RGB", "png"),
        ("white", "#00ff00", "RGB", "png"),
        (LAYER, "red", "RGBA", "png"),
        ("#fde725", "#440154", "RGB", "png"),
        (255, 0, "L", "jpg"),
        ("white", "red", "RGB", "jpg"),
        ("white", "#00ff00", "RGB", "jpg"),
        ("black", "blue", "RGB", "jpg"),
    ],
)
def test_smooth_edges_and_noise_move_a_hole_by_one_pixel_at_most(tmp_path, background, paint, mode, suffix, smooth):
    """JPEG blurs colors over two pixels."""
    options = {"quality": 75} if suffix == "jpg" else {}
    found = ~read(tmp_path, painted(background, paint, mode, smooth), suffix, **options)
    far = 2 if suffix == "jpg" and mode == "RGB" else 1
    grown, shrunk = (
        np.asarray(stroke().filter(each(2 * far + 1))) > 0 for each in (ImageFilter.MaxFilter, ImageFilter.MinFilter)
    )
    assert not (found & ~grown).any() and not (shrunk & ~found).any()
    if far == 1 and smooth:
        assert (found != HOLE).mean() < 0.01


def with_stripe(picture, value):
    ImageDraw.Draw(picture).rectangle((0, 0, SIDE, 20), fill=value)
    return picture


def gradient(mode="L"):
    return Image.fromarray(np.tile(np.linspace(0, 255, 100), (100, 1)).astype(np.uint8)).convert(mode)


def half_erased():
    picture = gradient("RGBA")
    picture.paste(LAYER, (0, 0, 100, 50))
    return picture


UNCLEAR = {
    "a gray photo": (DEMO.convert("L"), "looks like a photo"),
    "a photo": (DEMO, "like a photo"),
    "a photo on black": (with_stripe(DEMO.crop((180, 70, 270, 170)), "black"), "like a photo"),
    "a gradient": (gradient(), "7[0-9]% of its pixels are neither light nor dark"),
    "a photo with a hole": (half_erased(), "7[0-9]% of its painted pixels differ in color"),
    "three grays": (with_stripe(numbers(0, 255, np.uint8), 128), "third gray level, 128"),
    "three labels": (with_stripe(numbers(0, 1, np.uint8), 2), r"contrast \(gray levels 0 to 2\)"),
    "black, white and red": (with_stripe(painted("white", "black"), "red"), "black, white and colored parts"),
    "a black and white layer": (with_stripe(painted(LAYER, "black", "RGBA"), "white"), "52% of the rest is white"),
    "a faint layer": (painted(LAYER, (255, 0, 0, 100), "RGBA"), "transparent everywhere"),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_a_mask_that_is_not_clear(tmp_path, name):
    picture, words = UNCLEAR[name]
    with pytest.raises(UserError, match=rf"mask.png .*{words}.*: paint known pixels white and the hole black"):
        read(tmp_path, picture)


def test_a_soft_brush_makes_a_mask(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 100), (100, 1))
    soft = np.clip(2.5 * (ramp - 255 / 2) + 255 / 2, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(read(tmp_path, Image.fromarray(soft)), soft >= 128)


def test_a_mask_of_one_tone_hides_everything_or_nothing(tmp_path):
    assert read(tmp_path, Image.new("L", (9, 9), 255), "jpg").all()
    assert not read(tmp_path, Image.new("L", (9, 9))).any()


def test_no_mask(tmp_path):
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(PictureError, match="text"):
        read_mask(tmp_path / "text.png")


def paint_on_photo(path, color, **options):
    """Saves the demonstration photo with a painted hole; returns the hole."""
    mask = stroke(size=DEMO.size)
    picture = DEMO.copy()
    picture.paste(color, (0, 0), mask)
    picture.save(path, **options)
    return np.asarray(mask) > 0


@pytest.mark.parametrize("color", ["#00ff00", "#ff00ff", "#0000ff"])
def test_a_color_marks_the_hole_of_a_png(tmp_path, color):
    hole = paint_on_photo(tmp_path / "x.png", color)
    np.testing.assert_array_equal(~read_without_color(tmp_path / "x.png", color), hole)


@pytest.mark.parametrize("quality", [95, 75])
@pytest.mark.parametrize("color", ["#00ff00", "#ff00ff"])
def test_a_color_marks_the_hole_of_a_jpeg(tmp_path, color, quality):
    """Except some pixels at its edge, where JPEG mixes it with the photo."""
    hole = paint_on_photo(tmp_path / "x.jpg", color, quality=quality)
    found = ~read_without_color(tmp_path / "x.jpg", color)
    inner, outer = (
        np.asarray(Image.fromarray(hole).convert("L").filter(each(3))) > 0
        for each in (ImageFilter.MinFilter, ImageFilter.MaxFilter)
    )
    assert found[inner].mean() > 0.995 and not found[~outer].any()
    assert (found != hole).sum() < 0.02 * hole.sum()


def test_a_color_that_is_not_there(tmp_path):
    DEMO.save(tmp_path / "x.png")
    with pytest.raises(PictureError, match=r"x\.png has no pixels of the --holeColor #00ff00"):
        read_without_color(tmp_path / "x.png", "#00ff00")
