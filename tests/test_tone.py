"""Gray and toned pictures keep their tone; color pictures are not touched."""

import io

import numpy as np
import pytest
from conftest import ROOT, lively, write_pictures
from PIL import Image

from completion.aligned_reader import AlignedReader
from completion.given_masks import GivenMasks
from completion.photos import Finish
from dcgan.options import NetworkOptions, SearchOptions
from faces.compositing import Compositor, faces_in
from faces.frame import Frame
from images.blending import blend
from images.incomplete import Incomplete
from images.mask_options import BLENDS, MaskOptions
from images.photo import Photo
from images.tone import luminance, tone_of

DEMO = Image.open(ROOT / "data" / "demo" / "raw" / "astronaut.png").convert("RGB").crop((100, 0, 356, 256))
HOLE = np.zeros((256, 256), bool)
HOLE[90:180, 70:160] = True
QUICK = SearchOptions(start="random", n_iter=2, refine=0, out_interval=0)
SEPIA = np.array([(60, 40, 20), (150, 115, 80), (255, 240, 210)])  # for black, gray and white


def sepia(picture):
    """uint8 [H, W, 3]: a picture in a toning whose color is a broken line of its luminance."""
    gray = np.asarray(picture.convert("L"))
    return np.dstack([np.interp(gray, (0, 128, 255), ends) for ends in SEPIA.T]).round().astype(np.uint8)


def compressed(pixels, quality):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def gray(picture):
    return np.asarray(picture.convert("L").convert("RGB"))


def tints(pixels):
    """[n, 3]: colors without their luminance."""
    return pixels.astype(float) - luminance(pixels)[..., None]


def assert_gray(pixels):
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 1])
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize("quality", [60, 75, 95])
def test_the_curve_of_a_sepia_photo_is_found_in_spite_of_jpeg(quality):
    true, noisy = sepia(DEMO), compressed(sepia(DEMO), quality)
    tone = tone_of(np.where(HOLE[..., None], 77, noisy), ~HOLE)
    assert tone
    found = tone.applied(true[HOLE]).astype(float)
    assert np.abs(found - true[HOLE]).mean() < 1.5
    low, high = tints(noisy[~HOLE]).min(axis=0), tints(noisy[~HOLE]).max(axis=0)
    assert (tints(tone.colors) >= low - 1).all() and (tints(tone.colors) <= high + 1).all()


def test_gray_is_mapped_to_itself():
    tone = tone_of(gray(DEMO), ~HOLE)
    np.testing.assert_array_equal(tone.colors, np.arange(256)[:, None].repeat(3, axis=1))


def test_color_photos_have_no_tone():
    pixels = np.asarray(DEMO)
    assert tone_of(pixels, ~HOLE) is None
    assert tone_of(compressed(pixels, 60), ~HOLE) is None
    small = gray(DEMO).copy()  # like a gray screenshot that contains a color photo
    small[:40, :60] = pixels[50:90, 100:160] * np.array([1, 0.6, 0.6])
    assert tone_of(small, ~HOLE) is None


def test_without_a_known_pixel_there_is_no_tone():
    assert tone_of(gray(DEMO), np.zeros_like(HOLE)) is None


def test_the_hole_does_not_count():
    red = np.where(HOLE[..., None], (255, 0, 0), gray(DEMO)).astype(np.uint8)
    np.testing.assert_array_equal(tone_of(red, ~HOLE).colors, tone_of(gray(DEMO), ~HOLE).colors)


# -------------------------------------------------------------------------------- aligned pictures


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_gray_picture_among_color_ones_is_completed_in_gray(tmp_path, mode):
    dcgan = lively(8, 5)
    face = DEMO.resize((16, 16))
    paths = write_pictures(tmp_path, [np.asarray(face.convert("L").convert(mode)), np.asarray(face)])
    reader = AlignedReader(GivenMasks(MaskOptions()), NetworkOptions(16), seed=0)
    together = Incomplete.joined([reader.read(path).incomplete for path in paths])
    assert [bool(tone) for tone in together.tones] == [True, False]
    *_, state = dcgan.complete(together, QUICK)
    for pictures in (state.generated, state.completed, *(blend(state.generated, together, kind) for kind in BLENDS)):
        assert_gray(pictures[0])
        assert np.abs(tints(pictures[1])).max() > 3
    known = together.masks[..., None]
    np.testing.assert_array_equal(blend(state.generated, together) * known, together.pictures * known)
    *_, alone = dcgan.complete(together[1:2], QUICK)
    np.testing.assert_array_equal(state.generated[1:2], alone.generated)


def test_the_model_sees_a_toned_picture_in_gray():
    dcgan = lively(8, 5)
    pictures = np.stack([sepia(DEMO.resize((16, 16)))])
    mask = HOLE[::16, ::16]
    tone = tone_of(sepia(DEMO), ~HOLE)
    *_, by_sepia = dcgan.complete(Incomplete(pictures, ~mask, tones=[tone]), QUICK)
    grays = luminance(pictures)[..., None].repeat(3, axis=-1)
    *_, by_gray = dcgan.complete(Incomplete(grays, ~mask).with_tones(), QUICK)
    np.testing.assert_array_equal(by_sepia.losses, by_gray.losses)


def test_a_model_of_one_channel_needs_no_tone():
    gray = Incomplete(luminance(sepia(DEMO))[None, ..., None], ~HOLE)
    assert gray.with_tones().tones == (None,)


# ------------------------------------------------------------------------------------------ photos

FRAME = Frame(np.array([[0.1, 0.01, -5.0], [-0.01, 0.1, -4.0]]), 16)


@pytest.mark.parametrize("channels", [3, 1])
def test_a_gray_photo_is_completed_in_gray_whatever_the_faces_are(channels):
    photo = Photo(gray(DEMO), ~HOLE)
    assert_gray(filled(photo, channels, grain=5))
    assert (filled(photo, channels, grain=5) != filled(photo, channels)).any()


@pytest.mark.parametrize("channels", [3, 1])
def test_a_sepia_photo_is_completed_in_its_own_colors(channels):
    pixels = compressed(sepia(DEMO), 90)
    completed = filled(Photo(pixels, ~HOLE), channels)
    np.testing.assert_array_equal(completed[~HOLE], pixels[~HOLE])
    completed = completed[HOLE & (luminance(completed) > 45)]  # sepia black has a luminance of 44
    distances = np.abs(completed[:, None].astype(int) - sepia(Image.fromarray(np.arange(256, dtype=np.uint8)[None])))
    assert distances.max(axis=2).min(axis=1).max() <= 8


def test_a_color_photo_is_not_touched():
    photo = Photo(np.asarray(DEMO), ~HOLE)
    faces = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(filled(photo, 3), Compositor(photo, [FRAME])(faces))
    assert faces_in(photo, [FRAME]).tones == (None,)


def filled(photo, channels, grain=0):
    """uint8 [H, W, 3]: the photo with a face of random colors composited into its hole."""
    faces = np.random.default_rng(0).integers(0, 256, (1, 16, 16, channels), np.uint8)
    return Finish(photo, [FRAME], grain, seed=0)(faces).pixels
