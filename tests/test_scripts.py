"""What all scripts have in common."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT, assert_fails, run_script

SCRIPTS = {
    "align.py": ["(default: 64)", "innerEyesAndBottomLip"],
    "train-dcgan.py": ["(default: 25)", "(default: 0.0002)", "(default: 0.5)", "(default: 0.999)"],
    "complete.py": [
        "(default: 0.1 for adam, 0.001 for pgd)",
        "(default: 50)",
        "(default: 0.25)",
        "(default: tension)",
        "(default: 0)",
    ],
    "evaluate.py": ["(default: 64)", "biharmonic: no model", "(default: evaluation)"],
    "simple-distributions.py": ["(default: .)"],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_shows_examples_and_defaults_and_imports_nothing_heavy(script, tmp_path):
    for package in ("tensorflow", "keras", "cv2", "dlib", "scipy", "matplotlib"):
        (tmp_path / f"{package}.py").write_text("raise ImportError('too heavy for --help')")
    result = subprocess.run(
        [sys.executable, ROOT / script, "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count(f"python {script}") == 2
    text = " ".join(result.stdout.split())
    assert all(word in text for word in SCRIPTS[script])
    assert "None" not in text


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_unknown_option(script, tmp_path):
    assert_fails(run_script(script, "--unknown", cwd=tmp_path), 2, "--help")


def test_a_closed_pipe_ends_quietly(tmp_path):
    command = f'"{sys.executable}" "{ROOT}/simple-distributions.py" 2>stderr | true; exit ${{PIPESTATUS[0]}}'
    result = subprocess.run(["bash", "-c", command], cwd=tmp_path)
    assert result.returncode in (0, 141)
    assert (tmp_path / "stderr").read_text() == ""
