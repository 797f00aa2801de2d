"""Models on disk: config.json, and beside it the newest few checkpoints of TensorFlow."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcgan import tensorflow1
from dcgan.directories import FILE, checkpoints, read_config
from dcgan.options import NetworkOptions
from kernels.tensorflow import DAMAGE, keras, plain_path, tf
from utils import UserError, say, write_atomic

NO_DAMAGE = (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError)
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"  # that TensorFlow adds to a variable's name
LOOKS = 10  # at a directory that a training changes meanwhile


def named_variables(name: str, network: keras.Model) -> dict[str, tf.Variable]:
    """A network's variables by the names that a checkpoint stores them under: `name/layer/variable`."""
    return {
        f"{name}/{layer.name}/{variable.name}": variable.value
        for layer in network.layers
        for variable in layer.variables
    }


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
            _remove(partial)
            partial.mkdir(parents=True)
            with plain_path(partial) as plain:
                tf.train.Checkpoint(**_nested(variables)).write(os.path.join(plain, f"dcgan-{step}"))
            write_atomic(
                directory / "config.json", lambda p: p.write_text(json.dumps(asdict(options), indent=2) + "\n")
            )
            for file in sorted(partial.iterdir()):  # data before index
                with open(file, "r+b") as written:  # Windows flushes no file that is only read
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
        _remove(partial)
    for path in sorted(directory.iterdir(), reverse=True):  # index before data
        match = FILE.fullmatch(path.name)
        if match and int(match[1]) not in kept + later:
            path.unlink()


def _remove(path: Path) -> None:
    """Removes a folder, or what stands in its place; where a link leads to is left alone."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


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

    Names what is damaged, which what a training has replaced meanwhile is not. UserError if there is no model, none
    that is whole, or no state of a training.
    """
    of_tensorflow1 = tensorflow1.newest(directory)
    if of_tensorflow1 and not training:
        step, path = of_tensorflow1
        return Stored(path, *tensorflow1.read(path), step)
    options = read_config(directory)
    for _ in range(LOOKS):
        files = _stamps(directory)
        stored, damaged = _newest_whole(directory, options, training)
        if not damaged or _stamps(directory) == files:
            break
    if not stored:
        raise UserError(
            f"no checkpoint in {directory} can be read, all are damaged or of other networks than config.json says: "
            "restore one from a copy, or name another directory"
        )
    for path in damaged:
        say(f"{path} is damaged: the checkpoint before it is taken")
    return stored


def _newest_whole(directory: Path, options: NetworkOptions, training: bool) -> tuple[Stored | None, list[Path]]:
    """The newest checkpoint that can be read, and those after it, which cannot."""
    damaged: list[Path] = []
    for step in reversed(checkpoints(directory)):
        path = directory / f"dcgan-{step}"
        try:
            open(f"{path}.index", "rb").close()  # what the system refuses is no damage
            return _read_checkpoint(path, options, training), damaged
        except NO_DAMAGE as error:
            raise UserError(f"cannot read {path} ({error.message}): see to its permissions and to memory") from error
        except (FileNotFoundError, *DAMAGE):
            damaged.append(path)
    return None, damaged


def _stamps(directory: Path) -> dict[str, tuple[int, int]]:
    """What tells a checkpoint's file from another that has taken its place, by its name."""
    stamps = {}
    for path in directory.iterdir():
        with suppress(FileNotFoundError):
            if FILE.fullmatch(path.name):
                stamps[path.name] = path.stat().st_ino, path.stat().st_mtime_ns
    return stamps


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


def _read_checkpoint(path: Path, options: NetworkOptions, training: bool) -> Stored:
    """Raises what of DAMAGE it meets; ValueError if the networks are not those of the options."""
    with plain_path(path) as plain:
        reader = tf.train.load_checkpoint(plain)
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
