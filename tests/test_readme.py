"""Every command of README.md and docs/ runs, shortened, in a copy of the repository; options and links exist."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, assert_works, run_script
from PIL import Image, ImageDraw

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
CARDS = [*ROOT.glob("checkpoints/pretrained*/README.md"), ROOT / "data" / "README.md"]
PRETRAINED = ROOT / "checkpoints" / "pretrained"
PICTURES = (PRETRAINED / "README.md").read_text().split("## The pictures")[1]
QUICK_START = README.read_text().split("## Complete a photo")[1].split("\n## ")[0]
SCRIPTS = sorted(path.name for path in ROOT.glob("*.py") if os.access(path, os.X_OK))
FOLDERS = ("completion", "dcgan", "faces", "images", "jobs", "kernels", "tools")
DATA = ("data/demo/raw", "checkpoints/pretrained", "checkpoints/pretrained-128", "checkpoints/pretrained-wide")
# paint.py serves until Ctrl-C: test_paint.py starts and stops it.
LEFT_OUT = r"pip install|venv \.venv|/(ruff|mypy|pytest)\b|paint\.py"
SHORTER = {
    "align.py": "--jobs 1",
    "train-dcgan.py": "--epoch 1 --batch_size 4",
    "train-dcgan.py(?!.*--init)": "--gf_dim 4 --df_dim 4",
    "complete.py": "--nIter 2",
    "evaluate.py(?!.*--samples)": "--faces 1 --methods default telea --masks center",
    "benchmark.py": "--rounds 1 --batch 2 --dim 2 --photos 2",
    "tensorboard": "--inspect",  # prints what it finds instead of serving it
}


def blocks(text: str, languages: str = "bash") -> list[tuple[str, str]]:
    """The language and the content of the text's code blocks. `shell` blocks need hardware or long time."""
    return re.findall(rf"```({languages})\n(.*?)```", text, re.DOTALL)


def commands(text: str) -> list[str]:
    """The single commands in the text's bash blocks."""
    return [part.strip() for _, block in blocks(text) for part in re.split(r"&&|\n", block) if part.strip()]


