"""The folder that an evaluation is written into: a table and pictures."""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from images.files import evenly, find_pictures, save_picture
from images.sheets import on_white, table
from jobs.evaluate.arguments import EvaluateOptions
from outputs import Outputs, only_writer
from utils import UserError, say, write_rows


class Report:
    """Writes a table and pictures as they grow."""

    def __init__(self, outputs: Outputs, table: str, paths: Sequence[Path]):
        """paths: the pictures to use."""
        self.outputs, self.table, self.paths = outputs, table, paths
        self.rows: list[list[str | float]] = []

    @classmethod
    @contextmanager
    def open(cls, options: EvaluateOptions, table: str, *pictures: str) -> Iterator["Report"]:
        """Locks `out_dir`, and in the end prints what to look at. table, pictures: the files to be written.

        UserError if one of these is the user's, or if the pictures to use are in that folder.
        """
        out = options.out_dir
        if os.path.realpath(out) == os.path.realpath(options.dataset):
            raise UserError(f"{options.dataset} holds the pictures: choose another --outDir")
        with only_writer(out):
            outputs = Outputs(out, "--outDir")
            outputs.check(table, *pictures)
            yield cls(outputs, table, evenly(find_pictures(options.dataset, [out]), options.count))
            say("look at " + ", ".join(str(out / name) for name in (table, *pictures)))

    def add(self, *cells: str | float) -> None:
        """Adds a row to the table and writes the table. A number that is NaN leaves its cell empty."""
        self.rows.append([cell if isinstance(cell, str | int) else number(cell, ".5g") for cell in cells])
        self.outputs.write(self.table, partial(write_rows, rows=self.rows))

    def draw(self, name: str, columns: Mapping[str, Iterable[np.ndarray]]) -> None:
        """Writes a sheet with a column of pictures, uint8 [H, W, C], for each title."""
        pictures = list(itertools.chain.from_iterable(zip(*columns.values(), strict=True)))
        self.save(name, table(on_white(pictures), list(columns)))

    def save(self, name: str, pixels: np.ndarray) -> None:
        """Writes a picture, uint8 [H, W, C]."""
        self.outputs.write(name, partial(save_picture, pixels=pixels))


def number(value: float, form: str) -> str:
    """Formats a number; NaN is empty."""
    return "" if np.isnan(value) else format(value, form)


def columns(values: Iterable[float], form: str = ".3f") -> str:
    """Formats numbers in columns of ten characters."""
    return "".join(f"{number(value, form):>10}" for value in values).rstrip()


def mean_and_error(measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[M] and [M]: the means of [M, N], without values that are not a number, and their standard errors."""
    count = (~np.isnan(measured)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.nansum(measured, axis=1) / count
        squares = np.nansum((measured - mean[:, None]) ** 2, axis=1)
        return mean, np.sqrt(squares / (count - 1) / count)
