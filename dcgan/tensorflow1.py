"""Reads the TensorFlow 1 checkpoints of the post's repository, whose variables have names such as generator/g_h1/w.

There are two layouts, with or without the slots of Adam. The published model names D's last layer d_h3_lin and numbers
its batch normalizations from d_bn1. The later code has d_h4_lin and d_bn0, and wider first feature maps in G.
"""

import re
from pathlib import Path

import numpy as np

from dcgan.options import NetworkOptions, layers
from kernels.tensorflow import DAMAGE, plain_path, tf
from utils import UserError

VARIABLE = re.compile(r"(generator|discriminator)/(g_h0_lin|g_h\d+|g_bn\d+|d_h\d+_conv|d_h\d+_lin|d_bn\d+)/(\w+)")
OPTIMIZER = re.compile(r".*/Adam(_1)?|beta[12]_power(_\d+)?")
KERAS_NAMES = {"Matrix": "kernel", "w": "kernel", "biases": "bias"}


def read(path: Path) -> tuple[NetworkOptions, dict[str, np.ndarray]]:
    """The networks of a checkpoint, found by its variables' shapes, and the variables, named as in model.py.

    Raises UserError if the checkpoint cannot be read, or has other variables than a DCGAN.
    """
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
                    raise UserError(f"{path} is not a DCGAN of the post's repository: it holds the variable {name}")
    except DAMAGE as error:
        raise UserError(f"the TensorFlow 1 checkpoint {path} is damaged: replace it by a complete copy") from error
    try:
        values = _renamed(values)
        return NetworkOptions.of_shapes({name: value.shape for name, value in values.items()}), values
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not a DCGAN of the post's repository: its variables do not fit ({error})"
        ) from error


def _renamed(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Numbers D's batch normalizations from 1, like the convolutions before them, and its last layer after these."""
    bns = layers(values, "discriminator/d_bn")
    names = {old: f"discriminator/d_bn{i}" for i, old in enumerate(bns, 1)}
    names[layers(values, "discriminator/d_h", "_lin")[0]] = f"discriminator/d_h{len(bns) + 1}_lin"
    parts = {name: name.rpartition("/") for name in values}
    return {f"{names.get(layer, layer)}/{variable}": values[name] for name, (layer, _, variable) in parts.items()}
