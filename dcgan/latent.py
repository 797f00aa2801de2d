"""Points of z space, [N, z_dim] in [-1, 1]: walks, arithmetic, and files."""

import os
import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from utils import UserError

MOST = 1_000_000  # z in a file
LONGEST_TEXT = 4096  # bytes


def random_z(count: int, z_dim: int, seed: int = 0) -> np.ndarray:
    """Random points, uniform in the cube, float32 [count, z_dim]."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, z_dim)).astype(np.float32)


def walk(z: np.ndarray, steps: int) -> np.ndarray:
    """Straight lines from each point to the next, float32 [(N - 1) * (steps + 1), z_dim], with both ends."""
    t = np.linspace(0, 1, steps + 1)[:, None]
    legs = [(1 - t) * start + t * end for start, end in pairwise(z)]
    return np.concatenate(legs).astype(np.float32)


def combined(terms: Sequence[np.ndarray], signs: Sequence[int] = (1,)) -> np.ndarray:
    """The sum of the means of the terms [n, z_dim], each times its sign; float32 [1, z_dim], clipped to [-1, 1].

    The mean of a few z stands for what their pictures have in common (Radford et al., arXiv:1511.06434, section 6.3.2).
    """
    means = np.stack([term.mean(axis=0, dtype=float) for term in terms])
    return np.clip(signs @ means, -1, 1).astype(np.float32)[None]


def save_z(path: Path, z: np.ndarray, **others: Any) -> None:
    """Writes a .npz file with z [N, z_dim], and other arrays or texts."""
    np.savez(path, z=z, **others)


def load_z(path: Path, z_dim: int) -> np.ndarray:
    """Reads z, float32 [N, z_dim] in [-1, 1], from a file that `save_z` wrote. Raises UserError if it has none."""
    unreadable = UserError(f"cannot read z from {path}: choose an undamaged .npz file that sample.py wrote")
    other = UserError(f"z in {path} is not [N, {z_dim}] in [-1, 1]: choose a .npz file that sample.py wrote")
    header = _header(path, "z")
    if not header:
        raise unreadable
    shape, dtype = header
    if dtype.kind != "f" or len(shape) != 2 or not 1 <= shape[0] <= MOST:
        raise other
    if shape[1] != z_dim:
        raise UserError(f"z in {path} has {shape[1]} numbers, not the model's {z_dim}: choose the model that made it")
    z = _array(path, "z")
    if z is None:
        raise unreadable
    if not (abs(z) <= 1).all():
        raise other
    return z.astype(np.float32)


def text_in(path: Path, name: str) -> str | None:
    """Reads a text from a file that `save_z` wrote; None if there is none or it cannot be read."""
    header = _header(path, name)
    if not header or header[0] != () or header[1].kind != "U" or header[1].itemsize > LONGEST_TEXT:
        return None
    text = _array(path, name)
    return None if text is None else str(text)


def _header(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype] | None:
    """Shape and dtype of an array in a .npz file, read without the array, which a small file may say is huge."""
    if not os.path.isfile(path):  # opening a pipe would wait for its writer
        return None
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            return shape, dtype
    except Exception:  # NumPy and zipfile raise nearly anything on a damaged file
        return None


def _array(path: Path, name: str) -> np.ndarray | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return file[name]
    except Exception:
        return None
