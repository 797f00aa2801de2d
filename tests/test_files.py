"""Picture files of every kind: found, read, fitted, named and written."""

import io
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from PIL.TiffImagePlugin import TiffImageFile

from images import decoding, files
from images.decoding import PictureError
from utils import UserError

PICTURE = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)


@pytest.mark.skipif(sys.platform == "win32", reason="Pillow does not export libtiff's functions there")
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate"])
def test_a_damaged_tiff_prints_nothing_and_no_other_line_is_lost(tmp_path, monkeypatch, capfd, compression):
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, "TIFF", compression=compression)
    (tmp_path / "x.tif").write_bytes(re.sub(rb"(?s)(?<=^.{50}).{60}", b"\xa5" * 60, file.getvalue()))
    load = TiffImageFile.load

    def load_while_another_thread_prints(self):
        try:
            return load(self)
        finally:
            os.write(2, b"progress")

    monkeypatch.setattr(TiffImageFile, "load", load_while_another_thread_prints)
    with pytest.raises(PictureError):
        decoding.read_picture(tmp_path / "x.tif")
    assert re.fullmatch("(progress)+", capfd.readouterr().err)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("RGB", "png"),
        ("RGB", "bmp"),
        ("RGB", "tif"),
        ("RGB", "ppm"),
        ("RGBA", "png"),
        ("P", "png"),
        ("P", "gif"),
        ("L", "png"),
        ("LA", "png"),
        ("1", "png"),
        ("RGB", "webp"),
        ("RGB", "avif"),
        ("L", "pnm"),
        ("RGB", "jpg"),
        ("CMYK", "jpg"),
        ("L", "jpeg"),
    ],
)
def test_formats_and_modes(tmp_path, mode, suffix):
    path = tmp_path / f"x.{suffix}"
    picture = Image.fromarray(PICTURE).resize((80, 48), Image.Resampling.NEAREST).convert(mode)
    picture.save(path, **({"lossless": True} if suffix == "webp" else {"quality": 95} if suffix[0] == "j" else {}))
    read = decoding.read_picture(path)
    assert read.shape == (48, 80, 3) and read.dtype == np.uint8
    expected = np.asarray(picture.convert("RGB"), int)
    assert abs(read - expected).mean() < (25 if suffix[0] in "aj" else 0.1)
    assert decoding.read_picture(path, "L").shape == (48, 80)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    Image.fromarray(np.uint16([[0, 257 * 100], [257 * 200, 65535]])).save(tmp_path / "x.png")
    np.testing.assert_array_equal(decoding.read_picture(tmp_path / "x.png", "L"), [[0, 100], [200, 255]])


def test_floats_are_from_0_to_1_or_to_255(tmp_path):
    path = tmp_path / "x.tif"
    for values in ([0, 0.4, 1, np.nan, -1e38, -np.inf], [0, 102, 255, np.nan, -3e38, np.inf], [0, 102, 1e38, 0, 0, 0]):
        Image.fromarray(np.float32([values])).save(path)
        np.testing.assert_array_equal(decoding.read_picture(path, "L"), [[0, 102, 255, 0, 0, 0]])


