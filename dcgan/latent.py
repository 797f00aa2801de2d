"""Points of z space, [N, z_dim] in [-1, 1]: walks, arithmetic, and files."""

import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from utils import UserError, check_readable

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
    z = _array(path, "z", 8 * MOST * z_dim)
    if z is None:
        raise UserError(f"cannot read z from {path}: choose an undamaged .npz file that sample.py wrote")
    if z.dtype.kind != "f" or z.ndim != 2 or not len(z) or not (abs(z) <= 1).all():
        raise UserError(f"z in {path} is not [N, {z_dim}] in [-1, 1]: choose a .npz file that sample.py wrote")
    if z.shape[1] != z_dim:
        raise UserError(f"z in {path} has {z.shape[1]} numbers, not the model's {z_dim}: choose the model that made it")
    return z.astype(np.float32)


def text_in(path: Path, name: str) -> str | None:
    """Reads a text from a file that `save_z` wrote; None if there is none or it cannot be read."""
    text = _array(path, name, LONGEST_TEXT)
    return str(text) if text is not None and text.dtype.kind == "U" and text.ndim == 0 else None


def _array(path: Path, name: str, most: int) -> np.ndarray | None:
    """Reads an array of at most `most` bytes from a .npz file, which may unpack to much more than its own size."""
    try:
        check_readable(path)
        with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as file:
            return file[name] if archive.getinfo(f"{name}.npy").file_size <= most else None
    except Exception:  # NumPy and zipfile raise nearly anything on a damaged file
        return None
