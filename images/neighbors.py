"""Finds the nearest pictures in a data set."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from images.dataset import UNREADABLE, Dataset

AT_ONCE = 2**23  # pixel values compared at a time


class Neighbors(NamedTuple):
    """The k nearest pictures in a data set for each of N pictures, nearest first."""

    numbers: np.ndarray  # int [N, k], indices into the data set
    distances: np.ndarray  # [N, k]: root mean squared differences of the pixel values, 0 to 255
    mirrored: np.ndarray  # bool [N, k]: whether the mirror image is the near one


def nearest(pictures: np.ndarray, dataset: Dataset, k: int, progress: Callable[[int], None]) -> Neighbors:
    """Finds the nearest pictures, or mirror images of them, by Euclidean distance between pixels.

    Mirror images count because training with --flip uses them, too. pictures: uint8 [N, H, W, C]. progress: called with
    the number of pictures compared. Finds fewer than k if fewer can be read. Raises UserError if none can be read.
    """
    both = np.concatenate([pictures, pictures[:, :, ::-1]]).reshape(2 * len(pictures), -1)
    found = np.empty((3, len(pictures), 0))  # squared distance, number, mirrored
    at_once = max(1, AT_ONCE // both.shape[1])
    for first in range(0, len(dataset), at_once):
        numbers = np.arange(first, min(first + at_once, len(dataset)))
        # Mirroring these pictures is the same as mirroring the data set.
        as_it_is, mirrored = np.split(_squared_distances(both, dataset[numbers].reshape(len(numbers), -1)), 2)
        new = np.stack([np.minimum(as_it_is, mirrored), np.broadcast_to(numbers, as_it_is.shape), mirrored < as_it_is])
        # The data set replaces a picture that cannot be read by another one.
        found = np.concatenate([found, new[..., dataset.states[numbers] != UNREADABLE]], axis=2)
        order = found[0].argsort(axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(found, order[None], axis=2)
        progress(int(numbers[-1]) + 1)
    squared, number, is_mirrored = found
    return Neighbors(number.astype(int), np.sqrt(squared / both.shape[1]), is_mirrored.astype(bool))


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[N, M] between the rows of [N, D] and [M, D]; exact, because float64 holds whole numbers of this size."""
    a, b = a.astype(float), b.astype(float)
    return np.einsum("nd,nd->n", a, a)[:, None] + np.einsum("md,md->m", b, b) - 2 * (a @ b.T)
