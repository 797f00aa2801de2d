"""What is transparent in a photo stays a hole: when it is aligned, and when it is completed."""

import numpy as np
import pytest
from conftest import ROOT, assert_works, run_script
from PIL import Image, ImageDraw

from completion.aligned_reader import AlignedReader
from completion.given_masks import GivenMasks
from dcgan.options import NetworkOptions
from faces.detector import filled
from faces.frame import warp, warp_known
from images.mask_options import MaskOptions

TRANSFORM = np.array([[0.7, 0.1, -3.3], [-0.1, 0.8, 2.6]])


@pytest.fixture(scope="module")
def aligned(tmp_path_factory):
    """The demonstration photo as it is, and with a hole over the cheek under which lie three different things."""
    folder = tmp_path_factory.mktemp("alpha")
    (folder / "raw").mkdir()
    photo = Image.open(ROOT / "data/demo/raw/astronaut.png").convert("RGB").crop((140, 0, 340, 220))
    photo.save(folder / "raw" / "whole.png")
    alpha = Image.new("L", photo.size, 255)
    ImageDraw.Draw(alpha).ellipse((50, 115, 85, 150), fill=0)
    for name, colour in {"black": (0, 0, 0), "red": (255, 0, 0)}.items():
        erased = Image.composite(photo, Image.new("RGB", photo.size, colour), alpha)
        erased.putalpha(alpha)
        erased.save(folder / "raw" / f"{name}.png")
    photo.putalpha(alpha)
    photo.save(folder / "raw" / "under.webp", lossless=True, exact=True)
    result = run_script("align.py", "raw", "align", "innerEyesAndBottomLip", "out", cwd=folder)
    assert_works(result)
    assert "4 aligned" in result.stdout
    return folder


def test_what_lies_under_the_eraser_decides_nothing(aligned):
    black, red, under = (np.asarray(Image.open(aligned / f"out/{name}.png")) for name in ("black", "red", "under"))
    assert black.shape == (64, 64, 4)
    np.testing.assert_array_equal(black, red)
    np.testing.assert_array_equal(black, under)
    assert set(np.unique(black[..., 3])) == {0, 255}
    assert 0.08 < (black[..., 3] == 0).mean() < 0.16  # the ellipse has 990 pixels, shrunk by 0.46 in area
    assert Image.open(aligned / "out/whole.png").mode == "RGB"


def test_the_hole_is_what_is_completed(aligned):
    face = np.asarray(Image.open(aligned / "out/black.png"))
    known = face[..., 3] == 255
    loaded = AlignedReader(GivenMasks(MaskOptions()), NetworkOptions(), seed=0).read(aligned / "out/black.png")
    np.testing.assert_array_equal(loaded.picture.known, known)
    np.testing.assert_array_equal(loaded.picture.pixels[known], face[known][:, :3])


def test_a_known_pixel_is_made_of_known_pixels_alone():
    rng = np.random.default_rng(0)
    photo, known = rng.integers(0, 256, (60, 70, 3), np.uint8), rng.random((60, 70)) > 0.05
    warped = warp_known(known, TRANSFORM, 48, 48)
    assert 0.3 < warped.mean() < 0.9
    other = np.where(known[..., None], photo, 255 - photo)
    np.testing.assert_array_equal(
        warp(photo, TRANSFORM, 48, 48)[warped], warp(other.astype(np.uint8), TRANSFORM, 48, 48)[warped]
    )
    everything = warp_known(np.ones((60, 70), bool), TRANSFORM, 48, 48)
    assert everything.any() and not everything[0, 0]  # beyond the edge nothing is known
    assert warp_known(np.ones((60, 70), bool), np.eye(2, 3), 48, 48).all()


def test_filled_goes_on_with_what_is_around():
    x = np.arange(64, dtype=np.uint8)
    photo = np.broadcast_to((2 * x + 40)[None, :, None], (50, 64, 3)).copy()
    known = np.ones((50, 64), bool)
    known[10:40, 20:50] = False
    erased = np.where(known[..., None], photo, 255)
    result = filled(erased, known)
    np.testing.assert_array_equal(result[known], photo[known])
    assert abs(result.astype(int) - photo).max() < 40
    np.testing.assert_array_equal(result, filled(np.where(known[..., None], photo, 0).astype(np.uint8), known))
    assert not filled(photo, np.zeros((50, 64), bool)).any()
