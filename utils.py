"""Used everywhere: errors that a user can fix, messages, progress, options, and tables."""

import builtins
import csv
import dataclasses
import hashlib
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any


def one_line(text: object) -> str:
    """Returns the text in one line; control characters, which file names may contain, are escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(str(text).splitlines()))


class UserError(Exception):
    """An error that the user can fix. Its text says what is wrong and what to do."""


class WrongCommand(UserError):
    """A wrong command line, whatever the files contain."""


def say(text: object = None) -> None:
    """Prints a line and flushes. Lines of several threads do not mix. Without a text, it only flushes."""
    if text is not None:
        sys.stdout.write(one_line(text) + "\n")
    sys.stdout.flush()


def never() -> bool:
    """Returns False: the default of `stopped`, which tells long work whether to end early."""
    return False


@lru_cache(maxsize=1000)
def say_once(text: str) -> None:
    """Prints a line, unless it was printed before."""
    say(text)


def digest(*parts: Any) -> str:
    """Returns a SHA-256 digest of arrays and of other parts by their repr."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.tobytes() if hasattr(part, "tobytes") else repr(part).encode()
        whole.update(len(content).to_bytes(8, "big") + content)
    return whole.hexdigest()


def some(paths: Sequence[Any], what: str = "pictures") -> str:
    """Returns the number of paths and the names of the first three, for a message."""
    names = ", ".join(path.name for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
    return names if len(paths) == 1 else f"{len(paths)} {what} ({names})"


def drop_output() -> None:
    """Discards all further output, because its reader (`| head`) has ended or the disk is full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discards what is written to file descriptor 2, such as TensorFlow's messages at import."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def in_notebook() -> bool:
    """Whether Jupyter shows the output, which then has no terminal."""
    return hasattr(builtins, "__IPYTHON__") and "ipykernel" in sys.modules


def ignore_pillow() -> None:
    """Ignores Pillow's warnings. They are about readable pictures; for unreadable ones Pillow raises errors."""
    warnings.filterwarnings("ignore", module=r"PIL\.")


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Sets environment variables in this context."""
    earlier = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in earlier.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


class Progress:
    """Shows the progress of long work on stderr, with its rate and the time left.

    A terminal and a notebook get one line that is redrawn; a pipe or a file gets a plain line every ten seconds.
    """

    def __init__(self, total: int, unit: str):
        self.total, self.unit = total, unit
        self.done = 0
        self.start = time.monotonic()
        self.redraws = sys.stderr.isatty() or in_notebook()
        self.due = self.start + (0 if self.redraws else 10)
        self.shown: Any = None  # in a notebook

    def skip(self, count: int) -> None:
        """Reduces the total, as some of the work is not needed."""
        self.total -= count
        if self.done == self.total > 0:
            self.update(self.done)  # ends the line

    def update(self, done: int, note: str = "") -> None:
        """Shows how much is done, and a note after it."""
        self.done = done
        now = time.monotonic()
        if now < self.due and not (self.redraws and done == self.total):
            return
        self.due = now + (0.2 if self.redraws else 10)
        rate = done / max(now - self.start, 1e-9)
        left = clock((self.total - done) / rate) if done else "?"
        line = f"{done}/{self.total} {self.unit}, {rate:.1f} {self.unit}/s, {left} left{note and ', ' + note}"
        if not self.redraws:
            print(line, file=sys.stderr, flush=True)
        elif in_notebook():
            self._display({"text/plain": line})
        else:
            print(f"\r\033[K{line}", end="\n" if done == self.total else "", file=sys.stderr, flush=True)

    def _display(self, content: dict[str, str]) -> None:
        from IPython.display import display

        if self.shown:
            self.shown.update(content, raw=True)
        else:
            self.shown = display(content, raw=True, display_id=True)


def clock(seconds: float) -> str:
    """Formats seconds as h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


# ---------------------------------------------------------------------------------------- options


def number(
    kind: type,
    low: float = -sys.float_info.max,
    high: float = sys.float_info.max,
    above: float = -math.inf,
    below: float = math.inf,
) -> Callable[[Any], Any]:
    """Returns a check for `option`: a number from `low` to `high`, greater than `above` and less than `below`."""
    limits = {"at least": low, "at most": high, "above": above, "below": below}
    words = " and ".join(f"{word} {limit:g}" for word, limit in limits.items() if abs(limit) < sys.float_info.max)

    def check(value: Any) -> Any:
        found: Any = None
        with suppress(ValueError):
            found = kind(value) if isinstance(value, str) else value
        fits = isinstance(found, (int, kind)) and not isinstance(found, bool)
        if not fits:
            raise ValueError(f"{value} is not a {'whole ' if kind is int else ''}number")
        if not (low <= found <= high and above < found < below):
            raise ValueError(f"{value} is not {words or 'finite'}")
        return kind(found)

    return check


def path(value: Any) -> Path:
    """A check for `option`: a path. "~" is the home folder, because shells do not expand it in --outDir=~/x."""
    return Path(os.path.expanduser(value))


COUNT, POSITIVE, NOT_NEGATIVE = number(int, 1), number(float, above=0), number(float, 0)
DECAY, SEED = number(float, 0, below=1), number(int, 0, 2**31 - 1)


def option(default: Any, text: str, flag: str = "", check: Callable[[Any], Any] | None = None, **argument: Any) -> Any:
    """Returns a field of `Options`.

    default: may be dataclasses.MISSING. text: for --help. flag: by default --NAME. check: converts a text or a value
    into the field's value, or raises ValueError. argument: more arguments for argparse's add_argument.
    """
    metadata = {"text": text, "flag": flag, "check": check, "argument": argument}
    return dataclasses.field(default=default, metadata=metadata)


def _checked(value: Any, field: dataclasses.Field) -> Any:
    choices, check = field.metadata["argument"].get("choices"), field.metadata["check"]
    if choices and value not in choices:
        raise ValueError(f"{value} is not one of {', '.join(map(str, choices))}")
    return check(value) if check else value


class Options:
    """Base of dataclasses whose fields are made by `option`. Raises ValueError if a value fails its check."""

    def __post_init__(self):
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value, argument = getattr(self, field.name), field.metadata["argument"]
            if value is field.default:
                continue
            try:
                several = "nargs" in argument
                checked = tuple(_checked(each, field) for each in value) if several else _checked(value, field)
                object.__setattr__(self, field.name, checked)
            except ValueError as error:
                raise ValueError(f"{field.name}: {error}") from None


# ----------------------------------------------------------------------------------------- tables


def write_rows(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Appends rows to a CSV file. File names that are not UTF-8 keep their bytes."""
    with open(path, "a", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def read_rows(path: Path, columns: int) -> list[list[str]]:
    """Returns the rows of a file by `write_rows`, without rows of another length, such as one that was cut short."""
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return [row for row in csv.reader(file) if len(row) == columns]
