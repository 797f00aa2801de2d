"""alignment.csv and faces that were damaged or that are the user's, and a single photo."""

import csv
import shutil

import pytest
from conftest import ROOT, assert_fails, assert_works, run_script
from PIL import Image

from faces.table import COLUMNS, earlier_rows
from jobs.align import is_done
from outputs import LIST, Outputs
from utils import UserError

INNER = "innerEyesAndBottomLip"
NUMBERS = ["1", "0", "0.5", "0", "1", "-2e1", "80", "60", "64"]
PHOTO = ROOT / "data" / "demo" / "raw" / "astronaut.png"


def written(folder):
    """The Outputs of a folder in which align.py has written x.png."""
    outputs = Outputs(folder)
    outputs.write("x.png", lambda path: path.write_bytes(b"a face"))
    return outputs


@pytest.mark.parametrize("bad", ["none", "", "nan", "inf", "1,5"])
def test_a_damaged_number_is_not_done(tmp_path, bad):
    outputs = written(tmp_path)
    row = ["x.png", "x.png", "aligned", *NUMBERS]
    assert is_done([[*row, "", ""]], outputs, False)
    assert not is_done([[*row[:-1], bad, "", ""]], outputs, False)
    assert not bad or not is_done([[*row, "", bad]], outputs, False)
    assert is_done([[*row, "2", "0"]] * 2, outputs, False) and not is_done([[*row, "2", "0"]], outputs, False)


def test_a_face_that_is_gone_or_changed_is_not_done(tmp_path):
    outputs = written(tmp_path)
    row = ["x.png", "x.png", "aligned", *NUMBERS, "", ""]
    for content in (b"a fac", b""):
        (tmp_path / "x.png").write_bytes(content)
        assert not is_done([row], outputs, False)
    (tmp_path / "x.png").unlink()
    assert not is_done([row], outputs, False)


@pytest.mark.parametrize(
    ("content", "word"),
    [(",".join(COLUMNS) + "\n" + "x" * 200_000 + ",1\n", "damaged"), ("name,age\nAnn,30\n", "not written by align.py")],
)
def test_a_table_that_is_none(tmp_path, content, word):
    log = tmp_path / "alignment.csv"
    log.write_text(content)
    with pytest.raises(UserError, match=word):
        earlier_rows(log)


def test_a_single_photo(tmp_path):
    shutil.copy(PHOTO, tmp_path)
    assert_works(run_script("align.py", "astronaut.png", "align", INNER, "out", cwd=tmp_path))
    assert Image.open(tmp_path / "out" / "astronaut.png").size == (64, 64)
    with open(tmp_path / "out" / "alignment.csv", newline="") as file:
        assert [row["source"] for row in csv.DictReader(file)] == ["astronaut.png"]
    face = tmp_path / "out" / "astronaut.png"
    before = face.read_bytes()
    for gone in ("alignment.csv", LIST):  # now the face could be the user's
        (tmp_path / "out" / gone).unlink()
    refused = run_script("align.py", "astronaut.png", "align", INNER, "out", cwd=tmp_path)
    assert_fails(refused, 1, "out/astronaut.png was not written by this program", "choose another folder")
    assert face.read_bytes() == before
    assert_fails(run_script("align.py", "astronaut.png", "align", INNER, ".", cwd=tmp_path), 1, "are the same folder")


def test_a_face_that_the_user_changed_is_kept(tmp_path):
    shutil.copy(PHOTO, tmp_path)
    for _ in range(2):
        assert_works(run_script("align.py", "astronaut.png", "align", INNER, "out", cwd=tmp_path))
    face = tmp_path / "out" / "astronaut.png"
    Image.new("RGB", (64, 64)).save(face)
    before = face.read_bytes()
    refused = run_script("align.py", "astronaut.png", "align", INNER, "out", cwd=tmp_path)
    assert_fails(refused, 1, "out/astronaut.png was not written by this program")
    assert face.read_bytes() == before


def test_a_table_of_an_earlier_version_gets_the_sizes(tmp_path):
    """Photos without sizes are aligned again."""
    shutil.copy(PHOTO, tmp_path)
    command = ["align.py", "astronaut.png", "align", INNER, "out"]
    assert_works(run_script(*command, cwd=tmp_path))
    table = tmp_path / "out" / "alignment.csv"
    whole = table.read_text()
    header, row = csv.reader(whole.splitlines())
    names, values = ["width", "height", "size", "faces", "margin"], ["512", "512", "64", "", "0.0"]
    assert (header[9:], row[9:]) == (names, values)
    for columns, kept in ((9, whole), (13, whole.removesuffix("0.0\n") + "\n")):
        earlier = "".join(",".join(cells[:columns]) + "\n" for cells in (header, row))
        Outputs(tmp_path / "out").write("alignment.csv", lambda path: path.write_text(earlier), grows=True)  # noqa: B023
        for other in (["--size", 32], ["--margin", 0.1]) if columns == 13 else ():
            assert_fails(run_script(*command, *other, cwd=tmp_path), 1, "out holds faces with another --size")
        assert_works(run_script(*command, cwd=tmp_path))
        assert table.read_text() == kept


def test_a_users_table_is_kept(tmp_path):
    shutil.copy(PHOTO, tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "alignment.csv").write_text("mine\n")
    refused = run_script("align.py", "astronaut.png", "align", INNER, "out", cwd=tmp_path)
    assert_fails(refused, 1, "out/alignment.csv was not written by align.py", "choose another folder")
    assert (tmp_path / "out" / "alignment.csv").read_text() == "mine\n"
