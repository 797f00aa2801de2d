"""Models on disk: config.json, and beside it the newest few checkpoints of TensorFlow.

A checkpoint is `dcgan-STEP.data-*` and, written last, `dcgan-STEP.index`: one without an index does not count.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcgan import tensorflow1
from dcgan.options import NetworkOptions
from ops import DAMAGE, tf
from utils import UserError, say, write_atomic

NO_DAMAGE = (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError)
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"  # that TensorFlow adds to a variable's name
FILE = re.compile(r"dcgan-(\d+)\.(index|data-\d+-of-\d+)")


def checkpoints(directory: Path) -> list[int]:
    """The steps of the checkpoints in `directory`, oldest first."""
    names = os.listdir(directory) if directory.is_dir() else []
    return sorted(int(match[1]) for match in map(FILE.fullmatch, names) if match and match[2] == "index")


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


def write(directory: Path, options: NetworkOptions, variables: Mapping[str, tf.Variable], step: int, keep: int) -> None:
    """Writes config.json and the checkpoint of `step`, then removes older ones than the `keep` newest.

    variables: by names such as `generator/g_h1/kernel`. What is there stays whole until the new one is. UserError if
    it cannot be written.
    """
    partial = directory / ".saving"
    try:
        with writable(directory):
            shutil.rmtree(partial, ignore_errors=True)
            tf.train.Checkpoint(**_nested(variables)).write(str(partial / f"dcgan-{step}"))
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
        match = FILE.fullmatch(path.name)
        if match and int(match[1]) not in kept + later:
            path.unlink()


@dataclass(frozen=True)
class Stored:
    """A model as it lies on disk."""

    path: Path
    """Of the checkpoint, without its suffix."""
    options: NetworkOptions
    values: dict[str, np.ndarray]
    """By names such as `generator/g_h1/kernel`."""
    step: int


def read(directory: Path, training: bool) -> Stored:
    """The newest model in `directory` that is whole, of TensorFlow 1 too, but not to go on with its `training`.

    Names what is damaged. UserError if there is no model, none that is whole, or no state of a training.
    """
    of_tensorflow1 = tensorflow1.newest(directory)
    if of_tensorflow1 and not training:
        step, path = of_tensorflow1
        return Stored(path, *tensorflow1.read(path), step)
    options = read_config(directory)
    steps = checkpoints(directory)
    if not steps:
        raise UserError(f"no checkpoint in {directory}: name a directory that train-dcgan.py wrote")
    for step in reversed(steps):
        path = directory / f"dcgan-{step}"
        try:
            open(f"{path}.index", "rb").close()  # what the system refuses is no damage
            return _read_checkpoint(path, options, training)
        except NO_DAMAGE as error:
            raise UserError(f"cannot read {path} ({error.message}): see to its permissions and to memory") from error
        except DAMAGE:
            if step > steps[0]:
                say(f"{path} is damaged: the checkpoint before it is taken")
    raise UserError(
        f"no checkpoint in {directory} can be read, all are damaged or of other networks than config.json says: "
        "restore one from a copy, or name another directory"
    )


def _nested(variables: Mapping[str, Any]) -> dict[str, Any]:
    """What stands under `a/b` as {a: {b: ...}}."""
    contents: dict[str, Any] = {}
    for name, variable in variables.items():
        *parents, last = name.split("/")
        inner = contents
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = variable
    return contents


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


def _read_checkpoint(path: Path, options: NetworkOptions, training: bool) -> Stored:
    """Raises what of DAMAGE it meets; ValueError if the networks are not those of the options."""
    reader = tf.train.load_checkpoint(str(path))
    shapes = {
        name.removesuffix(SUFFIX): shape
        for name, shape in reader.get_variable_to_shape_map().items()
        if name.endswith(SUFFIX) and name != f"save_counter{SUFFIX}"
    }
    # Before anything as large as the options say is read or made.
    try:
        found = NetworkOptions.of_shapes(shapes)
    except LookupError as error:
        raise ValueError(f"no networks: {error} is missing") from error
    if found != options:
        raise ValueError("other networks")
    if training and not any(name.startswith("live_generator/") for name in shapes):
        raise UserError(f"{path} holds no training state: start from it by --init")
    networks = ("generator/", "discriminator/")
    names = [name for name in shapes if name != "step" and (training or name.startswith(networks))]
    values = {name: reader.get_tensor(name + SUFFIX) for name in names}
    return Stored(path, options, values, int(reader.get_tensor(f"step{SUFFIX}")))


def model_directory(named: Path) -> Path:
    """The directory named, or that of the bundled model where the default one, `checkpoints`, holds none."""
    trained = (named / "config.json").exists() or checkpoints(named) or tensorflow1.newest(named)
    if named == Path("checkpoints") and not trained:
        return Path(__file__).resolve().parent.parent / "checkpoints" / "pretrained"
    return named
