"""The checkpoints of the post's repository: variables of a TensorFlow 1 graph, such as generator/g_h1/w.

Two layouts are around, with or without the slots of Adam. The published model calls D's last layer d_h3_lin and its
batch normalisations d_bn1 and up; the later code says d_h4_lin and d_bn0, and G's first feature maps are wider.
"""

import re
from pathlib import Path

import numpy as np

from dcgan.options import NetworkOptions, layers
from utils import UserError

# In the new format, or the old one of a single file; but not a checkpoint of ours.
FILE = re.compile(
    r"(?!dcgan-\d+\.)"
    r"((?P<prefix>.+?(-(?P<step>\d{1,18}))?)\.index|(?P<single>(?!.+\.data-).+-(?P<single_step>\d{1,18})))"
)
VARIABLE = re.compile(r"(generator|discriminator)/(g_h0_lin|g_h\d+|g_bn\d+|d_h\d+_conv|d_h\d+_lin|d_bn\d+)/(\w+)")
OPTIMIZER = re.compile(r".*/Adam(_1)?|beta[12]_power(_\d+)?")
KERAS_NAMES = {"Matrix": "kernel", "w": "kernel", "biases": "bias"}


def newest(directory: Path) -> tuple[int, Path] | None:
    """Step and path of the newest TensorFlow 1 checkpoint in `directory`; None if it holds none, or a model of ours."""
    if not directory.is_dir() or (directory / "config.json").exists():
        return None
    names = [path.name for path in directory.iterdir() if path.is_file()]
    found = [match for match in map(FILE.fullmatch, names) if match]
    steps = [(int(m["step"] or m["single_step"] or 0), directory / (m["prefix"] or m["single"])) for m in found]
    return max(steps, default=None)


def read(path: Path) -> tuple[NetworkOptions, dict[str, np.ndarray]]:
    """The networks of a checkpoint, by the shapes of its variables, and these, named as those of model.py.

    UserError if it is damaged, or has other variables than the networks.
    """
    from kernels.tensorflow import DAMAGE, plain_path, tf  # not above: `newest` is told before TensorFlow is loaded

    values = {}
    try:
        with plain_path(path) as plain:
            reader = tf.train.load_checkpoint(plain)
            for name, dtype in reader.get_variable_to_dtype_map().items():
                match = VARIABLE.fullmatch(name)
                if match and dtype == tf.float32:
                    network, layer, variable = match.groups()
                    values[f"{network}/{layer}/{KERAS_NAMES.get(variable, variable)}"] = reader.get_tensor(name)
                elif not OPTIMIZER.fullmatch(name):
                    raise UserError(f"{path} holds the variable {name}: it is no DCGAN of the post's repository")
    except DAMAGE as error:
        raise UserError(f"the TensorFlow 1 checkpoint {path} is damaged: take a whole copy of it") from error
    try:
        values = _renamed(values)
        return NetworkOptions.of_shapes({name: value.shape for name, value in values.items()}), values
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path} has other variables than a DCGAN of the post's repository ({error})") from error


def _renamed(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """D's batch normalisations counted from 1, as the convolutions they follow, and its last layer by its own place."""
    bns = layers(values, "discriminator/d_bn")
    names = {old: f"discriminator/d_bn{i}" for i, old in enumerate(bns, 1)}
    names[layers(values, "discriminator/d_h", "_lin")[0]] = f"discriminator/d_h{len(bns) + 1}_lin"
    parts = {name: name.rpartition("/") for name in values}
    return {f"{names.get(layer, layer)}/{variable}": values[name] for name, (layer, _, variable) in parts.items()}
