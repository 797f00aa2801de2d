"""Files that are whole, and folders with one writer."""

import os

import pytest

import utils
from utils import UserError


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


def test_clock():
    assert utils.clock(59.6) == "0:01:00"
    assert utils.clock(36000 + 62) == "10:01:02"


def test_progress_in_a_pipe_is_plain_lines(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(utils.time, "monotonic", lambda: now[0])
    progress = utils.Progress(40, "photos")
    for done in range(1, 41):
        now[0] += 1
        progress.update(done, "loss 3")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"{n}/40 photos, 1.0 photos/s, 0:00:{40 - n:02d} left, loss 3" for n in (10, 20, 30, 40)]
