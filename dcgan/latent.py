"""Points of z space, [N, z_dim] in [-1, 1]: walks, arithmetic, and files."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from utils import UserError


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
    """Writes a .npz file with z [N, z_dim], and other arrays."""
    np.savez(path, z=z, **others)


def load_z(path: Path, z_dim: int) -> np.ndarray:
    """Reads z, float32 [N, z_dim] in [-1, 1], from a file that `save_z` wrote. Raises UserError if it has none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            z = file["z"]
    except Exception:  # NumPy and zipfile raise nearly anything on a damaged file
        raise UserError(f"cannot read z from {path}: choose an undamaged .npz file that sample.py wrote") from None
    if z.dtype.kind != "f" or z.ndim != 2 or not len(z) or not (abs(z) <= 1).all():
        raise UserError(f"z in {path} is not [N, {z_dim}] in [-1, 1]: choose a .npz file that sample.py wrote")
    if z.shape[1] != z_dim:
        raise UserError(f"z in {path} has {z.shape[1]} numbers, not the model's {z_dim}: choose the model that made it")
    return z.astype(np.float32)
