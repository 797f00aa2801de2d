"""`completion.complete`: the pictures of complete.py from arrays and paths, in a program, without files."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, assert_works, blobs, lively, run_script, write_pictures
from PIL import Image

from completion import complete
from images.decoding import read_picture
from utils import UserError

SEARCH = {"n_iter": 2, "refine": 0, "start": "random", "seed": 3}
FLAGS = ("--nIter", 2, "--refine", 0, "--start", "random", "--seed", 3, "--outInterval", 0)
BUNDLED = ROOT / "checkpoints" / "pretrained"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a model of 16x16."""
    folder = tmp_path_factory.mktemp("model")
    lively(8, 5).save(folder)
    return folder


@pytest.fixture
def hole(tmp_path):
    """A mask of 16x16 as an array and as a file."""
    known = np.ones((16, 16), bool)
    known[5:12, 3:9] = False
    Image.fromarray(known).save(tmp_path / "hole.png")
    return known, tmp_path / "hole.png"


def of_script(folder, *args) -> list[np.ndarray]:
    """The pictures that complete.py leaves."""
    out = Path(tempfile.mkdtemp(dir=folder))
    assert_works(run_script("complete.py", *args, *FLAGS, "--outDir", out, cwd=folder))
    return [np.asarray(Image.open(path)) for path in sorted((out / "final").iterdir())]


def test_aligned_pictures_equal_those_of_the_script(tmp_path, model, hole, monkeypatch):
    pictures, (known, mask) = blobs(3, 16), hole
    paths = write_pictures(tmp_path / "faces", pictures)
    expected = of_script(tmp_path, *paths, "--maskFile", mask, "--checkpointDir", model)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    masks = known, mask, known.astype(int), known * 255, known * 1.0, read_picture(mask)
    for each in masks:
        made = complete([pictures[0], *paths[1:]], each, model=model, **SEARCH)
        np.testing.assert_array_equal(made, expected)
    from model import DCGAN

    made = complete(str(paths[0]), [mask], model=DCGAN.load(model), **SEARCH)
    np.testing.assert_array_equal(made, expected[0])
    assert (made[known] == pictures[0][known]).all()
    assert not any((tmp_path / "empty").iterdir())


@pytest.mark.parametrize("kind", ["opaque", "transparent", "gray", "photo"])
def test_pictures_without_a_mask_equal_those_of_the_script(tmp_path, model, hole, kind):
    picture = blobs(1, 16, seed=1)[0]
    if kind == "transparent":
        picture = np.dstack([picture, 255 * hole[0].astype(np.uint8)])
    elif kind == "gray":
        picture = picture[..., 0]
    elif kind == "photo":  # no face fits it, so it is cropped
        picture = np.tile(picture, (1, 2, 1))
    paths = write_pictures(tmp_path / "faces", picture[None])
    expected = of_script(tmp_path, *paths, "--checkpointDir", model)
    np.testing.assert_array_equal(complete([picture], model=model, **SEARCH), expected)


@pytest.mark.slow
def test_photos_equal_those_of_the_script(tmp_path):
    photo = read_picture(ROOT / "data" / "demo" / "raw" / "astronaut.png")[:300, 100:350]
    known = np.ones(photo.shape[:2], bool)
    known[150:162, 115:135] = False
    Image.fromarray(known).save(tmp_path / "hole.png")
    paths = write_pictures(tmp_path / "photos", np.stack([photo, photo[:, ::-1]]))
    call = "--maskFile", "hole.png", "--checkpointDir", BUNDLED
    expected = of_script(tmp_path, *paths, *call)
    np.testing.assert_array_equal(complete(paths, known, model=BUNDLED, **SEARCH), expected)
    points = [(111, 107), (138, 108), (125, 166)]
    (expected,) = of_script(tmp_path, paths[0], *call, "--points", "111,107 138,108 125,166")
    np.testing.assert_array_equal(complete(photo, known, model=BUNDLED, points=points, **SEARCH), expected)
    (expected,) = of_script(tmp_path, paths[0], "--checkpointDir", BUNDLED, "--preset", "lively")
    np.testing.assert_array_equal(complete(photo, model=BUNDLED, photo=True, preset="lively", **SEARCH), expected)


@pytest.mark.parametrize(
    ("picture", "mask", "options", "words"),
    [
        ("missing.png", None, {}, "cannot read the picture missing.png: no such file"),
        (np.zeros((16, 16, 3)), None, {}, "picture 0 is float64"),
        (np.zeros((16, 16, 5), np.uint8), None, {}, "picture 0 is uint8"),
        (blobs(1, 16)[0], np.ones((16, 16)), {}, "the mask of picture 0 hides nothing"),
        (blobs(1, 16)[0], np.zeros((16, 16), np.uint8), {}, "the mask of picture 0 hides everything"),
        (blobs(1, 16)[0], np.ones((16, 8), bool), {}, "the mask of picture 0 is 8x16: crop it to a square"),
        (blobs(1, 16)[0], np.ones((16, 16, 3), bool), {}, "a mask is bool"),
        (blobs(1, 16)[0], np.arange(192, dtype=np.uint8).reshape(8, 8, 3), {}, "the mask given"),
        (blobs(1, 16)[0], [None, None], {}, "there are 2 masks for 1 pictures"),
        (list(blobs(2, 16)), None, {"points": [(1, 1)] * 3}, "points belong to one photo, but there are 2"),
        (blobs(1, 16)[0], None, {"preset": "dull"}, "dull is not one of default, likely, lively, post"),
        (blobs(1, 16)[0], None, {"n_iter": 0}, "n_iter: 0 is not at least 1"),
        (blobs(1, 16)[0], None, {"n_iterr": 3}, "n_iterr is not an option of the search"),
        (blobs(1, 16)[0], None, {"photo": False, "points": [(1, 1)] * 3}, "--points and --aligned exclude each other"),
    ],
)
def test_what_is_wrong_is_said(model, picture, mask, options, words):
    with pytest.raises((UserError, ValueError), match=words):
        complete(picture, mask, model=model, **options)


def test_importing_the_package_loads_no_library():
    script = "import sys, completion; print({'tensorflow', 'numpy', 'cv2'} & sys.modules.keys())"
    assert subprocess.check_output([sys.executable, "-c", script], cwd=ROOT, text=True) == "set()\n"
