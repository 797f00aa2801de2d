"""alignment.csv and faces that were damaged, that are somebody else's, and a single photo."""

import csv
import shutil

import pytest
from conftest import ROOT, assert_fails, assert_works, run_script
from PIL import Image

from faces.alignment import COLUMNS, earlier_rows
from jobs.align import is_done
from utils import UserError

INNER = "innerEyesAndBottomLip"
NUMBERS = ["1", "0", "0.5", "0", "1", "-2e1"]
PHOTO = ROOT / "data" / "demo" / "raw" / "astronaut.png"


@pytest.mark.parametrize("bad", ["none", "", "nan", "inf", "1,5"])
def test_a_number_that_is_none(tmp_path, bad):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    assert is_done(["x.png", "x.png", "aligned", *NUMBERS], tmp_path, False)
    assert not is_done(["x.png", "x.png", "aligned", *NUMBERS[:5], bad], tmp_path, False)


def test_a_face_that_is_gone_or_cut_short_is_aligned_again(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    row = ["x.png", "x.png", "aligned", *NUMBERS]
    (tmp_path / "x.png").write_bytes((tmp_path / "x.png").read_bytes()[:-1])
    assert not is_done(row, tmp_path, False)
    (tmp_path / "x.png").write_bytes(b"")
    assert not is_done(row, tmp_path, False)
    (tmp_path / "x.png").unlink()
    assert not is_done(row, tmp_path, False)
    assert not is_done([row[0], "x" * 300, *row[2:]], tmp_path, False)


@pytest.mark.parametrize(
    ("content", "word"),
    [(",".join(COLUMNS) + "\n" + "x" * 200_000 + ",1\n", "damaged"), ("name,age\nAnn,30\n", "not written by align.py")],
)
def test_a_table_that_is_none(tmp_path, content, word):
    log = tmp_path / "alignment.csv"
    log.write_text(content)
    with pytest.raises(UserError, match=word):
        earlier_rows(log)
    log.unlink()
    log.mkdir()
    with pytest.raises(UserError, match="not a regular file"):
        earlier_rows(log)


def test_a_single_photo(tmp_path):
    shutil.copy(PHOTO, tmp_path)
    assert_works(run_script("align.py", "astronaut.png", "align", INNER, "out", cwd=tmp_path))
    assert Image.open(tmp_path / "out" / "astronaut.png").size == (64, 64)
    with open(tmp_path / "out" / "alignment.csv", newline="") as file:
        assert [row["source"] for row in csv.DictReader(file)] == ["astronaut.png"]
    (tmp_path / "out" / "alignment.csv").unlink()  # now the face might be anybody's
    before = (tmp_path / "out" / "astronaut.png").read_bytes()
    refused = run_script("align.py", "astronaut.png", "align", INNER, "out", cwd=tmp_path)
    assert_fails(refused, 1, "out/astronaut.png", "name another folder")
    assert (tmp_path / "out" / "astronaut.png").read_bytes() == before
    assert_fails(run_script("align.py", "astronaut.png", "align", INNER, ".", cwd=tmp_path), 1, "are one folder")
