"""evaluate.py --photo: its measures by hand, and its table of the demonstration photo."""

import csv
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import ROOT, assert_fails, assert_works, run_script

from completion.photos import PhotoCompleter
from dcgan.options import NetworkOptions
from faces.frame import Frame
from images.photo import Photo
from jobs.evaluate.aligned import BOXES, mask_of
from jobs.evaluate.arguments import HEAD_MASKS
from jobs.evaluate.methods import METHODS
from jobs.evaluate.whole_photos import HEAD_SQUARE, Damaged, DamagedPhotos, Hole, closeness_in_hole, damage

MODEL = ROOT / "checkpoints" / "pretrained"
TRUE = np.array([[0.5, 0.1, -20.0], [-0.1, 0.5, 7.0]])
FRAME = Frame(TRUE, 64)


def test_displacement_is_how_far_points_are_brought_from_where_they_should_be():
    assert FRAME.displacement(FRAME) == pytest.approx(0, abs=1e-9)
    assert Frame(TRUE + np.array([[0, 0, 3], [0, 0, -4]]), 64).displacement(FRAME) == pytest.approx(5)
    larger = Frame(1.1 * TRUE, 64)  # by a tenth of each pixel's distance from the frame's corner
    distances = np.hypot(*np.indices((64, 64)))
    assert larger.displacement(FRAME) == pytest.approx(0.1 * distances.mean())
    of_128 = Frame(2 * TRUE, 128)
    assert Frame(2 * TRUE + np.array([[0, 0, 6], [0, 0, -8]]), 128).displacement(of_128) == pytest.approx(5)


def test_closeness_is_that_in_the_hole():
    photo = np.random.default_rng(0).integers(0, 200, (40, 50, 3), np.uint8)
    known = np.ones((40, 50), bool)
    known[12:30, 20:40] = False
    completed = np.where(known[..., None], photo // 2, photo + 10).astype(np.uint8)
    in_hole, similar = closeness_in_hole(completed, Photo(photo, known))
    assert in_hole == pytest.approx(10 * np.log10(255**2 / 100))
    assert 0 < similar < 1
    assert closeness_in_hole(photo, Photo(photo, known)) == (np.inf, pytest.approx(1))


def test_boxes_hide_what_they_are_named_after():
    for kind, (_, top, _, bottom) in BOXES.items():
        mask = mask_of(kind, NetworkOptions(margin=0.5), 0)
        rows = np.flatnonzero((~mask).any(axis=1)) * 2 - 32  # in 64ths of the aligned square
        assert (rows[0], rows[-1] + 2) == pytest.approx((64 * top, 64 * bottom), abs=1)
        assert mask.any()
    assert mask_of("center", NetworkOptions(), 0).mean() == 0.75


@pytest.mark.parametrize("kind", HEAD_MASKS)
def test_holes_in_heads_reach_beyond_the_face(kind):
    completer = PhotoCompleter(SimpleNamespace(directory=None, image_size=64, c_dim=3, options=NetworkOptions()))
    hole = Hole(mask_of(kind, NetworkOptions(margin=HEAD_SQUARE), 0), HEAD_SQUARE)
    photo, true = damage(ROOT / "data" / "demo" / "raw" / "astronaut.png", hole, completer)
    face = true.covered(photo.shape)
    y, x = np.nonzero(~photo.known & ~face)
    corners = true.corners()
    assert (y < corners[:, 1].min()).any() and (x < corners[:, 0].min()).any()
    assert 0.2 < (~photo.known & face).sum() / face.sum() < 0.6


@pytest.mark.slow
def test_the_table(tmp_path):
    args = ["--photo", "--faces", 1, "--masks", "mouth", "--methods", "default", "spline"]
    assert_works(
        run_script("evaluate.py", ROOT / "data" / "demo" / "raw", *args, "--checkpointDir", MODEL, cwd=tmp_path)
    )
    with open(tmp_path / "evaluation" / "photos.csv", newline="") as file:
        default, spline = csv.DictReader(file)
    assert (default["mask"], default["method"], spline["method"]) == ("mouth", "default", "spline")
    assert float(default["found"]) == 1 and float(default["displacement_median"]) < 5
    assert float(default["psnr_hole"]) > float(spline["psnr_hole"]) > 10
    assert (tmp_path / "evaluation" / "photos_mouth.png").exists()


def test_heads_are_searched_once_for_all_methods():
    completer = Mock(completed_heads=Mock(return_value=[None]))
    photo = Photo(np.zeros((40, 50, 3), np.uint8), np.eye(40, 50, dtype=bool))
    photos = DamagedPhotos(completer, [Damaged(photo, FRAME, None)])
    for method in ("default", "ungrained"):
        list(METHODS[method].run(photos))
    completer.completed_heads.assert_called_once()


def test_without_a_face_that_is_found_there_is_the_spline():
    """As when all faces of a batch are lost."""
    photo = np.random.default_rng(0).integers(0, 255, (30, 30, 3), np.uint8)
    known = np.ones((30, 30), bool)
    known[10:20, 10:20] = False
    lost = Damaged(Photo(photo, known), FRAME, None)
    completer = PhotoCompleter(SimpleNamespace(directory=None, image_size=64, c_dim=3, options=NetworkOptions()))
    by_default, by_spline = (
        next(METHODS[method].run(DamagedPhotos(completer, [lost]))) for method in ("default", "spline")
    )
    np.testing.assert_array_equal(by_default, by_spline)


def test_bad_calls(tmp_path):
    faces = ROOT / "data" / "demo" / "raw"
    assert_fails(run_script("evaluate.py", faces, "--photo", "--methods", "post", cwd=tmp_path), 2, "post is not for")
    assert_fails(run_script("evaluate.py", faces, "--masks", "eyes", cwd=tmp_path), 2, "eyes is not for aligned faces")
    assert_fails(run_script("evaluate.py", faces, "--methods", "aligned", cwd=tmp_path), 2, "aligned is not for")
    args = ["--photo", "--outDir", faces]
    assert_fails(run_script("evaluate.py", faces, *args, cwd=tmp_path), 1, "holds the pictures")
