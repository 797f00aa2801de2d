"""Finds models and checkpoints on disk without TensorFlow, which takes seconds to load.

A model's directory holds config.json and checkpoints: `dcgan-STEP.data-*` and `dcgan-STEP.index`. The index is written
last, so a checkpoint without an index does not count. Or the directory holds a TensorFlow 1 checkpoint.
"""

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from dcgan.options import NetworkOptions
from utils import UserError

OWN = Path("checkpoints")  # where train-dcgan.py writes by default
ENOUGH = 500  # steps; a model that was trained for fewer makes noise
FILE = re.compile(r"dcgan-(\d+)\.(index|data-\d+-of-\d+)")
# TensorFlow 1's checkpoints, of its new format or of the old one with a single file; not this program's own.
FILE_OF_TENSORFLOW1 = re.compile(
    r"(?!dcgan-\d+\.)"
    r"((?P<prefix>.+?(-(?P<step>\d{1,18}))?)\.index|(?P<single>(?!.+\.data-).+-(?P<single_step>\d{1,18})))"
)


def checkpoints(directory: Path) -> list[int]:
    """The steps of the checkpoints in `directory`, oldest first."""
    names = os.listdir(directory) if directory.is_dir() else []
    return sorted(int(match[1]) for match in map(FILE.fullmatch, names) if match and match[2] == "index")


def newest_of_tensorflow1(directory: Path) -> tuple[int, Path] | None:
    """Step and path of the newest TensorFlow 1 checkpoint; None if there is none or the directory has a config.json."""
    if not directory.is_dir() or (directory / "config.json").exists():
        return None
    names = [path.name for path in directory.iterdir() if path.is_file()]
    found = [match for match in map(FILE_OF_TENSORFLOW1.fullmatch, names) if match]
    steps = [(int(m["step"] or m["single_step"] or 0), directory / (m["prefix"] or m["single"])) for m in found]
    return max(steps, default=None)


def read_config(directory: Path) -> NetworkOptions:
    """The options in config.json. Raises UserError if it is missing or damaged, or if there is no checkpoint."""
    path, found = directory / "config.json", checkpoints(directory)
    if found and not path.is_file():
        raise UserError(f"{directory} has checkpoints but no config.json: restore {path} from a copy")
    if not found:
        what = "checkpoint" if path.is_file() else "model"
        raise UserError(f"no {what} in {directory}: choose a directory that train-dcgan.py wrote, or a bundled model")
    try:
        config = json.loads(path.read_text())
        config = {"margin": 0, **config}  # earlier versions had none
        if config.keys() != asdict(NetworkOptions()).keys():
            raise ValueError("its keys are not a model's options")
        return NetworkOptions(**config)
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from error


def check_model(directory: Path) -> None:
    """Raises UserError if there is no model in `directory`. Checkpoints are not read."""
    if not newest_of_tensorflow1(directory):
        read_config(directory)


def learned(directory: Path) -> int | None:
    """The steps of a model's training, with those of the model that it was started from; None if there is no model."""
    if newest_of_tensorflow1(directory):
        return ENOUGH  # the post's training is long
    steps = checkpoints(directory)
    if not steps and not (directory / "config.json").exists():
        return None
    before, record = 0, directory / "run.json"
    with suppress(OSError, ValueError, LookupError, TypeError):  # train-dcgan.py reports a damaged file
        before = int(json.loads(record.read_text())["learned"]) if record.is_file() else 0
    return max(steps, default=0) + before


def bundled(photos: bool) -> Path:
    """The directory of the bundled model: 128x128 pixels for `photos`, and the post's 64x64 for aligned faces.

    It is relative in the repository, as a user would type it.
    """
    folder = Path(__file__).resolve().parent.parent / "checkpoints"
    return (OWN if OWN.resolve() == folder else folder) / ("pretrained-128" if photos else "pretrained")


def wide_of(directory: Path) -> Path | None:
    """The directory of the bundled model of heads, if `directory` is that of the bundled model for photos."""
    faces = bundled(photos=True).resolve()
    wide = faces.with_name("pretrained-wide")
    return wide if directory.resolve() == faces and checkpoints(wide) else None


def model_directory(named: Path | None, photos: bool = False) -> Path:
    """The named directory; else the user's own if its model has learned enough, or a bundled model's.

    UserError if there is no model.
    """
    directory = named or (OWN if (learned(OWN) or 0) >= ENOUGH else bundled(photos))
    check_model(directory)
    return directory
