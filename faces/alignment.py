"""alignment.csv: what align.py did with each photo, and the transform that moved its face into place."""

import csv
import os
from pathlib import Path

from utils import UserError, read_rows

COLUMNS = ["source", "output", "status", "a", "b", "tx", "c", "d", "ty"]


def earlier_rows(log: Path) -> list[list[str]]:
    """The rows of an earlier run's alignment.csv; UserError if a file of that name is not one."""
    if not log.exists():
        return []
    try:
        header, *rows = read_rows(log, len(COLUMNS)) or [COLUMNS if not log.stat().st_size else []]
    except csv.Error as error:
        raise UserError(f"{log} is damaged ({error}): restore it from a copy, or name another folder") from error
    if header != COLUMNS:
        raise UserError(f"{log} is not of align.py, or damaged: name another folder")
    return [row for row in rows if "\0" not in row[1] and len(os.fsencode(row[1])) < 256]
