"""simple-distributions.py: four plots with something on them."""

import numpy as np
from conftest import assert_fails, assert_works, run_script
from PIL import Image


def test_plots(tmp_path):
    result = run_script("simple-distributions.py", "--outDir", "plots", cwd=tmp_path)
    assert_works(result)
    names = ["normal-2d-max.png", "normal-2d.png", "normal-pdf.png", "normal-samples.png"]
    assert sorted(p.name for p in (tmp_path / "plots").glob("[!.]*")) == names
    red = {}
    for name in names:
        plot = np.asarray(Image.open(tmp_path / "plots" / name).convert("RGB"), int)
        assert 0.01 < (plot < 200).any(-1).mean() < 0.5
        red[name] = (plot == (255, 0, 0)).all(-1).sum()
    assert red["normal-2d-max.png"] > 20  # the most probable point


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    assert_fails(run_script("simple-distributions.py", "--outDir", "file", cwd=tmp_path), 1, "file")


def test_plots_replace_each_other_but_no_foreign_file(tmp_path):
    for _ in range(2):
        assert_works(run_script("simple-distributions.py", cwd=tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    (other / "normal-2d.png").write_text("precious")
    assert_fails(run_script("simple-distributions.py", cwd=other), 1, "normal-2d.png was not written by", "--outDir")
    assert [path.name for path in other.iterdir()] == ["normal-2d.png"]
    assert (other / "normal-2d.png").read_text() == "precious"
