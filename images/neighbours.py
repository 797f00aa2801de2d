"""The pictures of a data set that are nearest to others."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from images.dataset import UNREADABLE, Dataset

AT_ONCE = 2**23  # pixel values of the data set that are looked at together


class Neighbours(NamedTuple):
    """Of each of N pictures the k nearest in a data set, nearest first."""

    numbers: np.ndarray
    """int [N, k], in the data set."""
    distances: np.ndarray
    """[N, k]: root mean squared differences of the pixels' values, 0 to 255."""
    mirrored: np.ndarray
    """bool [N, k]: whether the mirror image is the one that is near."""


def nearest(
    pictures: np.ndarray, dataset: Dataset, k: int, progress: Callable[[int], None] = lambda done: None
) -> Neighbours:
    """The nearest pictures by Euclidean distance between pixels, to them or to their mirror images.

    Mirror images count because training with --flip shows them to the networks, too. pictures: uint8 [N, H, W, C].
    Fewer than k are found if no more can be read; UserError if none can. `progress` is told how many have been looked
    at.
    """
    both = np.concatenate([pictures, pictures[:, :, ::-1]]).reshape(2 * len(pictures), -1)
    found = np.empty((3, len(pictures), 0))  # squared distance, number, mirrored
    at_once = max(1, AT_ONCE // both.shape[1])
    for first in range(0, len(dataset), at_once):
        numbers = np.arange(first, min(first + at_once, len(dataset)))
        # To mirror these or the others is the same.
        as_it_is, mirrored = np.split(_squared_distances(both, dataset[numbers].reshape(len(numbers), -1)), 2)
        new = np.stack([np.minimum(as_it_is, mirrored), np.broadcast_to(numbers, as_it_is.shape), mirrored < as_it_is])
        # In place of one that cannot be read the data set gives another.
        found = np.concatenate([found, new[..., dataset.states[numbers] != UNREADABLE]], axis=2)
        order = found[0].argsort(axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(found, order[None], axis=2)
        progress(int(numbers[-1]) + 1)
    squared, number, is_mirrored = found
    return Neighbours(number.astype(int), np.sqrt(squared / both.shape[1]), is_mirrored.astype(bool))


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[N, M] between the rows of [N, D] and [M, D], which are whole numbers: exact, float64 has digits enough."""
    a, b = a.astype(float), b.astype(float)
    return np.einsum("nd,nd->n", a, a)[:, None] + np.einsum("md,md->m", b, b) - 2 * (a @ b.T)
