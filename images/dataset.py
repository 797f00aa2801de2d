"""Decodes the training pictures in parallel, and keeps them if they fit into memory."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from images.decoding import PictureError, load_picture
from utils import UserError, say

UNKNOWN, KEPT, UNREADABLE = range(3)


class Dataset:
    """Picture files as an array, uint8 [N, size, size, c_dim], indexed by lists of numbers.

    The next readable picture replaces an unreadable one, so that the pictures depend on the files alone. Messages name
    each unreadable picture, the first that is cropped or resized, and the first that is partly transparent and
    therefore composed over gray.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, paths: Sequence[Path], size: int, c_dim: int, memory: float):
        """Keeps the decoded pictures if all fit into `memory` bytes; otherwise decodes them each time."""
        self.paths = paths
        self.shape = (len(paths), size, size, c_dim)
        # The system allocates memory when it is first written, so during the first epoch.
        self.kept = np.empty(self.shape, np.uint8) if np.prod(self.shape, dtype=float) <= memory else None
        self.transparent = np.zeros(len(paths), bool)  # as far as they have been decoded
        self.states = np.full(len(paths), UNKNOWN, np.uint8)
        self.said: set[object] = set()
        self.saying = Lock()
        self.pool = ThreadPoolExecutor(os.cpu_count())

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, numbers: Iterable[int]) -> np.ndarray:
        """uint8 [len(numbers), size, size, c_dim]. Raises UserError if no picture can be read."""
        return np.stack(list(self.pool.map(self._picture, numbers)))

    @property
    def left_out(self) -> int:
        """The number of pictures found to be unreadable so far."""
        return int((self.states == UNREADABLE).sum())

    def _picture(self, number: int) -> np.ndarray:
        for i in range(number, number + len(self)):
            picture = self._read(i % len(self))
            if picture is not None:
                return picture
        raise UserError(f"none of the {len(self)} pictures can be read")

    def _read(self, number: int) -> np.ndarray | None:
        if self.kept is not None and self.states[number] == KEPT:
            return self.kept[number]
        if self.states[number] == UNREADABLE:
            return None
        try:
            picture, fitted, transparent = load_picture(self.paths[number], *self.shape[2:])
        except PictureError as error:
            self.states[number] = UNREADABLE
            self._say_once(number, f"skipped: {error}")
            return None
        size, path = self.shape[1], self.paths[number]
        if transparent:
            self.transparent[number] = True
            self._say_once("transparent", f"{path} is partly transparent: such pictures are composed over gray")
        if fitted:
            how = "such pictures are cropped to their central square and resized"
            self._say_once("fitted", f"{path} is not {size}x{size}: {how}")
        if self.kept is not None:
            self.kept[number] = picture
            self.states[number] = KEPT
        return picture

    def _say_once(self, about: object, text: str) -> None:
        with self.saying:
            if about not in self.said:
                say(text)
            self.said.add(about)


def one_ahead(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Yields function(item) for each item; a thread computes one value ahead."""
    with ThreadPoolExecutor(1) as thread:
        following: Any = None
        for item in items:
            current, following = following, thread.submit(function, item)
            if current:
                yield current.result()
        if following:
            yield following.result()