def test_a_photo_taken_sideways_stands_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(PICTURE).save(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(decoding.read_picture(tmp_path / "x.png"), np.rot90(PICTURE, -1))


def test_unreadable_pictures(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, "PNG")
    whole = buffer.getvalue()
    for name, content in {"empty": b"", "text": b"hello", "cut": whole[: len(whole) // 2]}.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(content)
        with pytest.raises(PictureError, match=f"{name}.png"):
            decoding.read_picture(path)
    (tmp_path / "folder.png").mkdir()
    for name in ("folder.png", "missing.png"):
        with pytest.raises(PictureError, match=name):
            decoding.read_picture(tmp_path / name)


def test_pictures_of_a_kind_that_is_not_read_are_named(tmp_path, capsys):
    for name in ("1.png", "2.HEIC", "3.heif", "4.txt"):
        (tmp_path / name).touch()
    assert files.find_pictures(tmp_path) == [tmp_path / "1.png"]
    assert capsys.readouterr().out.startswith("skipped HEIC files: 2 (")


def test_find_pictures(tmp_path):
    for name in ("b/2.JPG", "a/1.png", "a/notes.txt", "3.webp", ".hidden.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert files.find_pictures(tmp_path) == [tmp_path / "3.webp", tmp_path / "a/1.png", tmp_path / "b/2.JPG"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures in"):
        files.find_pictures(tmp_path / "empty")
    (tmp_path / "empty" / "linked").symlink_to("../a")
    (tmp_path / "a" / "circle").symlink_to("../empty")
    assert files.find_pictures(tmp_path / "empty") == [tmp_path / "empty" / "linked" / "1.png"]
    with pytest.raises(UserError, match="no folder"):
        files.find_pictures(tmp_path / "missing")


def test_load_picture_keeps_the_right_size_and_fits_any_other(tmp_path):
    square = PICTURE[:8, :8]
    Image.fromarray(square).save(tmp_path / "square.png")
    picture, fitted, _ = decoding.load_picture(tmp_path / "square.png", 8, 3)
    np.testing.assert_array_equal(picture, square)
    assert not fitted

    wide = np.zeros((64, 128, 3), np.uint8)
    wide[:, 32:96] = PICTURE[:1, :1]  # the central square has one color, the margins another
    Image.fromarray(wide).save(tmp_path / "wide.png")
    picture, fitted, _ = decoding.load_picture(tmp_path / "wide.png", 16, 3)
    assert fitted and picture.shape == (16, 16, 3)
    assert (picture == PICTURE[0, 0]).all()
    assert decoding.load_picture(tmp_path / "wide.png", 16, 1)[0].shape == (16, 16, 1)


def test_load_each_names_what_it_leaves_out(tmp_path, capsys):
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    Image.fromarray(PICTURE).save(paths[0])
    paths[1].write_text("no picture")
    Image.fromarray(PICTURE).save(paths[2])
    loaded = files.load_each(dict(enumerate(paths, 5)), decoding.read_picture)
    assert list(loaded) == [5, 7]
    np.testing.assert_array_equal(loaded[7], PICTURE)
    assert capsys.readouterr().out.startswith(f"skipped: cannot read the picture {paths[1]}: ")


def test_names_that_would_be_too_long_for_a_file(tmp_path):
    paths = [Path(folder, name * 240 + ".png") for folder in ("a" * 100, "b" * 100) for name in "xy"]
    names = files.unique_names(paths)
    assert len(set(names)) == 4
    for name in names:
        files.save_picture(tmp_path / f"{name}.png", PICTURE)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(names)


def test_unique_names():
    paths = [Path(p) for p in ("a/x.png", "b/x.jpg", "b/y.png", "c/b/x.png", "z.png")]
    assert files.unique_names(paths) == ["a__x", "b__x", "y", "b__x__2", "z"]
    known = {paths[1]: "x", paths[3]: "a__x"}  # from when there were fewer
    assert files.unique_names(paths, known) == ["a__x__2", "x", "y", "a__x", "z"]


def test_save_gif_has_every_frame(tmp_path):
    frames = [np.full((4, 4, 3), value, np.uint8) for value in (0, 100, 200)]
    files.save_gif(tmp_path / "x.gif", frames)
    with Image.open(tmp_path / "x.gif") as gif:
        assert gif.n_frames == 3
        gif.seek(2)
        assert gif.convert("RGB").getpixel((0, 0)) == (200, 200, 200)


def test_save_gif_keeps_colors_of_all_frames(tmp_path):
    ramp = np.arange(0, 256, 4, dtype=np.uint8)[None, :, None]
    frames = [ramp * np.eye(3, dtype=np.uint8)[channel] for channel in range(3)]
    files.save_gif(tmp_path / "x.gif", frames)
    with Image.open(tmp_path / "x.gif") as gif:
        for frame, shown in zip(frames, ImageSequence.Iterator(gif), strict=True):
            np.testing.assert_allclose(np.asarray(shown.convert("RGB"), int), frame, atol=4)
