"""Models on disk: config.json, and beside it the newest few checkpoints of TensorFlow.

A checkpoint is `dcgan-STEP.data-*` and, written last, `dcgan-STEP.index`: one without an index does not count.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dcgan.options import NetworkOptions
from ops import tf
from utils import UserError, say, write_atomic

DAMAGE = (tf.errors.OpError, ValueError, IndexError)  # what TensorFlow raises on damaged files, or other networks' ones
NO_DAMAGE = (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError)
OWN = re.compile(r"dcgan-(\d+)\.(index|data-\d+-of-\d+)")


def checkpoints(directory: Path) -> list[int]:
    """The steps of the checkpoints in `directory`, oldest first."""
    names = os.listdir(directory) if directory.is_dir() else []
    return sorted(int(match[1]) for match in map(OWN.fullmatch, names) if match and match[2] == "index")


@contextmanager
def writable(directory: Path) -> Iterator[None]:
    """UserError if what is written in here has no room in `directory`, or may not be there."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        # TensorFlow names its operation and temporary file before the reason.
        reason = error.message.rpartition("; ")[2] if isinstance(error, tf.errors.OpError) else error
        raise UserError(
            f"cannot write into {directory} ({reason}): make room there; what was saved before is whole"
        ) from error


def write(directory: Path, options: NetworkOptions, contents: Mapping[str, Any], step: int, keep: int) -> None:
    """Writes config.json and the checkpoint of `step`, then removes older ones than the `keep` newest.

    contents: nested names and their variables. What is there stays whole until the new one is. UserError if it cannot
    be written.
    """
    partial = directory / ".saving"
    try:
        with writable(directory):
            shutil.rmtree(partial, ignore_errors=True)
            tf.train.Checkpoint(**contents).write(str(partial / f"dcgan-{step}"))
            write_atomic(
                directory / "config.json", lambda p: p.write_text(json.dumps(asdict(options), indent=2) + "\n")
            )
            for file in sorted(partial.iterdir()):  # data before index
                with open(file, "rb") as written:
                    os.fsync(written.fileno())
                os.replace(file, directory / file.name)
            steps = checkpoints(directory)
            kept = [number for number in steps if number <= step][-keep:]
            later = [number for number in steps if number > step]
            # For tf.train.latest_checkpoint; `read` looks at the files themselves.
            state = f'model_checkpoint_path: "dcgan-{step}"\n'
            state += "".join(f'all_model_checkpoint_paths: "dcgan-{number}"\n' for number in kept)
            write_atomic(directory / "checkpoint", lambda p: p.write_text(state))
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    for path in directory.iterdir():
        match = OWN.fullmatch(path.name)
        if match and int(match[1]) not in kept + later:
            path.unlink()


def read_config(directory: Path) -> NetworkOptions:
    """What config.json says; UserError if there is none or it is damaged."""
    path = directory / "config.json"
    if not path.is_file():
        lost = f", though it has checkpoints: restore {path} from a copy, or" if checkpoints(directory) else ":"
        raise UserError(f"no model in {directory}{lost} name a directory that train-dcgan.py wrote")
    try:
        config = json.loads(path.read_text())
        if not isinstance(config, dict) or config.keys() != asdict(NetworkOptions()).keys():
            raise ValueError("it has not the options of a model")
        return NetworkOptions(**config)
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from error


def read(directory: Path, contents: Mapping[str, Any], training: bool) -> None:
    """Fills the variables in `contents` from the newest checkpoint that is whole; names those that are not.

    UserError if there is none, or if it lacks what `contents` has, such as the state of a `training`.
    """
    steps = checkpoints(directory)
    if not steps:
        raise UserError(f"no checkpoint in {directory}: name a directory that train-dcgan.py wrote")
    for step in reversed(steps):
        path = directory / f"dcgan-{step}"
        try:
            open(f"{path}.index", "rb").close()  # what the system refuses is no damage
            status = tf.train.Checkpoint(**contents).read(str(path))
            status.assert_existing_objects_matched().expect_partial()
            return
        except AssertionError as error:
            what = "training state: start from it by --init" if training else "complete model: name another"
            raise UserError(f"{path} holds no {what}") from error
        except NO_DAMAGE as error:
            raise UserError(f"cannot read {path} ({error.message}): see to its permissions and to memory") from error
        except DAMAGE:
            if step > steps[0]:
                say(f"{path} is damaged: the checkpoint before it is taken")
    raise UserError(
        f"no checkpoint in {directory} can be read, all are damaged or of other networks than config.json says: "
        "restore one from a copy, or name another directory"
    )
