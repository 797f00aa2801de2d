"""What all scripts have in common, each in a process of its own."""

import json
import os
import shlex
import subprocess
from dataclasses import asdict

import pytest
from conftest import ROOT, assert_fails, assert_works, blobs, process, run_process, run_script, write_pictures

from dcgan.options import NetworkOptions

SCRIPTS = {
    "align.py": ["(default: 64)", "innerEyesAndBottomLip"],
    "train-dcgan.py": ["(default: 25)", "(default: 0.0002)", "(default: 0.5)", "(default: 0.999)"],
    "complete.py": [
        "(default: 0.1 for adam, 0.001 for pgd)",
        "(default: 50)",
        "(default: 0.25)",
        "(default: tension)",
        "lively: as sharp as G",
        "(default: 0)",
    ],
    "evaluate.py": ["(default: 64)", "telea: no model", "(default: evaluation)"],
    "sample.py": ["(default: 64, or 8 with --walk or --nearest)", "(default: sampled)"],
    "simple-distributions.py": ["(default: .)"],
    "paint.py": ["(default: 127.0.0.1)", "(default: 7860)"],
}


def broken(folder, *packages):
    """The environment of a process that cannot import the packages."""
    for package in packages:
        (folder / f"{package}.py").write_text("raise ImportError('too heavy')")
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_shows_examples_and_defaults_and_imports_nothing_heavy(script, tmp_path):
    env = broken(tmp_path, "tensorflow", "keras", "cv2", "dlib", "scipy", "matplotlib", "filelock")
    result = run_process(script, "--help", cwd=tmp_path, env=env)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count(f"python {script}") == 2
    text = " ".join(result.stdout.split())
    assert all(word in text for word in SCRIPTS[script])
    assert "None" not in text


MISSING = "missing/x"


@pytest.mark.parametrize(
    ("script", "args", "words"),
    [
        ("complete.py", f"{MISSING}.png {MISSING}.jpg", f"no file or folder {MISSING}.png, nor any other of the 2"),
        ("complete.py", f"faces --maskFile {MISSING}", f"no mask {MISSING}: name a picture"),
        ("complete.py", f"faces --maskDir {MISSING}", f"no folder {MISSING}: choose a folder of masks"),
        ("complete.py", f"faces --photo --maskDir {MISSING}", f"no folder {MISSING}: choose a folder of masks"),
        ("complete.py", f"faces --photo --alignment {MISSING}", f"no file {MISSING}: name the alignment.csv"),
        ("complete.py", f"faces --checkpointDir {MISSING}", f"no model in {MISSING}"),
        ("complete.py", "faces --checkpointDir config", "no checkpoint in config"),
        ("train-dcgan.py", f"--dataset {MISSING}", f"no folder {MISSING}: choose a folder of pictures"),
        ("train-dcgan.py", f"--dataset faces --init {MISSING}", f"no model in {MISSING}"),
        ("train-dcgan.py", f"--dataset faces --validation {MISSING}", f"no folder {MISSING}"),
        ("evaluate.py", MISSING, f"no folder {MISSING}"),
        ("evaluate.py", f"{MISSING} --samples", f"no folder {MISSING}"),
        ("evaluate.py", f"faces --checkpointDir {MISSING}", f"no model in {MISSING}"),
        ("evaluate.py", f"faces --photo --checkpointDir {MISSING}", f"no model in {MISSING}"),
        ("evaluate.py", f"faces --samples --checkpointDir {MISSING}", f"no model in {MISSING}"),
        ("sample.py", f"--z {MISSING}.npz", f"no file {MISSING}.npz: name z files"),
        ("sample.py", f"--plus faces --minus {MISSING}", f"no file {MISSING}: name z files"),
        ("sample.py", f"--nearest {MISSING}", f"no folder {MISSING}"),
        ("sample.py", f"--checkpointDir {MISSING}", f"no model in {MISSING}"),
    ],
)
@pytest.mark.slow
def test_what_is_missing_is_told_before_tensorflow_is_loaded(script, args, words, tmp_path):
    env = broken(tmp_path, "tensorflow", "keras")
    write_pictures(tmp_path / "faces", blobs(4, 16))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.json").write_text(json.dumps(asdict(NetworkOptions())))
    before = set(tmp_path.iterdir())
    assert_fails(run_process(script, *args.split(), cwd=tmp_path, env=env), 1, words)
    assert set(tmp_path.iterdir()) - {tmp_path / "__pycache__"} == before


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_unknown_option(script, tmp_path):
    assert_fails(run_script(script, "--unknown", cwd=tmp_path), 2, "--help")


@pytest.mark.parametrize(
    ("script", "args", "leaves"),
    [
        ("align.py", "photos align innerEyesAndBottomLip faces/x --size 16", "faces/x/astronaut.png"),
        ("complete.py", "faces/000.png --nIter 1 --checkpointDir model", "completions/final/000.png"),
        ("evaluate.py", "faces --faces 1 --masks half --methods telea --checkpointDir model", "evaluation/half.png"),
        ("sample.py", "--number 2 --walk 2 --checkpointDir model", "sampled/walk.gif"),
        ("simple-distributions.py", "", "normal-pdf.png"),
    ],
)
@pytest.mark.slow
def test_a_process_is_quiet_and_works_in_any_folder(trained, tmp_path, script, args, leaves):
    """train-dcgan.py as a process is in its own tests."""
    write_pictures(tmp_path / "faces", blobs(2, 16))
    (tmp_path / "photos").symlink_to(ROOT / "data" / "demo" / "raw")
    (tmp_path / "model").symlink_to(trained / "checkpoints")
    assert_works(run_process(script, *args.split(), cwd=tmp_path))
    assert (tmp_path / leaves).exists()


def test_a_closed_pipe_ends_quietly(tmp_path):
    command = f"{shlex.join(process('simple-distributions.py'))} 2>stderr | true; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], cwd=tmp_path)
    assert result.returncode in (0, 141)
    assert (tmp_path / "stderr").read_text() == ""


def test_closed_outputs(tmp_path):
    command = shlex.join(map(str, process("complete.py", "missing.png")))
    for closed in (">&-", ">&- 2>&-"):
        result = subprocess.run(["bash", "-c", f"{command} {closed}"], cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 1
        assert "2>&-" in closed or result.stderr.startswith("error: no file or folder missing.png")
