"""Small data sets and models, and the scripts called as a user calls them."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


def run_script(script: str, *args, cwd: Path) -> subprocess.CompletedProcess:
    """Calls a script as on a command line, in `cwd`."""
    return subprocess.run(
        [sys.executable, ROOT / script, *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=600
    )


def errors(result: subprocess.CompletedProcess) -> list[str]:
    """What a call said on stderr, but for its progress, which a slow machine shows."""
    return [line for line in result.stderr.splitlines() if not re.match(r"\d+/\d+ ", line)]


def assert_works(result: subprocess.CompletedProcess) -> None:
    """The call ended with 0 and nothing on stderr: no error, no chatter of a library."""
    assert (result.returncode, errors(result)) == (0, [])


def assert_fails(result: subprocess.CompletedProcess, code: int, *words: str) -> None:
    """The call ended with `code` and one last line on stderr that has all the words; no traceback, no chatter."""
    assert result.returncode == code, result.stderr
    lines = errors(result)
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert all(word in lines[0] for word in words), lines[0]


def blobs(n: int, size: int, seed: int = 0) -> np.ndarray:
    """uint8 [n, size, size, 3] pictures with something to learn: a bright spot on a coloured ground."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    centre, ground = rng.uniform(0.3, 0.7, (n, 2, 1, 1)), rng.uniform(0, 120, (n, 1, 1, 3))
    spot = np.exp(-((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2) / 0.03)
    return (ground + 130 * spot[..., None]).astype(np.uint8)


def write_pictures(folder: Path, pictures: np.ndarray) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:03d}.png" for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A folder in which train-dcgan.py was run on `faces`, 20 pictures of 16x16, two epochs of five steps."""
    folder = tmp_path_factory.mktemp("trained")
    write_pictures(folder / "faces", blobs(20, 16))
    result = run_script(
        "train-dcgan.py",
        "--dataset",
        "faces",
        "--epoch",
        2,
        "--batch_size",
        4,
        "--image_size",
        16,
        "--sample_interval",
        4,
        "--checkpoint_interval",
        3,
        cwd=folder,
    )
    assert_works(result)
    (folder / "stdout").write_text(result.stdout)
    return folder
