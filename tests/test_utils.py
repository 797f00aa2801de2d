"""Picture files of every kind, and what scripts share."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import utils
from cli import UserError
from utils import PictureError

PICTURE = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)


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
        ("RGB", "jpg"),
        ("CMYK", "jpg"),
        ("L", "jpeg"),
    ],
)
def test_formats_and_modes(tmp_path, mode, suffix):
    path = tmp_path / f"x.{suffix}"
    picture = Image.fromarray(PICTURE).resize((80, 48), Image.Resampling.NEAREST).convert(mode)
    picture.save(path, **({"lossless": True} if suffix == "webp" else {"quality": 95} if suffix[0] == "j" else {}))
    read = utils.read_picture(path)
    assert read.shape == (48, 80, 3) and read.dtype == np.uint8
    expected = np.asarray(picture.convert("RGB"), int)
    assert abs(read - expected).mean() < (25 if suffix[0] == "j" else 0.1)
    assert utils.read_picture(path, "L").shape == (48, 80)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    Image.fromarray(np.uint16([[0, 257 * 100], [257 * 200, 65535]])).save(tmp_path / "x.png")
    np.testing.assert_array_equal(utils.read_picture(tmp_path / "x.png", "L"), [[0, 100], [200, 255]])


def test_floats_are_from_0_to_1_or_to_255(tmp_path):
    path = tmp_path / "x.tif"
    for values in ([0, 0.4, 1, np.nan, -1e38, -np.inf], [0, 102, 255, np.nan, -3e38, np.inf], [0, 102, 1e38, 0, 0, 0]):
        Image.fromarray(np.float32([values])).save(path)
        np.testing.assert_array_equal(utils.read_picture(path, "L"), [[0, 102, 255, 0, 0, 0]])


def test_a_photo_taken_sideways_stands_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(PICTURE).save(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(utils.read_picture(tmp_path / "x.png"), np.rot90(PICTURE, -1))


def test_unreadable_pictures(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, "PNG")
    whole = buffer.getvalue()
    for name, content in {"empty": b"", "text": b"hello", "cut": whole[: len(whole) // 2]}.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(content)
        with pytest.raises(PictureError, match=f"{name}.png"):
            utils.read_picture(path)
    (tmp_path / "folder.png").mkdir()
    for name in ("folder.png", "missing.png"):
        with pytest.raises(PictureError, match=name):
            utils.read_picture(tmp_path / name)


def test_find_pictures(tmp_path):
    for name in ("b/2.JPG", "a/1.png", "a/notes.txt", "3.webp", ".hidden.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert utils.find_pictures(tmp_path) == [tmp_path / "3.webp", tmp_path / "a/1.png", tmp_path / "b/2.JPG"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures in"):
        utils.find_pictures(tmp_path / "empty")
    (tmp_path / "empty" / "linked").symlink_to("../a")
    (tmp_path / "a" / "circle").symlink_to("../empty")
    assert utils.find_pictures(tmp_path / "empty") == [tmp_path / "empty" / "linked" / "1.png"]
    with pytest.raises(UserError, match="no folder"):
        utils.find_pictures(tmp_path / "missing")


def test_load_picture_keeps_the_right_size_and_fits_any_other(tmp_path):
    square = PICTURE[:8, :8]
    Image.fromarray(square).save(tmp_path / "square.png")
    picture, fitted = utils.load_picture(tmp_path / "square.png", 8, 3)
    np.testing.assert_array_equal(picture, square)
    assert not fitted

    wide = np.zeros((64, 128, 3), np.uint8)
    wide[:, 32:96] = PICTURE[:1, :1]  # the central square has one colour, the margins another
    Image.fromarray(wide).save(tmp_path / "wide.png")
    picture, fitted = utils.load_picture(tmp_path / "wide.png", 16, 3)
    assert fitted and picture.shape == (16, 16, 3)
    assert (picture == PICTURE[0, 0]).all()
    assert utils.load_picture(tmp_path / "wide.png", 16, 1)[0].shape == (16, 16, 1)


def test_load_each_names_what_it_leaves_out(tmp_path, capsys):
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    Image.fromarray(PICTURE).save(paths[0])
    paths[1].write_text("no picture")
    Image.fromarray(PICTURE).save(paths[2])
    loaded = utils.load_each(paths, utils.read_picture, first=5)
    assert list(loaded) == [5, 7]
    np.testing.assert_array_equal(loaded[7], PICTURE)
    assert capsys.readouterr().out.startswith(f"left out: cannot read the picture {paths[1]}: ")


def test_names_that_would_be_too_long_for_a_file(tmp_path):
    paths = [Path(folder, name * 240 + ".png") for folder in ("a" * 100, "b" * 100) for name in "xy"]
    names = utils.unique_names(paths)
    assert len(set(names)) == 4
    for name in names:
        utils.save_picture(tmp_path / f"{name}.png", PICTURE)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(names)


def test_what_a_killed_process_left_is_overwritten(tmp_path):
    def killed(partial):
        partial.write_text("half")
        os._exit(0)

    child = os.fork()
    if not child:
        utils.write_atomic(tmp_path / "x.txt", killed)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 1
    utils.write_atomic(tmp_path / "x.txt", lambda partial: partial.write_text("whole"))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]


def test_only_one_process_writes_into_a_directory(tmp_path):
    folder = tmp_path / "a" / "b"
    with utils.only_writer(folder):
        with pytest.raises(UserError, match="another process writes into"), utils.only_writer(folder):
            pass
        assert folder.is_dir()
    assert not folder.exists()  # nothing was written there
    with utils.only_writer(folder):
        (folder / "x").touch()
    with pytest.raises(BlockingIOError), utils.only_writer(folder):  # what is raised in there is left alone
        raise BlockingIOError
    assert list(folder.iterdir()) == [folder / "x"]


def test_unique_names():
    paths = [Path(p) for p in ("a/x.png", "b/x.jpg", "b/y.png", "c/b/x.png", "z.png")]
    assert utils.unique_names(paths) == ["a__x", "b__x", "y", "b__x__2", "z"]
    known = {paths[1]: "x", paths[3]: "a__x"}  # from when there were fewer
    assert utils.unique_names(paths, known) == ["a__x__2", "x", "y", "a__x", "z"]


def test_to_uint8():
    np.testing.assert_array_equal(utils.to_uint8(np.array([-3, -1, 0.001, 1, 3])), [0, 0, 128, 255, 255])


def test_grid():
    pictures = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 1), np.uint8)
    sheet = utils.grid(pictures)
    assert sheet.shape == (4, 24, 1)
    assert (sheet[:2, 21:] == 7).all() and (sheet[2:, 3:6] == 9).all() and (sheet[2:, 6:] == 0).all()
    assert utils.grid(pictures[:2]).shape == (2, 6, 1)


def test_write_atomic_leaves_all_or_nothing(tmp_path):
    path = tmp_path / "new" / "x.txt"
    utils.write_atomic(path, lambda partial: partial.write_text("first"))

    def fail(partial):
        partial.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        utils.write_atomic(path, fail)
    assert path.read_text() == "first"
    assert os.listdir(path.parent) == ["x.txt"]


def test_save_gif_has_every_frame(tmp_path):
    frames = [np.full((4, 4, 3), value, np.uint8) for value in (0, 100, 200)]
    utils.save_gif(tmp_path / "x.gif", frames)
    with Image.open(tmp_path / "x.gif") as gif:
        assert gif.n_frames == 3
        gif.seek(2)
        assert gif.convert("RGB").getpixel((0, 0)) == (200, 200, 200)


def test_framed_pictures_are_enlarged_and_apart():
    pictures = np.array([10, 20, 30, 40], np.uint8)[:, None, None, None].repeat(64, 1).repeat(64, 2)
    frame = utils.framed(pictures, columns=2)
    assert frame.shape == (2 * 132 + 4, 2 * 132 + 4, 1)
    for row, column, value in ((0, 0, 10), (0, 1, 20), (1, 0, 30), (1, 1, 40)):
        top, left = 4 + 132 * row, 4 + 132 * column
        assert (frame[top : top + 128, left : left + 128] == value).all()
    assert (frame[132:136] == 255).all() and (frame[:, 132:136] == 255).all()
    assert utils.framed(np.zeros((2, 256, 256, 3), np.uint8)).shape == (264, 524, 3)


def test_a_note_is_found_again(tmp_path):
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    utils.save_picture(tmp_path / "a.png", pixels, "how it was made")
    assert utils.read_note(tmp_path / "a.png") == "how it was made"
    np.testing.assert_array_equal(utils.read_picture(tmp_path / "a.png"), pixels)
    utils.save_picture(tmp_path / "b.png", pixels)
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:30])
    assert [utils.read_note(tmp_path / name) for name in ("b.png", "c.png", "d.png")] == [None] * 3
