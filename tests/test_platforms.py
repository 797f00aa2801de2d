"""Systems that lack what Linux has: simulated by taking it away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, assert_fails, assert_works, blobs, write_pictures

from images.files import unique_names
from outputs import LOCK

# Python runs a module of this name, if it finds one, before anything else.
WITHOUT_POSIX = """
import builtins, os, signal, sys
import filelock  # which locks by msvcrt on Windows, and here by fcntl
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for module, names in {
    os: ("sysconf", "fchmod", "getpgid", "killpg", "fork", "O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC"),
    signal: ("pthread_sigmask", "pthread_kill", "setitimer", "alarm", "SIGKILL", "SIGHUP"),
}.items():
    for name in names:
        vars(module).pop(name, None)
def opened(path, *arguments, _open=builtins.open, **named):
    if str(path).startswith(("/proc/", "/sys/")):
        raise FileNotFoundError(2, "No such file or directory", path)
    return _open(path, *arguments, **named)
builtins.open = opened
"""
HOLD = (
    "import sys, time; from pathlib import Path; from outputs import only_writer; from utils import UserError\n"
    "try:\n"
    "    with only_writer(Path('folder')): print('in', flush=True); time.sleep(float(sys.argv[1]))\n"
    "except UserError as error: print(error)"
)


@pytest.fixture
def python(tmp_path):
    """Starts Python without POSIX, in `tmp_path`."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WITHOUT_POSIX)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)])}

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def ended(run: subprocess.Popen) -> subprocess.CompletedProcess:
    out, err = run.communicate(timeout=300)
    return subprocess.CompletedProcess(run.args, run.returncode, out, err)


def test_the_scripts_work(python, tmp_path):
    for script in ("complete.py", "evaluate.py", "sample.py", "simple-distributions.py", "paint.py"):
        assert_works(ended(python(ROOT / script, "--help")))
    assert_works(ended(python(ROOT / "align.py", ROOT / "data/demo/raw", "align", "innerEyesAndBottomLip", "out")))
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["alignment.csv", "astronaut.png"]
    write_pictures(tmp_path / "blobs", blobs(4, 8))
    sizes = ("--image_size", 8, "--gf_dim", 4, "--df_dim", 4, "--batch_size", 4, "--epoch", 1)
    assert_works(ended(python(ROOT / "train-dcgan.py", "--dataset", "blobs", *sizes)))
    assert (tmp_path / "checkpoints" / "config.json").is_file()


def test_a_folder_has_one_writer(python, tmp_path):
    first = python("-c", HOLD, 60)
    assert first.stdout.readline() == "in\n"
    assert ended(python("-c", HOLD, 0)).stdout.startswith("another process writes into folder: ")
    assert (tmp_path / "folder" / LOCK).exists()  # who is refused does not take it away
    first.kill()
    first.communicate()
    assert ended(python("-c", HOLD, 0)).stdout == "in\n"
    assert not any((tmp_path / "folder").iterdir())  # the killed process created the folder, so it stays


def test_names_that_are_one_file_on_some_disks():
    names = unique_names([Path(path) for path in ("a/Face.png", "b/face.jpg", "c/caf\u00e9.png", "d/cafe\u0301.png")])
    assert names == ["Face", "face__2", "caf\u00e9", "cafe\u0301__2"]


def test_a_line_break_in_a_name_leaves_the_error_one_line(python):
    bad = "two\nlines"
    assert_fails(ended(python(ROOT / "complete.py", bad, "--maskType", bad)), 2, "two\\nlines")
    assert_fails(ended(python(ROOT / "complete.py", bad, f"--{bad}")), 2, "arguments: --two lines (see")
    command = (ROOT / "align.py", bad, "align", "innerEyesAndBottomLip", "out")
    assert_fails(ended(python(*command)), 1, "no folder two lines")
