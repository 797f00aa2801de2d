"""Output folders: which files this program may replace and delete, and one process at a time."""

import errno
import os
import re
import subprocess
import sys
from functools import partial

import pytest
from conftest import ROOT

from outputs import LIST, LOCK, Outputs, only_writer
from utils import UserError


@pytest.fixture
def outputs(tmp_path):
    return Outputs(tmp_path / "out", "--outDir")


def put(text):
    return lambda path: path.write_text(text)


def refused(
    outputs,
    name,
    words="was not written by this program, or was changed since: move it away or choose another --outDir",
):
    """Nothing writes the file or deletes it, now or in a later process."""
    for each in (outputs, Outputs(outputs.folder, "--outDir")):
        for act in (each.check, partial(each.write, write=put("new")), partial(each.add_text, text="more")):
            with pytest.raises(UserError, match=words):
                act(name)
        each.remove(name)


def test_a_file_of_this_program_is_replaced_and_deleted(outputs):
    outputs.write("sub/a.txt", put("first"), "by hand")
    later = Outputs(outputs.folder)
    assert later.note("sub/a.txt") == "by hand"
    later.check("sub/a.txt")
    later.write("sub/a.txt", put("second"))
    assert outputs.note("sub/a.txt") == ""  # another process's entry is read, too
    assert (outputs.folder / "sub" / "a.txt").read_text() == "second"
    outputs.remove("sub/a.txt", "missing")
    assert os.listdir(outputs.folder / "sub") == []
    assert later.note("sub/a.txt") is None


def test_a_foreign_file_stays(outputs):
    outputs.folder.mkdir()
    (outputs.folder / "a.txt").write_text("precious")
    refused(outputs, "a.txt")
    assert (outputs.folder / "a.txt").read_text() == "precious"
    assert os.listdir(outputs.folder) == ["a.txt"]


@pytest.mark.parametrize("content", ["precious", "second!", "firs", "first and more"])
def test_a_file_that_was_changed_is_foreign(outputs, content):
    outputs.write("a.txt", put("first"))
    outputs.write("a.txt", put("secondo"))
    (outputs.folder / "a.txt").write_text(content)
    refused(outputs, "a.txt")
    assert (outputs.folder / "a.txt").read_text() == content


def test_a_file_that_comes_while_another_is_written_stays(outputs):
    def slow(path):
        path.write_text("new")
        (outputs.folder / "a.txt").write_text("precious")

    with pytest.raises(UserError, match="was not written by this program"):
        outputs.write("a.txt", slow)
    assert (outputs.folder / "a.txt").read_text() == "precious"


def test_an_empty_file_may_be_replaced_but_no_folder_or_pipe(outputs):
    outputs.folder.mkdir()
    (outputs.folder / "empty").touch()
    outputs.write("empty", put("new"))
    (outputs.folder / "folder").mkdir()
    refused(outputs, "folder")
    os.mkfifo(outputs.folder / "pipe")
    refused(outputs, "pipe")
    refused(outputs, "empty/a.txt")


def test_nothing_is_written_or_deleted_through_a_symbolic_link(outputs, tmp_path):
    outputs.write("sub/a.txt", put("same"))
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a.txt").write_text("same")  # another folder's result, as it may be
    for make in (
        lambda: os.rename(outputs.folder / "sub", tmp_path / "old"),
        lambda: (outputs.folder / "sub").symlink_to(tmp_path / "kept"),
    ):
        make()
    refused(outputs, "sub/a.txt", "symbolic link")
    refused(outputs, "sub/b.txt", "symbolic link")
    outputs.write("c.txt", put("same"))
    os.rename(outputs.folder / "c.txt", tmp_path / "c.txt")
    (outputs.folder / "c.txt").symlink_to(tmp_path / "c.txt")
    refused(outputs, "c.txt", "symbolic link")
    assert (tmp_path / "kept" / "a.txt").read_text() == (tmp_path / "c.txt").read_text() == "same"
    assert os.listdir(tmp_path / "kept") == ["a.txt"]


def test_the_folder_may_be_a_link_from_the_start_but_not_become_one(outputs, tmp_path):
    outputs.write("a.txt", put("same"))
    os.rename(outputs.folder, tmp_path / "other")
    outputs.folder.symlink_to(tmp_path / "other")
    with pytest.raises(UserError, match="symbolic link"):
        outputs.write("a.txt", put("new"))
    Outputs(outputs.folder).write("a.txt", put("new"))
    assert (tmp_path / "other" / "a.txt").read_text() == "new"


def test_a_file_is_written_whole_or_not_at_all(outputs):
    def fail(path):
        path.write_text("half")
        raise OSError("disk full")

    outputs.write("sub/a.txt", put("first"))
    with pytest.raises(OSError, match="disk full"):
        outputs.write("sub/a.txt", fail)
    assert (outputs.folder / "sub" / "a.txt").read_text() == "first"
    assert os.listdir(outputs.folder / "sub") == ["a.txt"]


