"""Every command of the README runs, shortened, in a copy of the repository; every option it names exists."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, assert_works, run_script
from PIL import Image

README = (ROOT / "README.md").read_text()
PRETRAINED = ROOT / "checkpoints" / "pretrained"
PICTURES = (PRETRAINED / "README.md").read_text().split("## The pictures")[1]
DRAWING, EXAMPLE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
QUICK_START = README.split("## Quick start")[1].split("\n## ")[0]
SCRIPTS = sorted(path.name for path in ROOT.glob("*.py") if os.access(path, os.X_OK))
# paint.py serves until Ctrl-C: test_paint.py has it do so.
LEFT_OUT = r"pip install|venv \.venv|\b(ruff|mypy|pytest)\b|^(git|cd|source|sudo) |paint\.py"
SHORTER = {
    "align.py": "--jobs 1",
    "train-dcgan.py": "--epoch 1 --batch_size 4",
    "train-dcgan.py(?!.*--init)": "--gf_dim 4 --df_dim 4",
    "complete.py": "--nIter 2",
    "evaluate.py(?!.*--samples)": "--faces 1 --methods default telea --masks center",
    "benchmark.py": "--rounds 1 --batch 2 --dim 2",
    "tensorboard": "--inspect",  # says what it finds instead of serving it
}


def commands(text):
    """The commands in the text's blocks, shortened."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    found = [part.strip() for block in blocks for part in re.split(r"&&|\n", block.replace("\\\n", ""))]
    found = [command for command in found if command and not re.search(LEFT_OUT, command)]
    options = [" ".join(o for name, o in SHORTER.items() if re.search(rf"(^|[/ ]){name}", c)) for c in found]
    return [" ".join(pair) for pair in zip(found, options, strict=True)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the repository with four photos to align, and the environment that the README installs."""
    clone = tmp_path_factory.mktemp("clone")
    names = (
        "dcgan",
        "jobs",
        "images",
        "faces",
        "completion",
        "tools",
        "data/demo/raw",
        "checkpoints/pretrained",
        "checkpoints/pretrained-128",
    )
    for path in (*ROOT.glob("*.py"), *(ROOT / name for name in names)):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, clone / path.relative_to(ROOT))
    (clone / ".venv").symlink_to(sys.prefix)
    photo = Image.open(ROOT / "data" / "demo" / "raw" / "astronaut.png").convert("RGB")
    for folder in ("your-dataset", "your-test-data"):
        raw = clone / "data" / folder / "raw"
        raw.mkdir(parents=True)
        for i in range(4):
            photo.crop((100 + i, 0, 340, 240)).save(raw / f"{i}.png")
    masks = clone / "data" / "your-test-data" / "masks"
    masks.mkdir()
    for i in range(4):
        Image.linear_gradient("L").point([0] * 128 + [255] * 128).save(masks / f"{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone)
        exec(DRAWING.replace("10008", "14").replace("10000", "10"), {})
    return clone


def bash(command, cwd):
    """What a command prints."""
    env = {**os.environ, "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]}
    result = subprocess.run(["bash", "-c", command], cwd=cwd, env=env, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    return result.stdout


def call(script, arguments, cwd):
    """The arguments as the shell takes them apart, and what the script prints."""
    args = bash(f"printf '%s\\0' {arguments}", cwd).split("\0")[:-1]
    result = run_script(script, *args, cwd=cwd)
    assert_works(result)
    return args, result.stdout


def test_quick_start_leaves_the_pictures_that_it_names(clone):
    *_, said = [bash(command, clone) for command in commands(QUICK_START)]
    named = re.findall(r"[\w/.-]+\.(?:png|gif)", said)
    assert named
    assert all((clone / name).exists() for name in named)


def test_the_other_commands_in_their_order(clone):
    for command in commands(README.replace(QUICK_START, "")):
        script = re.match(r"(?:\./|python3? )([\w-]+\.py) ", command)
        if not script:
            bash(command, clone)
            continue
        args, said = call(script[1], command[script.end() :], clone)
        if script[1] == "complete.py":
            out = args[args.index("--outDir") + 1] if "--outDir" in args else "completions"
            assert len(list((clone / out / "final").iterdir())) == 4
            if "--checkpointDir" not in args:  # the one just trained, not the bundled one
                assert "model: checkpoints, trained for 1 steps" in said


def test_the_pictures_beside_the_models_are_what_their_commands_make(clone, monkeypatch):
    shell, drawing = (re.search(rf"```{kind}\n(.*?)```", PICTURES, re.DOTALL)[1] for kind in ("shell", "python"))
    (clone / "shown").mkdir()
    for command in bash(shell.replace("./", "echo "), clone).splitlines():
        call(*command.split(maxsplit=1), clone)
    monkeypatch.chdir(clone)
    exec(drawing, {})
    # Of the largest difference of a square's mean: a hole left as it is has 40 and more, another processor a few.
    for name, side in (
        ("samples.png", 64),
        ("masks.jpg", 128),
        ("photo.jpg", 32),
        ("../pretrained-128/samples.jpg", 128),
    ):
        folders = clone / "checkpoints" / "pretrained", PRETRAINED
        made, bundled = (np.asarray(Image.open(folder / name), np.float32) for folder in folders)
        height, width = (n // side * side for n in made.shape[:2])
        differences = abs(made - bundled)[:height, :width].mean(axis=2)
        assert differences.reshape(height // side, side, -1, side).mean(axis=(1, 3)).max() < 10, name


def test_the_python_example(clone, monkeypatch):
    monkeypatch.chdir(clone)
    names: dict = {}
    exec(EXAMPLE, names)
    assert names["images"].shape == (2, 64, 64, 3) and names["logits"].shape == (2, 1)


def test_every_option_exists(tmp_path):
    helps = "".join(run_script(script, "--help", cwd=tmp_path).stdout for script in SCRIPTS)
    ours = re.sub(r"(tensorboard|benchmark\.py) --.*", "", README)
    named = set(re.findall(r"(?<![\w-])--[A-Za-z]\w*", ours))
    assert named
    assert not named - set(re.findall(r"--\w+", helps))


def test_links_lead_somewhere():
    here = {
        "#" + re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in re.findall(r"## (.+)", README)
    }
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("http") or target in here or (ROOT / target.partition("#")[0]).exists(), target
