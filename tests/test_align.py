"""align.py as a command: the demonstration photo under its transform, what is kept, bad calls."""

import csv
import importlib
import shutil
import threading
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import ROOT, assert_fails, assert_works, run_script
from PIL import Image

from faces.detector import TEMPLATES, predictor_path
from images.files import save_picture
from jobs.align import Aligner, Job, align
from jobs.arguments import AlignOptions
from outputs import Outputs
from utils import UserError

DEMO = ROOT / "data" / "demo" / "raw"
INNER = "innerEyesAndBottomLip"
FIVE_POINTS = predictor_path(None).with_name("shape_predictor_5_face_landmarks.dat")


def rows(out):
    with open(out / "alignment.csv", newline="") as file:
        return list(csv.DictReader(file))


def matrix(row):
    return np.array([float(row[name]) for name in ("a", "b", "tx", "c", "d", "ty")]).reshape(2, 3)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demonstration photo twice in folders of their own, a photo without a face, and a damaged one; aligned."""
    folder = tmp_path_factory.mktemp("align")
    for name in ("a", "b"):
        (folder / "raw" / name).mkdir(parents=True)
        shutil.copy(DEMO / "astronaut.png", folder / "raw" / name)
    Image.new("RGB", (80, 60), "green").save(folder / "raw" / "green.png")
    (folder / "raw" / "broken.jpg").write_bytes(b"\xff\xd8\xff no photo")
    result = run_script("align.py", "raw", "align", INNER, "out", "--jobs", 2, cwd=folder)
    assert_works(result)
    assert "2 aligned, 1 no face, 0 several faces, 1 unreadable" in result.stdout
    assert "broken.jpg" in result.stdout
    return folder


def test_outputs(demo):
    visible = sorted(path.name for path in (demo / "out").iterdir() if not path.name.startswith(".dcgan-completion"))
    assert visible == ["a__astronaut.png", "alignment.csv", "b__astronaut.png"]
    assert [(row["source"], row["output"], row["status"]) for row in rows(demo / "out")] == [
        ("a/astronaut.png", "a__astronaut.png", "aligned"),
        ("b/astronaut.png", "b__astronaut.png", "aligned"),
        ("broken.jpg", "", "unreadable"),
        ("green.png", "", "no face"),
    ]
    assert Image.open(demo / "out" / "a__astronaut.png").size == (64, 64)


def test_the_face_is_the_photo_under_the_transform(demo):
    """Bilinear interpolation by hand: each pixel of the face is looked up in the photo, to the pixel's rounding."""
    photo = np.asarray(Image.open(DEMO / "astronaut.png").convert("RGB"), float)
    face = np.asarray(Image.open(demo / "out" / "a__astronaut.png"), float)
    transform = matrix(rows(demo / "out")[0])
    x, y = np.meshgrid(np.arange(64), np.arange(64))
    back = np.linalg.inv(np.vstack([transform, [0, 0, 1]]))
    sx, sy, _ = np.einsum("ij,jhw->ihw", back, np.stack([x, y, np.ones_like(x)]))
    x0, y0 = np.floor(sx).astype(int), np.floor(sy).astype(int)
    wx, wy = (sx - x0)[..., None], (sy - y0)[..., None]
    expected = (
        photo[y0, x0] * (1 - wx) * (1 - wy)
        + photo[y0, x0 + 1] * wx * (1 - wy)
        + photo[y0 + 1, x0] * (1 - wx) * wy
        + photo[y0 + 1, x0 + 1] * wx * wy
    )
    assert abs(face - expected).mean() < 1  # OpenCV places to 1/32 pixel


def test_eyes_and_lip_stand_where_the_template_says(demo):
    """The photo's inner eye corners and lower lip, read off by eye, land on the template."""
    transform = matrix(rows(demo / "out")[0])
    for index, (x, y) in {39: (211, 102), 42: (236, 104), 57: (222, 155)}.items():
        np.testing.assert_allclose(
            transform @ [x, y, 1], 64 * np.array(TEMPLATES[INNER][index]), atol=2, err_msg=str(index)
        )


def test_a_second_call_does_only_what_is_missing(demo):
    faces = {path: path.stat().st_mtime_ns for path in (demo / "out").glob("*.png")}
    before = rows(demo / "out")
    again, gone = sorted(faces)
    gone.unlink()
    with open(demo / "out" / "alignment.csv", "a") as file:
        file.write("cut/off.png,cu")  # as a killed run leaves it
    result = run_script("align.py", "raw", "align", INNER, "out", "--jobs", 1, cwd=demo)
    assert result.returncode == 0
    assert "2 of 4 photos are done already" in result.stdout
    assert again.stat().st_mtime_ns == faces[again]
    assert gone.exists()
    key = lambda row: row["source"]  # noqa: E731
    assert sorted(rows(demo / "out"), key=key) == sorted(before, key=key)


