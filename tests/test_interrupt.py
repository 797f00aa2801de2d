"""Ctrl-C at any moment ends in one line and leaves no unfinished files; SIGTERM and SIGHUP do so silently."""

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends signals as POSIX systems do")
SILENT = ("SIGTERM", "SIGHUP")
CALLS = {
    "align.py": ["raw", "align", "innerEyesAndBottomLip", "out"],
    "train-dcgan.py": ["--dataset", "raw"],
    "complete.py": ["raw/0.png"],
    "evaluate.py": ["raw"],
    "sample.py": [],
    "simple-distributions.py": [],
    "paint.py": [],
}


@pytest.mark.parametrize(
    ("script", "name", "said"),
    [*((script, "SIGINT", "error: interrupted\n") for script in CALLS), *(("sample.py", n, "") for n in SILENT)],
)
def test_during_the_first_imports(tmp_path, script, name, said):
    """NumPy replaces the exception that the signal raised, as a library's C code does."""
    (tmp_path / "numpy.py").write_text(
        "import os, signal\n"
        "try:\n"
        f"    os.kill(os.getpid(), signal.{name})\n"
        "    sum(range(1000))\n"
        "except BaseException:\n"
        "    raise SystemError('initialization of numpy raised unreported exception')\n"
    )
    work = tmp_path / "work"
    work.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, ROOT / script, *CALLS[script]]
    result = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (128 + getattr(signal, name), said)
    assert not list(work.iterdir())


@pytest.mark.slow
def test_at_some_moments(tmp_path):
    """Signals after Python has started, which takes long on a busy machine; no script can say anything before."""
    script = "import runpy; print('up', flush=True); runpy.run_path('simple-distributions.py', run_name='__main__')"
    for delay in (0.2, 0.4, 0.7):
        command = [sys.executable, "-c", script, "--outDir", tmp_path]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
            assert run.stdout and run.stdout.readline() == "up\n"
            time.sleep(delay)
            run.send_signal(signal.SIGINT)
            _, said = run.communicate(timeout=60)
        assert (run.returncode, said) in [(130, "error: interrupted\n"), (0, "")]


def test_while_align_works(tmp_path):
    command = [sys.executable, ROOT / "align.py", ROOT / "data/demo/raw", *CALLS["align.py"][1:]]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        deadline = time.monotonic() + 60
        while not (tmp_path / "out" / "alignment.csv").exists():
            assert time.monotonic() < deadline and run.poll() is None
            time.sleep(0.005)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert (run.returncode, said) == (130, "error: interrupted\n")
    visible = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".dcgan-completion")}
    assert visible - {"astronaut.png"} == {"alignment.csv"}
