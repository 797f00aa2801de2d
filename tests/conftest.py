"""Small data sets and models, and the scripts called as a user calls them."""

import importlib
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from PIL import Image

HANDLERS = {number: signal.getsignal(number) for number in signal.valid_signals()}
import images.decoding  # noqa: E402
from jobs.command import run  # noqa: E402 - sets handlers of its own
from jobs.interrupts import SIGNALS  # noqa: E402

for number in SIGNALS:
    signal.signal(number, HANDLERS[number])

with warnings.catch_warnings():
    warnings.resetwarnings()
    for unheard in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", unheard)
    FILTERS = warnings.filters[:]  # what a script hears of; pytest hears of more

ROOT = Path(__file__).resolve().parent.parent


def run_script(script: str, *args, cwd: Path) -> subprocess.CompletedProcess:
    """Calls a script as on a command line, in `cwd`, but in this process, which has TensorFlow already."""
    main = importlib.import_module(script.removesuffix(".py")).main
    command = [str(ROOT / script), *map(str, args)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with as_a_process(command, cwd, out, err), pytest.raises(SystemExit) as ended:
            run(main)
        for file in (out, err):
            file.seek(0)
        code = ended.value.code
        return subprocess.CompletedProcess(command, int(code or 0), out.read().decode(), err.read().decode())


def run_process(script: str, *args, cwd: Path, **kwargs) -> subprocess.CompletedProcess:
    """The same in a process of its own."""
    return subprocess.run(process(script, *args), cwd=cwd, capture_output=True, text=True, timeout=600, **kwargs)


def process(script: str, *args) -> list[str]:
    """The command line of a script."""
    return [sys.executable, str(ROOT / script), *map(str, args)]


@contextmanager
def as_a_process(command: Sequence[str], cwd: Path, out: IO[bytes], err: IO[bytes]) -> Iterator[None]:
    """Arguments, folder, output, warnings, logs and signals as a process of its own would have them."""
    with warnings.catch_warnings(), descriptors(out, err) as (stdout, stderr), pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        for name, value in (("argv", list(command)), ("stdout", stdout), ("stderr", stderr)):
            patch.setattr(sys, name, value)
        patch.setattr(logging.getLogger(), "handlers", [])
        patch.setattr(warnings, "filters", FILTERS[:])
        patch.setattr(warnings, "showwarning", lambda *args: stderr.write(warnings.formatwarning(*args[:4])))
        try:
            yield
        finally:
            for number in SIGNALS:
                signal.signal(number, HANDLERS[number])


@contextmanager
def descriptors(out: IO[bytes], err: IO[bytes]) -> Iterator[tuple[IO[str], IO[str]]]:
    """Text files for stdout and stderr, whose descriptors 1 and 2, for libraries and processes too, lead to the two."""
    kept = [os.dup(number) for number in (1, 2)]
    try:
        for number, file in enumerate((out, err), 1):
            os.dup2(file.fileno(), number)
        with (
            open(1, "w", closefd=False, encoding="utf-8") as stdout,
            open(2, "w", 1, closefd=False, encoding="utf-8", errors="backslashreplace") as stderr,
        ):
            yield stdout, stderr
    finally:
        for number, descriptor in enumerate(kept, 1):
            os.dup2(descriptor, number)
            os.close(descriptor)


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


def lively(width: int, factor: int):
    """A DCGAN of 16x16 whose generator depends on z, as a trained one's does; one fresh from its seed hardly does."""
    from model import DCGAN  # not before: some tests run without TensorFlow

    dcgan = DCGAN(16, gf_dim=width, df_dim=width)
    for variable in dcgan.generator.variables:
        if variable.name == "kernel":
            variable.assign(variable * factor)
    return dcgan


def blobs(n: int, size: int, seed: int = 0) -> np.ndarray:
    """uint8 [n, size, size, 3] pictures with something to learn: a bright spot on a colored ground."""
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
def demo_face() -> np.ndarray:
    """The demonstration photo's face, aligned, uint8 [64, 64, 3]."""
    from faces.detector import FaceFinder, face_transform, predictor_path
    from faces.frame import warp

    photo = images.decoding.read_picture(ROOT / "data" / "demo" / "raw" / "astronaut.png")
    finder = FaceFinder(str(predictor_path(None)))
    landmarks = finder.landmarks(photo, finder.faces(photo)[0])
    return warp(photo, face_transform(landmarks, "innerEyesAndBottomLip", 64), 64, 64)


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
        "--precision",
        "float32",
        cwd=folder,
    )
    assert_works(result)
    (folder / "stdout").write_text(result.stdout)
    return folder
