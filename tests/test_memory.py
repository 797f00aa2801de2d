"""Small files cannot take the machine's memory."""

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from images import decoding
from images.decoding import PictureError

PICTURE = np.random.default_rng(0).integers(0, 256, (30, 70, 3), np.uint8)


@pytest.mark.parametrize("suffix", ["tif", "webp", "gif", "png", "jpg", "bmp", "ppm"])
def test_a_file_that_is_too_large_is_not_opened(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(PICTURE).save(path)
    assert decoding.read_picture(path).shape == PICTURE.shape
    with open(path, "r+b") as file:
        file.truncate(2_100_000_000)
    monkeypatch.setattr(decoding.Image, "open", None)
    with pytest.raises(PictureError, match=rf"{re.escape(str(path))}: it has 2\.1 GB"):
        decoding.read_picture(path)


def test_sixteen_bits_take_little_memory(tmp_path):
    pytest.importorskip("resource")
    Image.fromarray(np.full((5000, 8000), 257 * 7, np.uint16)).save(tmp_path / "x.png")
    code = (
        "import resource, sys; from images import decoding\n"
        "unit = 1e6 if sys.platform == 'darwin' else 1e3\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit\n"
        "before = peak(); picture, *_ = decoding.load_picture('x.png', 64, 3)\n"
        "assert (picture == 7).all(); print(peak() - before)"
    )
    environment = {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert float(result.stdout) < 300  # MB; 80 are the picture itself, and at once it would take 1,000


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "I;16", "F"])
def test_strips_change_nothing(tmp_path, mode, monkeypatch):
    grey = PICTURE[..., 0].astype(float)
    picture = {"I;16": Image.fromarray((grey * 257).astype(np.uint16)), "F": Image.fromarray(np.float32(grey / 255))}
    path = tmp_path / "x.tif"
    (picture.get(mode) or Image.fromarray(PICTURE).convert(mode)).save(path)
    expected = Image.fromarray(np.uint8(grey)) if mode in picture else Image.open(path)
    expected = expected.convert("RGB")
    monkeypatch.setattr(decoding, "STRIP", 100)
    np.testing.assert_array_equal(decoding.read_picture(path), expected)
    fitted = expected.crop((20, 0, 50, 30)).resize((16, 16), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(decoding.load_picture(path, 16, 3)[0], fitted)


def test_huge_pictures_are_decoded_one_after_the_other(tmp_path, monkeypatch):
    for i in range(6):
        Image.fromarray(PICTURE).save(tmp_path / f"{i}.png")
    inside, most, barrier = 0, 0, threading.Event()
    turn = decoding.ImageOps.exif_transpose

    def counted(*arguments, **named):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        barrier.wait(0.02)
        inside -= 1
        return turn(*arguments, **named)

    monkeypatch.setattr(decoding.ImageOps, "exif_transpose", counted)
    for large, one_at_a_time in ((1, True), (10**6, False)):
        most = 0
        monkeypatch.setattr(decoding, "LARGE", large)
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(decoding.read_picture, [tmp_path / f"{i}.png" for i in range(6)]))
        assert (most == 1) == one_at_a_time
