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

from dcgan import tensorflow1
from dcgan.options import NetworkOptions
from utils import Outputs, UserError, check_readable

FILE = re.compile(r"dcgan-(\d+)\.(index|data-\d+-of-\d+)")


def checkpoints(directory: Path) -> list[int]:
    """The steps of the checkpoints in `directory`, oldest first."""
    names = os.listdir(directory) if directory.is_dir() else []
    return sorted(int(match[1]) for match in map(FILE.fullmatch, names) if match and match[2] == "index")


def checkpoint_files(directory: Path, step: int) -> list[Path]:
    """The files of a checkpoint, sorted by name."""
    matches = ((path, FILE.fullmatch(path.name)) for path in sorted(directory.iterdir()))
    return [path for path, match in matches if match and int(match[1]) == step]


def read_config(directory: Path) -> NetworkOptions:
    """The options in config.json. Raises UserError if it is missing or damaged, or if there is no checkpoint."""
    path = directory / "config.json"
    if not path.is_file():
        if checkpoints(directory):
            raise UserError(f"{directory} has checkpoints but no config.json: restore {path} from a copy")
        raise UserError(f"no model in {directory}: choose a directory that train-dcgan.py wrote")
    check_readable(path)
    try:
        config = json.loads(path.read_text())
        if not isinstance(config, dict) or config.keys() != asdict(NetworkOptions()).keys():
            raise ValueError("its keys are not a model's options")
        options = NetworkOptions(**config)
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    if not checkpoints(directory):
        raise UserError(f"no checkpoint in {directory}: choose a directory that train-dcgan.py wrote")
    return options


def adopt_model(outputs: Outputs) -> None:
    """Lists the files of a model that was saved before this program listed its files, or copied without the list."""
    directory = outputs.folder
    if outputs.list.exists() or not checkpoints(directory):
        return
    with suppress(UserError):  # the files are the user's
        read_config(directory)
        for name in sorted(os.listdir(directory)):
            if FILE.fullmatch(name) or name in ("config.json", "checkpoint"):
                outputs.adopt(name)


def check_model(directory: Path) -> None:
    """Raises UserError if there is no model in `directory`. Checkpoints are not read."""
    if not tensorflow1.newest(directory):
        read_config(directory)


def model_directory(named: Path, photos: bool = False) -> Path:
    """The named directory, or a bundled model's if that is the default, `checkpoints`, and has no model.

    The bundled model has 128x128 pixels for whole `photos`, and the post's 64x64 for aligned faces. Raises UserError if
    there is no model.
    """
    trained = (named / "config.json").exists() or checkpoints(named) or tensorflow1.newest(named)
    if named == Path("checkpoints") and not trained:
        bundled = "pretrained-128" if photos else "pretrained"
        named = Path(__file__).resolve().parent.parent / "checkpoints" / bundled
    check_model(named)
    return named
