"""Points of z space, [N, z_dim] in [-1, 1]: between them, sums of them, and files of them."""

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from utils import UserError, write_atomic


def random_z(count: int, z_dim: int, seed: int = 0) -> np.ndarray:
    """Random points, uniform in the cube, float32 [count, z_dim]."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, z_dim)).astype(np.float32)


def walk(z: np.ndarray, steps: int) -> np.ndarray:
    """From each point to the next on a straight line, float32 [(N - 1) * (steps + 1), z_dim], both ends included."""
    t = np.linspace(0, 1, steps + 1)[:, None]
    legs = [(1 - t) * start + t * end for start, end in pairwise(z)]
    return np.concatenate(legs).astype(np.float32)


def combined(terms: Sequence[np.ndarray], signs: Sequence[int] = (1,)) -> np.ndarray:
    """The means of the terms [n, z_dim] added with their signs, 1 or -1; float32 [1, z_dim], moved into the cube.

    Radford et al., arXiv:1511.06434, section 6.3.2: the mean of a few z stands for what their pictures share.
    """
    means = np.stack([term.mean(axis=0, dtype=float) for term in terms])
    return np.clip(signs @ means, -1, 1).astype(np.float32)[None]


def save_z(path: Path, z: np.ndarray, **others: Any) -> None:
    """Writes a .npz file with z [N, z_dim], and other arrays or texts."""
    write_atomic(path, lambda partial: np.savez(partial, z=z, **others))


def load_z(path: Path, z_dim: int) -> np.ndarray:
    """float32 [N, z_dim]: what `save_z` wrote; UserError if that cannot be read, or is no z of this length."""
    z = _array(path, "z")
    if z is None:
        raise UserError(f"cannot read z from {path}: name a .npz file that sample.py wrote, and that is whole")
    if z.dtype.kind != "f" or z.ndim != 2 or not len(z) or not (abs(z) <= 1).all():
        raise UserError(f"z in {path} is not [N, {z_dim}] in [-1, 1]: name a .npz file that sample.py wrote")
    if z.shape[1] != z_dim:
        raise UserError(f"z in {path} has {z.shape[1]} numbers, not the model's {z_dim}: name the model that made it")
    return z.astype(np.float32)


def text_in(path: Path, name: str) -> str | None:
    """The text so named in a file that `save_z` wrote; None if it has none, is no such file, or not whole."""
    text = _array(path, name)
    return None if text is None else str(text)


def _array(path: Path, name: str) -> np.ndarray | None:
    if not os.path.isfile(path):  # to open a pipe would wait for its writer
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            return file[name]
    except Exception:  # NumPy and its decompression raise nearly anything on a damaged file
        return None