def test_size_and_other_landmarks(tmp_path):
    result = run_script("align.py", DEMO, "align", "outerEyesAndNose", "out", "--size", 96, "--verbose", cwd=tmp_path)
    assert_works(result)
    assert "astronaut.png: aligned" in result.stdout
    assert Image.open(tmp_path / "out" / "astronaut.png").size == (96, 96)
    for other in (["outerEyesAndNose"], [INNER, "--size", 96]):
        kind, *size = other
        result = run_script("align.py", DEMO, "align", kind, "out", *size, cwd=tmp_path)
        assert_fails(result, 1, "another --size, --margin, --all, landmarks", "choose another folder")


def test_a_new_photo_does_not_take_the_name_of_an_old_one(tmp_path):
    for i, folder in enumerate(("y", "x")):  # the later one sorts first
        (tmp_path / "raw" / folder).mkdir(parents=True)
        shutil.copy(DEMO / "astronaut.png", tmp_path / "raw" / folder)
        assert_works(run_script("align.py", "raw", "align", INNER, "out", cwd=tmp_path))
        assert len(list((tmp_path / "out").glob("*.png"))) == i + 1
    assert {row["source"]: row["output"] for row in rows(tmp_path / "out")} == {
        "y/astronaut.png": "astronaut.png",
        "x/astronaut.png": "x__astronaut.png",
    }


def test_a_photo_that_was_damaged_since_does_not_stop_the_others(tmp_path):
    for name in "ab":
        (tmp_path / "raw").mkdir(exist_ok=True)
        shutil.copy(DEMO / "astronaut.png", tmp_path / "raw" / f"{name}.png")
        assert_works(run_script("align.py", "raw", "align", INNER, "out", "--jobs", 1, cwd=tmp_path))
        (tmp_path / "raw" / "a.png").write_text("damaged")
    assert [row["status"] for row in rows(tmp_path / "out")] == ["aligned", "aligned"]


def test_faces_inside_the_folder_of_photos_are_not_photos(tmp_path):
    shutil.copytree(DEMO, tmp_path / "raw")
    for _ in range(2):
        assert_works(run_script("align.py", "raw", "align", INNER, "raw/out", cwd=tmp_path))
    assert [row["source"] for row in rows(tmp_path / "raw" / "out")] == ["astronaut.png"]


def test_photos_with_several_faces_can_be_left_out(tmp_path):
    photo = Image.open(DEMO / "astronaut.png").convert("RGB").crop((140, 0, 340, 220))
    pair = Image.new("RGB", (400, 220))
    pair.paste(photo, (0, 0))
    pair.paste(photo.resize((160, 176)), (220, 0))
    (tmp_path / "raw").mkdir()
    pair.save(tmp_path / "raw" / "pair.png")
    result = run_script("align.py", "raw", "align", INNER, "out", "--skipMulti", cwd=tmp_path)
    assert_fails(result, 1, "no face was aligned")
    assert rows(tmp_path / "out")[0]["status"] == "several faces"
    assert run_script("align.py", "raw", "align", INNER, "out", cwd=tmp_path).returncode == 0
    (row,) = rows(tmp_path / "out")
    assert row["status"] == "aligned"
    assert matrix(row)[0, 0] < 0.75 * 64 / 70  # the larger face was taken: it shrinks more
    largest = (tmp_path / "out" / "pair.png").read_bytes()
    all_faces = ["align.py", "raw", "align", INNER, "all", "--all"]
    for _ in range(2):
        result = run_script(*all_faces, cwd=tmp_path)
        assert_works(result)
        assert "aligned faces: 2 in all" in result.stdout
    first, second = rows(tmp_path / "all")
    assert [(each["source"], each["output"], each["faces"]) for each in (first, second)] == [
        ("pair.png", "pair_1.png", "2"),
        ("pair.png", "pair_2.png", "2"),
    ]
    assert matrix(first)[0, 0] == matrix(row)[0, 0] < matrix(second)[0, 0]
    assert (tmp_path / "all" / "pair_1.png").read_bytes() == largest
    (tmp_path / "all" / "pair_2.png").unlink()
    assert_works(run_script(*all_faces, cwd=tmp_path))
    assert (tmp_path / "all" / "pair_2.png").exists() and rows(tmp_path / "all") == [first, second]
    assert_fails(run_script(*all_faces[:-1], cwd=tmp_path), 1, "all holds faces", "--all")


