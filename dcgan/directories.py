"""What lies in a model's directory, told without TensorFlow, which takes seconds to load.

Beside config.json a checkpoint is `dcgan-STEP.data-*` and, written last, `dcgan-STEP.index`: one without an index does
not count. Or there is one of TensorFlow 1.
"""

import json
import os
import re
from dataclasses import asdict
from pathlib import Path

from dcgan import tensorflow1
from dcgan.options import NetworkOptions
from utils import UserError

FILE = re.compile(r"dcgan-(\d+)\.(index|data-\d+-of-\d+)")


def checkpoints(directory: Path) -> list[int]:
    """The steps of the checkpoints in `directory`, oldest first."""
    names = os.listdir(directory) if directory.is_dir() else []
    return sorted(int(match[1]) for match in map(FILE.fullmatch, names) if match and match[2] == "index")


def read_config(directory: Path) -> NetworkOptions:
    """What config.json says; UserError if there is none, if it is damaged, or if no checkpoint is beside it."""
    path = directory / "config.json"
    if not path.is_file():
        lost = f", though it has checkpoints: restore {path} from a copy, or" if checkpoints(directory) else ":"
        raise UserError(f"no model in {directory}{lost} name a directory that train-dcgan.py wrote")
    try:
        config = json.loads(path.read_text())
        if not isinstance(config, dict) or config.keys() != asdict(NetworkOptions()).keys():
            raise ValueError("it has not the options of a model")
        options = NetworkOptions(**config)
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    if not checkpoints(directory):
        raise UserError(f"no checkpoint in {directory}: name a directory that train-dcgan.py wrote")
    return options


def check_model(directory: Path) -> None:
    """UserError if there is no model in `directory`; whether its checkpoints can be read is for TensorFlow to say."""
    if not tensorflow1.newest(directory):
        read_config(directory)


def model_directory(named: Path, photos: bool = False) -> Path:
    """The directory named, or that of a bundled model where the default one, `checkpoints`, holds none.

    For whole `photos` this is the one of 128x128 pixels, and for aligned faces the one of 64x64, as the post has it.
    UserError if there is no model.
    """
    trained = (named / "config.json").exists() or checkpoints(named) or tensorflow1.newest(named)
    if named == Path("checkpoints") and not trained:
        bundled = "pretrained-128" if photos else "pretrained"
        named = Path(__file__).resolve().parent.parent / "checkpoints" / bundled
    check_model(named)
    return named
