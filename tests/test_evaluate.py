"""evaluate.py: its masks, its figures against a recomputation from its own pictures, and bad calls."""

import csv
import importlib
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import ROOT, assert_fails, assert_works, blobs, run_script, write_pictures
from PIL import Image

from dcgan.options import PRESETS, DeviceOptions, NetworkOptions
from jobs.evaluate.aligned import closeness, mask_of
from jobs.evaluate.arguments import PAPERS_MASKS, EvaluateOptions
from jobs.evaluate.methods import METHODS as REGISTRY
from jobs.evaluate.report import mean_and_error
from model import DCGAN

METHODS = ["default", "poisson", "unblended", "spline", "telea", "navier-stokes"]


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    write_pictures(folder / "faces", blobs(9, 16, seed=1))
    args = ["faces", "--faces", 6, "--checkpointDir", trained / "checkpoints", "--methods", *METHODS]
    result = run_script("evaluate.py", *args, "--batchSize", 4, "--seed", 3, cwd=folder)
    assert_works(result)
    (folder / "stdout").write_text(result.stdout)
    return folder


@pytest.mark.slow
def test_a_row_a_mask_and_method(folder):
    with open(folder / "evaluation" / "evaluation.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["mask"], row["method"]) for row in rows] == [(m, by) for m in PAPERS_MASKS for by in METHODS]
    assert {row["faces"] for row in rows} == {"6"}
    printed = (folder / "stdout").read_text()
    assert all(f"{float(row['psnr_hole']):.3f}"[:-1] in printed for row in rows)


def test_what_is_measured_stays_when_it_is_stopped(trained, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(REGISTRY, "telea", replace(REGISTRY["telea"], run=Mock(side_effect=KeyboardInterrupt)))
    args = ["--faces", 2, "--masks", "center", "--methods", "spline", "telea", "--checkpointDir"]
    result = run_script("evaluate.py", folder / "faces", *args, trained / "checkpoints", cwd=tmp_path)
    assert_fails(result, 130, "interrupted")
    with open(tmp_path / "evaluation" / "evaluation.csv", newline="") as file:
        assert [(row["mask"], row["method"]) for row in csv.DictReader(file)] == [("center", "spline")]


def test_figures_are_those_of_the_pictures(folder):
    """PSNR in the hole of the center, from the picture with a column a method; all six faces are in it."""
    sheet = np.asarray(Image.open(folder / "evaluation" / "center.png"))[24:]
    rows = [
        np.stack([sheet[4 + 132 * r : 132 + 132 * r : 8, 4 + 132 * c : 132 + 132 * c : 8] for r in range(6)])
        for c in range(2 + len(METHODS))
    ]
    true, masked, *completed = (row.astype(float) for row in rows)
    faces = [Image.open(folder / "faces" / f"{i * 9 // 6:03d}.png") for i in range(6)]
    np.testing.assert_array_equal(true, np.stack([np.asarray(face) for face in faces]))
    hole = np.zeros((16, 16), bool)
    hole[4:12, 4:12] = True
    assert (masked[:, hole] == 128).all()
    with open(folder / "evaluation" / "evaluation.csv", newline="") as file:
        table = [row for row in csv.DictReader(file) if row["mask"] == "center"]
    for row, pictures in zip(table, completed, strict=True):
        np.testing.assert_array_equal(pictures[:, ~hole], true[:, ~hole])
        error = ((pictures - true)[:, hole] ** 2).mean(axis=(1, 2))
        in_hole = 10 * np.log10(255**2 / error)
        assert float(row["psnr_hole"]) == pytest.approx(in_hole.mean(), rel=1e-4)
        assert float(row["psnr_hole_error"]) == pytest.approx(in_hole.std(ddof=1) / 6**0.5, rel=1e-4)
        whole = 10 * np.log10(255**2 / (error / 4))  # a quarter of the pixels is in the hole
        assert float(row["psnr"]) == pytest.approx(whole.mean(), rel=1e-4)


def test_a_hole_at_the_edge_has_no_ssim_of_its_own():
    """SSIM has no value within 5 pixels of the edge; such a face is left out of the mean over holes."""
    pictures = blobs(3, 16)
    masks = np.ones((3, 16, 16), bool)
    masks[0, :3, :3] = masks[1:, 6:10, 6:10] = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measured = closeness(pictures // 2, pictures, masks)
        assert np.isfinite(measured[:4]).tolist() == [[True] * 3] * 3 + [[False, True, True]]
        mean, error = (values[3] for values in mean_and_error(measured))
        assert (mean, error) == pytest.approx((measured[3, 1:].mean(), measured[3, 1:].std(ddof=1) / 2**0.5))
        assert np.isnan(mean_and_error(measured[:, :1])[1]).all()


def test_the_papers_masks():
    masks = {kind: np.stack([mask_of(kind, NetworkOptions(), seed) for seed in range(40)]) for kind in PAPERS_MASKS}
    shares = {kind: 1 - mask.mean() for kind, mask in masks.items()}
    assert shares == pytest.approx({"center": 0.25, "pattern": 0.25, "random80": 0.8, "half": 0.5}, abs=0.01)
    corners = masks["half"][:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert len(np.unique(corners, axis=0)) == 4  # left, right, top, bottom


class OnePicture:
    """A picture with a hole, completed by a method without a model."""

    def __init__(self, picture, mask):
        self.picture, self.mask = picture, mask

    def by_filling(self, fill):
        return fill(self.picture, self.mask)


def inpaint(method, picture, mask):
    return REGISTRY[method].run(OnePicture(picture, mask))


def test_the_spline_needs_no_model_and_continues_a_slope():
    slope = np.broadcast_to(np.arange(0, 160, 10, dtype=np.uint8)[:, None], (16, 16))[..., None]
    mask = np.ones((16, 16), bool)
    mask[5:11, 5:11] = False
    assert abs(inpaint("spline", slope, mask).astype(int) - slope).max() <= 1


@pytest.mark.parametrize("method", ["telea", "navier-stokes", "spline"])
def test_inpainting_reads_no_hidden_pixel_and_keeps_the_known(method):
    picture, mask = blobs(1, 16)[0], np.ones((16, 16), bool)
    mask[5:9, 6:11] = False
    completed = [inpaint(method, np.where(mask[..., None], picture, v).astype(np.uint8), mask) for v in (0, 255)]
    np.testing.assert_array_equal(*completed)
    np.testing.assert_array_equal(completed[0][mask], picture[mask])
    assert abs(completed[0].astype(int) - picture).mean() < 5


def test_every_option_reaches_the_evaluation(monkeypatch):
    monkeypatch.setattr("jobs.evaluate.aligned.evaluate", lambda *options: received.extend(options))
    received: list = []
    argv = (
        "x --checkpointDir c --outDir o --faces 3 --masks half center --methods telea --batchSize 4 --seed 5"
        " --precision mixed"
    )
    importlib.import_module("evaluate").main(argv.split())
    options = EvaluateOptions(Path("x"), Path("c"), Path("o"), 3, ("half", "center"), ("telea",), 4, 5)
    assert received == [options, DeviceOptions("mixed")]


def test_bad_calls(folder):
    assert_fails(run_script("evaluate.py", "missing", cwd=folder), 1, "no folder missing")
    assert_fails(run_script("evaluate.py", "faces", "--masks", "middle", cwd=folder), 2, "middle")
    assert_fails(run_script("evaluate.py", "faces", "--checkpointDir", "faces", cwd=folder), 1, "no model in faces")


def test_the_model_is_opened_as_to_complete(folder, trained, tmp_path):
    said = (folder / "stdout").read_text()
    assert f"model: {trained / 'checkpoints'}, trained for 10 steps; results may be noise" in said
    assert "\nfaces: 6\n" in said
    DCGAN(8, gf_dim=4, df_dim=4).save(tmp_path)
    args = ["--samples", "--checkpointDir", tmp_path]
    assert_fails(
        run_script("evaluate.py", "faces", *args, cwd=folder),
        1,
        "makes pictures of 8 pixels, but SSIM needs 16",
        "--checkpointDir",
    )


def test_whole_photos_are_told_from_aligned_faces(trained, tmp_path):
    photo = Image.open(ROOT / "data" / "demo" / "raw" / "astronaut.png").convert("RGB")
    photo.save(tmp_path / "photo.png")
    args = ["--masks", "center", "--methods", "telea", "--checkpointDir", trained / "checkpoints"]
    result = run_script("evaluate.py", ".", *args, cwd=tmp_path)
    assert_works(result)
    assert "no face fills the picture: photo.png. To measure whole photos, add --photo" in result.stdout


def test_its_own_pictures_are_no_faces(folder, tmp_path):
    write_pictures(tmp_path, blobs(2, 16))
    args = ["--masks", "center", "--methods", "telea", "--checkpointDir", folder.parent / "none"]
    ended = run_script("evaluate.py", ".", "--outDir", ".", *args, cwd=tmp_path)
    assert_fails(ended, 1, "holds the pictures", "--outDir")
    (tmp_path / "evaluation").mkdir()
    Image.new("RGB", (300, 300)).save(tmp_path / "evaluation" / "half.png")
    result = run_script("evaluate.py", ".", *args, cwd=tmp_path)
    assert "skipped pictures in the output folder" in result.stdout


class Search:
    """Returns the preset that a method searches by."""

    def by_search(self, preset):
        return preset


def test_presets_are_methods_of_the_same_name():
    for name, preset in PRESETS.items():
        assert REGISTRY[name].run(Search()) == preset
        assert REGISTRY[name].help == preset.help


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [
        ("likely", "z_length", 0),
        ("lively", "z_length", 0.85),
        ("unrefined", "refine", 0),
        ("poisson", "blend", "poisson"),
        ("unblended", "blend", "none"),
        ("hmc", "approach", "hmc"),
    ],
)
def test_a_method_differs_from_the_default_in_one_option(method, name, value):
    assert REGISTRY[method].run(Search()).options({}) == {**PRESETS["default"].options({}), name: value}


@pytest.mark.parametrize("name", ["evaluation.csv", "half.png"])
def test_foreign_files_stay(folder, trained, tmp_path, name):
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / name).write_text("precious")
    args = [folder / "faces", "--masks", "half", "--methods", "telea", "--checkpointDir", trained / "checkpoints"]
    assert_fails(run_script("evaluate.py", *args, cwd=tmp_path), 1, f"evaluation/{name} was not written by", "--outDir")
    assert (tmp_path / "evaluation" / name).read_text() == "precious"
    assert [path.name for path in (tmp_path / "evaluation").glob("[!.]*")] == [name]


def test_its_own_files_are_replaced(folder, trained, tmp_path):
    shutil.copytree(folder / "evaluation", tmp_path / "evaluation")
    args = [folder / "faces", "--masks", "half", "--methods", "telea", "--checkpointDir", trained / "checkpoints"]
    assert_works(run_script("evaluate.py", *args, "--faces", 1, cwd=tmp_path))
    with open(tmp_path / "evaluation" / "evaluation.csv", newline="") as file:
        assert [row["faces"] for row in csv.DictReader(file)] == ["1"]
