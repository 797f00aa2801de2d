"""Reads alignment.csv, the table of align.py."""

import csv
import os
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from utils import UserError, read_rows

TABLE = "alignment.csv"
EARLIEST = ["source", "output", "status", "a", "b", "tx", "c", "d", "ty"]
# Width and height of the photo, side of the aligned face, and with --all the number of the photo's faces.
EARLIER = [*EARLIEST, "width", "height", "size", "faces"]
COLUMNS = [*EARLIER, "margin"]


def earlier_rows(log: Path) -> list[list[str]]:
    """The rows of an alignment.csv, none if there is no such file; UserError if it is something else.

    Rows of an earlier version have empty cells at the end.
    """
    if not log.exists():
        return []
    versions = COLUMNS, EARLIER, EARLIEST
    try:
        found = next((rows for columns in versions if (rows := read_rows(log, len(columns)))), None)
    except csv.Error as error:
        raise UserError(f"{log} is damaged ({error}): restore it from a copy, or choose another folder") from error
    header, *rows = found or [COLUMNS if not log.stat().st_size else []]
    if header not in versions:
        raise UserError(f"{log} was not written by align.py, or is damaged: choose another folder")
    rows = [row + [""] * (len(COLUMNS) - len(row)) for row in rows]
    return [row for row in rows if "\0" not in row[1] and len(os.fsencode(row[1])) < 256]


def check_margin(pictures: Iterable[Path], margin: float, what_to_do: str = "choose another model") -> None:
    """UserError if an alignment.csv beside the pictures tells that one was aligned with another --margin."""
    for picture in pictures:
        table = picture.parent / TABLE
        theirs = _margins(table, table.stat().st_mtime_ns).get(picture.name) if table.is_file() else None
        if theirs not in (None, margin):
            fault = f"{picture} was aligned with --margin {theirs:g}, but the model is for --margin {margin:g}"
            raise UserError(f"{fault}: {what_to_do}")


@lru_cache
def _margins(table: Path, _time: int) -> dict[str, float]:
    """The margins of the faces in a table, by their files."""
    with suppress(UserError, OSError, ValueError):
        return {output: float(margin or 0) for _, output, *_, margin in earlier_rows(table) if output}
    return {}