def shortened(block: str) -> list[str]:
    """The commands of a bash block that can run here, with options that make them fast."""
    found = [command for command in commands(f"```bash\n{block}```") if not re.search(LEFT_OUT, command)]
    options = [" ".join(o for name, o in SHORTER.items() if re.search(rf"(^|[/ ]){name}", c)) for c in found]
    return [" ".join(pair) for pair in zip(found, options, strict=True)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the repository with its environment, a photo with a mask, and two data sets of four aligned faces."""
    clone = tmp_path_factory.mktemp("clone")
    for path in (*ROOT.glob("*.py"), *(ROOT / name for name in (*FOLDERS, *DATA))):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, clone / path.relative_to(ROOT))
    (clone / ".venv").symlink_to(sys.prefix)
    photo = Image.open(ROOT / "data" / "demo" / "raw" / "astronaut.png").convert("RGB").crop((100, 0, 344, 240))
    photo.save(clone / "portrait.jpg")
    hole = Image.new("L", photo.size, 255)
    ImageDraw.Draw(hole).ellipse((105, 102, 145, 138), fill=0)
    hole.save(clone / "hole.png")
    for folder in ("your-dataset", "your-test-data"):
        for name in ("raw", "masks"):
            (clone / "data" / folder / name).mkdir(parents=True)
        for i in range(4):
            photo.crop((i, 0, 240 + i, 240)).save(clone / "data" / folder / "raw" / f"{i}.png")
            hole.crop((i, 0, 240 + i, 240)).save(clone / "data" / folder / "masks" / f"{i}.png")
    for page in PAGES:
        for command in commands(page.read_text()):
            if command.startswith("./align.py"):
                call(command, clone)
    return clone


def bash(command: str, cwd: Path) -> str:
    """What a command prints."""
    env = {**os.environ, "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]}
    result = subprocess.run(["bash", "-c", command], cwd=cwd, env=env, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    return result.stdout


def call(command: str, cwd: Path) -> str:
    """What a script prints, called in this process with the arguments as the shell takes them apart."""
    script, *args = bash(f"printf '%s\\0' {command}", cwd).split("\0")[:-1]
    result = run_script(script.removeprefix("./"), *args, cwd=cwd)
    assert_works(result)
    if script == "./complete.py":
        out = args[args.index("--outDir") + 1] if "--outDir" in args else "completions"
        assert any((cwd / out / "final").iterdir())
    return result.stdout


@pytest.mark.slow
def test_the_first_command_leaves_the_pictures_that_it_names(clone):
    *_, said = [bash(command, clone) for _, block in blocks(QUICK_START) for command in shortened(block)]
    named = re.findall(r"[\w/.-]+\.(?:png|gif)", said)
    assert set(re.findall(r"`(completions/.*?)`", QUICK_START)) <= set(named)
    assert all((clone / name).exists() for name in named)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.slow
def test_commands_and_examples_run_in_their_order(page, clone, monkeypatch):
    monkeypatch.chdir(clone)
    for language, block in blocks(page.read_text().replace(QUICK_START, ""), "bash|python"):
        if language == "python":
            exec(block.replace("10008", "14").replace("10000", "10"), {})
            continue
        for command in shortened(block):
            said = call(command, clone) if command.startswith("./") else bash(command, clone)
            if page == README and "outputImages" in command:  # the model just trained
                assert "Your model in checkpoints has learned for only 1 steps" in said


@pytest.mark.slow
def test_the_pictures_beside_the_models_are_what_their_commands_make(clone, monkeypatch):
    (_, shell), (_, drawing), *_ = blocks(PICTURES, "shell|python")
    (clone / "shown").mkdir()
    for command in bash(shell.replace("./", "echo ./"), clone).splitlines():
        call(command, clone)
    monkeypatch.chdir(clone)
    exec(drawing, {})
    # Of the largest difference of a square's mean: a hole left as it is has 40 and more, another processor a few.
    for name, side in (
        ("samples.png", 64),
        ("masks.jpg", 128),
        ("photo.jpg", 32),
        ("../pretrained-128/samples.jpg", 128),
        ("../pretrained-wide/samples.jpg", 128),
    ):
        folders = clone / "checkpoints" / "pretrained", PRETRAINED
        made, bundled = (np.asarray(Image.open(folder / name), np.float32) for folder in folders)
        height, width = (n // side * side for n in made.shape[:2])
        differences = abs(made - bundled)[:height, :width].mean(axis=2)
        assert differences.reshape(height // side, side, -1, side).mean(axis=(1, 3)).max() < 10, name


@pytest.mark.slow
def test_the_python_example_has_the_shapes_that_it_names(clone, monkeypatch):
    monkeypatch.chdir(clone)
    ((_, example),) = blocks(README.read_text(), "python")
    names: dict = {}
    exec(example, names)
    for name, shape in re.findall(r"^(\w+) = .*# (\[[\d, ]+\])", example, re.MULTILINE):
        assert str(list(names[name].shape)) == shape


def test_ci_runs_the_commands_of_the_readme():
    """The README's commands that name .venv are those of a fresh clone; .ci/run has them, in the same order."""
    of_readme = [command for command in commands(README.read_text()) if ".venv" in command]
    of_ci = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if re.match(r"python3|\.venv/", line)]
    assert of_ci == of_readme


def test_every_option_exists(tmp_path):
    helps = "".join(run_script(script, "--help", cwd=tmp_path).stdout for script in SCRIPTS)
    text = "".join(page.read_text() for page in (*PAGES, *CARDS))
    text = re.sub(r"(tensorboard|benchmark\.py|ruff format|docker run) --.*", "", text)
    named = set(re.findall(r"(?<![\w-])--[A-Za-z]\w*", text)) - {
        "--build",
        "--depth",
        "--gpus",
        "--profile",
        "--quick",
    }  # of other programs
    assert named
    assert not named - set(re.findall(r"--\w+", helps))


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", page.read_text()):
        path, _, heading = "".join(target).partition("#")
        if not path.startswith("http"):
            file = page.parent / path if path else page
            assert file.exists(), target
            assert not heading or heading in anchors(file), target


def anchors(page: Path) -> set[str]:
    """The names under which GitHub links to a page's headings."""
    headings = re.findall(r"^#+ (.+)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_the_readme_is_short_and_leads_to_every_page():
    text = README.read_text()
    assert len(text.splitlines()) <= 200
    assert all(f"](docs/{page.name}" in text for page in PAGES[1:])
