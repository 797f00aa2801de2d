"""Models on disk: config.json and the newest TensorFlow checkpoints."""

import json
import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dcgan import tensorflow1
from dcgan.directories import FILE, checkpoints, newest_of_tensorflow1, read_config
from dcgan.options import NetworkOptions
from kernels.tensorflow import DAMAGE, keras, plain_path, tf
from outputs import Outputs
from utils import UserError, say

NO_DAMAGE = (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError)
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"  # TensorFlow adds it to a variable's name
SAVING = ".dcgan-completion.saving"  # folder of a checkpoint that is being written
LOOKS = 10  # attempts to read from a directory that a training run changes at the same time


def named_variables(name: str, network: keras.Model) -> dict[str, tf.Variable]:
    """A network's variables by the names that a checkpoint stores them under: `name/layer/variable`."""
    return {
        f"{name}/{layer.name}/{variable.name}": variable.value
        for layer in network.layers
        for variable in layer.variables
    }


@contextmanager
def writable(directory: Path) -> Iterator[None]:
    """Raises UserError if writing into `directory` fails in this context."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        # TensorFlow names its operation and temporary file before the reason.
        reason = error.message.rpartition("; ")[2] if isinstance(error, tf.errors.OpError) else error
        raise UserError(
            f"cannot write into {directory} ({reason}): free some space there; files saved earlier are complete"
        ) from error


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Makes an empty folder, which is deleted at the end, or by the next call if the process is killed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write(directory: Path, options: NetworkOptions, variables: Mapping[str, tf.Variable], step: int, keep: int) -> None:
    """Writes config.json and the checkpoint of `step`; deletes all but the `keep` newest up to it.

    variables: by names such as `generator/g_h1/kernel`. Earlier checkpoints stay until the new one is complete. Raises
    UserError if a file cannot be written, or has the name of a file that this program did not write.
    """
    outputs = Outputs(directory, "--checkpoint_dir")
    outputs.check("config.json", "checkpoint")
    with writable(directory):
        with scratch(directory / SAVING) as partial:
            with plain_path(partial) as plain:
                tf.train.Checkpoint(**_nested(variables)).write(os.path.join(plain, f"dcgan-{step}"))
            _write_text(outputs, "config.json", json.dumps(asdict(options), indent=2) + "\n")
            for file in sorted(partial.iterdir()):  # data before index
                with open(file, "r+b") as written:  # Windows only flushes files that are open for writing
                    os.fsync(written.fileno())
                _set_aside(outputs, file.name)
                outputs.move(file, file.name)
        steps = checkpoints(directory)
        kept = [number for number in steps if number <= step][-keep:]
        later = [number for number in steps if number > step]
        # For tf.train.latest_checkpoint; `read` looks at the files themselves.
        state = f'model_checkpoint_path: "dcgan-{step}"\n'
        state += "".join(f'all_model_checkpoint_paths: "dcgan-{number}"\n' for number in kept)
        _write_text(outputs, "checkpoint", state)
    remove(outputs, kept + later)


def remove(outputs: Outputs, kept: Collection[int]) -> None:
    """Deletes this program's checkpoints except those of the steps `kept`."""
    for name in sorted(os.listdir(outputs.folder), reverse=True):  # index before data
        match = FILE.fullmatch(name)
        if match and int(match[1]) not in kept:
            outputs.remove(name)


def _set_aside(outputs: Outputs, name: str) -> None:
    """Renames this program's damaged checkpoint file, so that its name is free."""
    path = outputs.folder / name
    if name in outputs.names() and path.is_file() and not path.is_symlink() and not outputs.owns(name):
        path.rename(f"{path}.damaged-{time.time_ns()}")


def _write_text(outputs: Outputs, name: str, text: str) -> None:
    path = outputs.folder / name
    if not path.is_file() or path.read_bytes() != text.encode():
        outputs.write(name, lambda partial: partial.write_bytes(text.encode()))


@dataclass(frozen=True)
class Stored:
    """A model as it is stored on disk."""

    path: Path  # of the checkpoint, without its suffix
    options: NetworkOptions
    values: dict[str, np.ndarray]  # by names such as `generator/g_h1/kernel`
    step: int


def read(directory: Path, training: bool) -> Stored:
    """The newest undamaged model in `directory`, which may be a TensorFlow 1 model unless `training`.

    Reports damaged checkpoints; ignores checkpoints that a training run replaces at the same time. Raises UserError if
    a file may not be read, if there is no undamaged model, or no training state.
    """
    of_tensorflow1 = newest_of_tensorflow1(directory)
    if of_tensorflow1 and not training:
        step, path = of_tensorflow1
        return Stored(path, *tensorflow1.read(path), step)
    options = read_config(directory)
    for _ in range(LOOKS):
        steps = checkpoints(directory)
        stored, damaged = _newest_undamaged(directory, steps, options, training)
        if not damaged or checkpoints(directory) == steps:
            break
    if not stored:
        raise UserError(
            f"no checkpoint in {directory} can be read: all are damaged or have other networks than config.json; "
            "restore one from a copy, or choose another directory"
        )
    for path in damaged:
        say(f"warning: {path} is damaged; the checkpoint before it is used")
    return stored


def _newest_undamaged(
    directory: Path, steps: Sequence[int], options: NetworkOptions, training: bool
) -> tuple[Stored | None, list[Path]]:
    """The newest checkpoint that can be read, and the damaged ones after it."""
    damaged: list[Path] = []
    for step in reversed(steps):
        path = directory / f"dcgan-{step}"
        try:
            for file in directory.glob(f"{path.name}.*"):
                open(file, "rb").close()  # PermissionError; TensorFlow would say that the file is damaged
            return _read_checkpoint(path, options, training), damaged
        except NO_DAMAGE as error:
            raise UserError(f"cannot read {path} ({error.message}): check its permissions and free memory") from error
        except (FileNotFoundError, *DAMAGE):
            damaged.append(path)
    return None, damaged


def _nested(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Turns {"a/b": value} into {a: {b: value}}."""
    contents: dict[str, Any] = {}
    for name, variable in variables.items():
        *parents, last = name.split("/")
        inner = contents
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = variable
    return contents


def _read_checkpoint(path: Path, options: NetworkOptions, training: bool) -> Stored:
    """Raises one of DAMAGE if the checkpoint is damaged or has other networks than the options."""
    with plain_path(path) as plain:
        reader = tf.train.load_checkpoint(plain)
        shapes = {
            name.removesuffix(SUFFIX): shape
            for name, shape in reader.get_variable_to_shape_map().items()
            if name.endswith(SUFFIX) and name != f"save_counter{SUFFIX}"
        }
        # Checked before anything large is read.
        if NetworkOptions.of_shapes(shapes) != replace(options, margin=0):
            raise ValueError("other networks")
        if training and not any(name.startswith("live_generator/") for name in shapes):
            raise UserError(f"{path} has no training state: start a new run from it with --init")
        networks = ("generator/", "discriminator/")
        names = [name for name in shapes if name != "step" and (training or name.startswith(networks))]
        values = {name: reader.get_tensor(name + SUFFIX) for name in names}
        return Stored(path, options, values, int(reader.get_tensor(f"step{SUFFIX}")))