def test_pixels_of_a_much_larger_photo_are_averaged(tmp_path):
    """Aligning an enlarged photo with a checkerboard over its pixels leaves nothing of the checkerboard."""
    photo = np.asarray(Image.open(DEMO / "astronaut.png").convert("RGB").crop((140, 0, 340, 220)), int).clip(40, 215)
    large = photo.repeat(4, axis=0).repeat(4, axis=1)
    checkered = large + 40 * (-1) ** np.indices(large.shape[:2]).sum(axis=0)[..., None]
    Image.fromarray(checkered.astype(np.uint8)).save(tmp_path / "large.png")
    aligner = Aligner(predictor_path(None), AlignOptions(tmp_path, "align", INNER, tmp_path / "out"))
    (row,) = aligner.align(Job("large", tmp_path / "large.png", "large"))
    transform = np.vstack([np.array(row[3:9], float).reshape(2, 3), [0, 0, 1]])
    assert 1 / transform[0, 0] > 4
    face = np.asarray(Image.open(tmp_path / "out" / "large.png"), int)
    y, x = np.indices((64, 64)).reshape(2, -1)
    columns, rows, _ = (np.linalg.inv(transform) @ [x, y, np.ones_like(x)] / 4).round().astype(int)
    assert abs(face[y, x] - photo[rows, columns]).mean() < 8


def test_an_error_ends_the_threads_before_the_folder_is_unlocked(tmp_path, monkeypatch):
    """Also if the error is kept, and with it the generator."""
    (tmp_path / "raw").mkdir()
    for i in range(20):
        (tmp_path / "raw" / f"{i}.png").symlink_to(DEMO / "astronaut.png")
    monkeypatch.setattr(Outputs, "add_rows", Mock(side_effect=UserError("replaced")))
    before = threading.active_count()
    options = AlignOptions(tmp_path / "raw", "align", INNER, tmp_path / "out", jobs=1)
    with pytest.raises(UserError, match="replaced") as kept:
        align(options)
    assert kept and threading.active_count() == before
    assert len(list((tmp_path / "out").glob("*.png"))) < 20


def test_too_little_memory_to_write_a_face_does_not_stop_the_others(tmp_path, monkeypatch):
    (tmp_path / "raw").mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(DEMO / "astronaut.png", tmp_path / "raw" / name)
    outcomes = iter([Mock(side_effect=MemoryError), save_picture])
    monkeypatch.setattr("jobs.align.save_picture", lambda path, pixels: next(outcomes)(path, pixels))
    align(AlignOptions(tmp_path / "raw", "align", INNER, tmp_path / "out", jobs=1))
    assert [row["status"] for row in rows(tmp_path / "out")] == ["unreadable", "aligned"]


def test_every_option_reaches_the_alignment(monkeypatch):
    monkeypatch.setattr("jobs.align.align", lambda *options: received.extend(options))
    received: list = []
    argv = f"r align {INNER} o --size 9 --margin 0.5 --dlibFacePredictor p --skipMulti --verbose --jobs 3"
    importlib.import_module("align").main(argv.split())
    expected = AlignOptions(Path("r"), "align", INNER, Path("o"), 9, 0.5, Path("p"), True, False, True, 3)
    assert received == [expected]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["missing", "align", INNER, "out"], 1, ["no folder missing"]),
        (["empty", "align", INNER, "out"], 1, ["no pictures in empty"]),
        ([DEMO, "align", "mouth", "out"], 2, ["mouth", "outerEyesAndNose"]),
        ([DEMO, "align", INNER, "out", "--size", "0"], 2, ["--size"]),
        ([DEMO, "align", INNER, "out", "--dlibFacePredictor", "no.dat"], 1, ["no.dat", "--dlibFacePredictor"]),
        (
            [DEMO, "align", INNER, "out", "--dlibFacePredictor", "empty/file"],
            1,
            ["empty/file", "not a landmark model of dlib"],
        ),
        ([DEMO, "align", INNER, "out", "--dlibFacePredictor", FIVE_POINTS], 1, ["5 landmarks", "68"]),
        ([DEMO, "align", INNER, "empty/file/out"], 1, ["empty/file is not a folder"]),
    ],
)
def test_bad_calls(tmp_path, args, code, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "file").touch()
    assert_fails(run_script("align.py", *args, cwd=tmp_path), code, *words)
    assert not (tmp_path / "out").exists()
