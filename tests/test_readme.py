"""Every command of the README runs, shortened, in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from PIL import Image

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
QUICK_START = re.findall(r"```bash\n(.*?)```", README.split("## Quick start")[1].split("\n## ")[0], re.DOTALL)
COMMANDS = [line for block in BLOCKS[2:] for line in block.splitlines()]
SHORTER = {
    "train-dcgan.py": "--epoch 1 --batch_size 2",
    "complete.py": "--nIter 2",
    "evaluate.py": "--methods default telea",
    "tensorboard": "--inspect",  # says what it finds instead of serving it
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the repository with three photos to align."""
    clone = tmp_path_factory.mktemp("clone")
    folders = (ROOT / name for name in ("dcgan", "jobs", "pictures"))
    for path in (*ROOT.glob("*.py"), *folders, ROOT / "data" / "demo" / "raw", ROOT / "checkpoints" / "pretrained"):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, clone / path.relative_to(ROOT))
    photo = Image.open(ROOT / "data" / "demo" / "raw" / "astronaut.png").convert("RGB")
    for folder in ("your-dataset", "your-test-data"):
        raw = clone / "data" / folder / "raw"
        raw.mkdir(parents=True)
        for i in range(3):
            photo.crop((100 + i, 0, 340, 240)).save(raw / f"{i}.png")
    masks = clone / "data" / "your-test-data" / "masks"
    masks.mkdir()
    for i in range(3):
        Image.linear_gradient("L").save(masks / f"{i}.png")
    return clone


def run(command, cwd):
    for name, options in SHORTER.items():
        if re.search(rf"(^|[/ ]){name}", command):
            command += f" {options}"
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    result = subprocess.run(
        ["bash", "-c", command], cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, result.stderr
    return result


def test_quick_start_is_two_lines():
    assert len(QUICK_START) == 2
    assert BLOCKS[:2] == QUICK_START
    assert all(block.count("\n") == 1 for block in QUICK_START)


def test_quick_start_aligns_and_completes(clone):
    venv, pip, *steps = QUICK_START[0].strip().split(" && ")
    assert venv == "python3 -m venv .venv" and pip == ".venv/bin/pip install -q -r requirements.txt"
    for step in steps:
        result = run(step.replace(".venv/bin/python", "python"), clone)
    named = re.findall(r"completions/demo\S*\.(?:png|gif)", result.stdout)
    assert len(named) == 5
    assert all((clone / name).exists() for name in named)


def test_the_second_line_runs_all_checks():
    assert QUICK_START[1].strip().split(" && ") == [
        ".venv/bin/pip install -q -r tests/requirements.txt",
        ".venv/bin/ruff check .",
        ".venv/bin/mypy",
        ".venv/bin/pytest -q",
    ]


def test_the_commands_in_their_order(clone):
    assert len(COMMANDS) == 10
    for command in COMMANDS:
        result = run(command, clone)
        if "complete.py" in command:
            assert (
                "model: checkpoints, trained for 1 steps" in result.stdout
            )  # the one just trained, not the bundled one
    assert len(list((clone / "outputImages" / "final").iterdir())) == 3


def test_the_python_example(clone):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    check = code + "\nassert images.shape == (2, 64, 64, 3) and logits.shape == (2, 1)"
    subprocess.run([sys.executable, "-c", check], cwd=clone, check=True, timeout=600)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