def test_the_error_of_a_full_disk_names_the_file(outputs):
    def fail(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: '.*a\.txt'"):
        outputs.write("a.txt", fail)


def test_the_partial_file_of_a_killed_process_is_overwritten(outputs):
    def killed(path):
        path.write_text("half")
        os._exit(0)

    child = os.fork()
    if not child:
        outputs.write("a.txt", killed)
    os.waitpid(child, 0)
    assert len(os.listdir(outputs.folder)) == 1
    outputs.write("a.txt", put("whole"))
    assert sorted(os.listdir(outputs.folder)) == [LIST, "a.txt"]


def test_what_a_process_leaves_that_is_killed_before_the_file_has_its_name(outputs, monkeypatch):
    outputs.write("a.txt", put("first"), "one")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *paths: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            outputs.write("a.txt", put("second"), "two")
    later = Outputs(outputs.folder)
    assert later.note("a.txt") == "one"
    later.write("a.txt", put("third"))


@pytest.mark.parametrize("end", [b'["b.txt", 3', b'["b.txt"]\n', b"\xff{}\n\n", b'["b.txt", 1, 2, "", true, 4]\n'])
def test_a_damaged_line_is_ignored(outputs, end):
    outputs.write("a.txt", put("first"))
    with open(outputs.folder / LIST, "ab") as file:
        file.write(end)
    later = Outputs(outputs.folder)
    later.write("c.txt", put("third"))
    for each in (outputs, later, Outputs(outputs.folder)):
        assert each.names() == ["a.txt", "c.txt"] and each.owns("a.txt") and each.owns("c.txt")


def test_a_file_that_grows(outputs):
    outputs.add_text("log", "1\n", "log")
    Outputs(outputs.folder).add_text("log", "2\n")
    with open(outputs.folder / "log", "a") as file:
        file.write("3\n")
    assert outputs.note("log") == "log"
    assert (outputs.folder / "log").read_text() == "1\n2\n3\n"
    (outputs.folder / "log").write_text("x\n2\n3\n")
    refused(outputs, "log")


def test_no_row_is_added_through_a_link(outputs, tmp_path):
    outputs.write("rows.csv", put("1\n"), grows=True)
    outputs.add_rows("rows.csv", [[2, "a,b"]])
    assert (outputs.folder / "rows.csv").read_text() == '1\n2,"a,b"\n'
    os.rename(outputs.folder / "rows.csv", tmp_path / "mine.csv")
    (outputs.folder / "rows.csv").symlink_to(tmp_path / "mine.csv")
    with pytest.raises(UserError, match=r"rows.csv is reached by a symbolic link"):
        outputs.add_rows("rows.csv", [[3]])
    assert (tmp_path / "mine.csv").read_text() == '1\n2,"a,b"\n'


def test_no_row_is_added_to_a_table_of_the_user(outputs):
    outputs.write("rows.csv", put("1\n"), grows=True)
    (outputs.folder / "rows.csv").write_text("mine\n")
    with pytest.raises(UserError, match=r"rows.csv was not written by this program"):
        outputs.add_rows("rows.csv", [[2]])
    assert (outputs.folder / "rows.csv").read_text() == "mine\n"


def test_a_file_that_a_library_wrote(outputs):
    outputs.folder.mkdir()
    (outputs.folder / "events").write_text("head")
    outputs.adopt("events", "curves")
    (outputs.folder / "events").write_text("head and more")
    assert outputs.names("curv") == ["events"] and outputs.names("x") == []
    outputs.remove("events")
    assert os.listdir(outputs.folder) == [LIST]


def test_several_processes_write_into_one_folder(outputs):
    code = (
        "import sys; from pathlib import Path; from outputs import Outputs; outputs = Outputs(Path('out'))\n"
        "for i in range(100): outputs.write(f'{sys.argv[1]}_{i}', lambda path: path.write_text(str(i)), sys.argv[1])"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    cwd = outputs.folder.parent
    running = [subprocess.Popen([sys.executable, "-c", code, name], cwd=cwd, env=env) for name in "abc"]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    assert {name: outputs.note(name) for name in outputs.names()} == {f"{n}_{i}": n for n in "abc" for i in range(100)}


def test_names_of_any_kind(outputs):
    for name in ("caf\u00e9", "a b\nc", os.fsdecode(b"\xff"), "x/./y"):
        outputs.write(name, put(name.encode("utf-8", "replace").decode()))
        assert Outputs(outputs.folder).owns(name)


@pytest.mark.parametrize("content", ["", '["x.txt", 3, 12'])
def test_a_list_that_was_cut_short_in_its_first_line_is_continued(outputs, content):
    outputs.folder.mkdir()
    (outputs.folder / LIST).write_text(content)
    outputs.write("x.txt", put("new"))
    assert Outputs(outputs.folder).owns("x.txt")


def test_only_one_process_writes_into_a_directory(tmp_path):
    folder = tmp_path / "a" / "b"
    with only_writer(folder):
        with pytest.raises(UserError, match="another process writes into"), only_writer(folder):
            pass
        assert folder.is_dir()
    assert not folder.parent.exists()  # nothing was written there
    folder.mkdir(parents=True)
    with only_writer(folder):
        pass
    assert not any(folder.iterdir())  # the user's folder stays, as it was
    with only_writer(folder):
        (folder / "x").touch()
    with pytest.raises(BlockingIOError), only_writer(folder):  # what is raised in there is left alone
        raise BlockingIOError
    assert set(os.listdir(folder)) == {"x", LOCK}


@pytest.mark.parametrize("name", ["file", "file/a/b", "link"])
def test_a_file_in_the_place_of_a_directory_is_named(tmp_path, name):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to("missing")
    assert Outputs(tmp_path / name).names() == []
    expected = f"{tmp_path / name.split('/')[0]} is not a folder"
    with pytest.raises(UserError, match=re.escape(expected)), only_writer(tmp_path / name):
        pass
    assert (tmp_path / "file").read_text() == "precious" and len(os.listdir(tmp_path)) == 2
