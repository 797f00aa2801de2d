"""Used everywhere: errors that a user can fix, messages, progress, options, and output files."""

import csv
import dataclasses
import hashlib
import json
import math
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple


def one_line(text: object) -> str:
    """Returns the text in one line; control characters, which file names may contain, are escaped."""
    return "".join(
        c if c.isprintable() or "\ud800" <= c <= "\udfff" else ascii(c)[1:-1] for c in " ".join(str(text).splitlines())
    )


class UserError(Exception):
    """An error that the user can fix. Its text says what is wrong and what to do."""


class WrongCommand(UserError):
    """A wrong command line, whatever the files contain."""


def say(text: object = None) -> None:
    """Prints a line and flushes. Lines of several threads do not mix. Without a text, it only flushes."""
    if text is not None:
        sys.stdout.write(one_line(text) + "\n")
    sys.stdout.flush()


def digest(*parts: Any) -> str:
    """Returns a SHA-256 digest of arrays and of other parts by their repr."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.tobytes() if hasattr(part, "tobytes") else repr(part).encode()
        whole.update(len(content).to_bytes(8, "big") + content)
    return whole.hexdigest()


LIST, LOCK = ".dcgan-completion", ".dcgan-completion.lock"  # in every output folder


def some(paths: Sequence[Path], what: str = "pictures") -> str:
    """Returns the number of paths and the names of the first three, for a message."""
    names = ", ".join(path.name for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
    return names if len(paths) == 1 else f"{len(paths)} {what} ({names})"


def drop_output() -> None:
    """Discards all further output, as its reader (`| head`) has gone or its disk is full."""
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


class Progress:
    """Shows the progress of long work on stderr, with its rate and the time left.

    A terminal gets one line that is redrawn; a pipe or a file gets a plain line every ten seconds.
    """

    def __init__(self, total: int, unit: str):
        self.total, self.unit = total, unit
        self.done = 0
        self.start = time.monotonic()
        self.tty = sys.stderr.isatty()
        self.due = self.start + (0 if self.tty else 10)

    def skip(self, count: int) -> None:
        """Reduces the total, as some of the work is not needed."""
        self.total -= count
        if self.done == self.total > 0:
            self.update(self.done)  # ends the line

    def update(self, done: int, note: str = "") -> None:
        """Shows how much is done, and a note after it."""
        self.done = done
        now = time.monotonic()
        if now < self.due and not (self.tty and done == self.total):
            return
        self.due = now + (0.2 if self.tty else 10)
        rate = done / max(now - self.start, 1e-9)
        left = clock((self.total - done) / rate) if done else "?"
        line = f"{done}/{self.total} {self.unit}, {rate:.1f} {self.unit}/s, {left} left{note and ', ' + note}"
        if self.tty:
            print(f"\r\033[K{line}", end="\n" if done == self.total else "", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)


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


# ------------------------------------------------------------------------------------------ files


def write_rows(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Appends rows to a CSV file. File names that are not UTF-8 keep their bytes."""
    with open(path, "a", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def read_rows(path: Path, columns: int) -> list[list[str]]:
    """Returns the rows of a file by `write_rows`, without rows of another length, such as one that was cut short."""
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return [row for row in csv.reader(file) if len(row) == columns]


@contextmanager
def only_writer(directory: Path) -> Iterator[None]:
    """Creates a directory and locks it. UserError if another process has locked it.

    The lock ends with the process. Directories that were created are deleted again if nothing was written there.
    """
    from filelock import FileLock, Timeout  # here, as --help does not need it

    created = [each for each in (directory, *directory.parents) if not each.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / LOCK
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"another process writes into {directory}: wait until it ends or choose another directory"
        ) from None
    except NotImplementedError:  # the file system has no locks
        pass
    try:
        yield
    finally:
        with suppress(OSError):
            if os.listdir(directory) == [LOCK]:
                path.unlink()
            for each in created:  # until one is not empty
                each.rmdir()
        lock.release()


class Outputs:
    """The files that this program wrote into a folder. It may replace and delete these; all others are the user's.

    The file `.dcgan-completion` in the folder lists them: a line for each time that a file was written, with its size,
    the CRC-32 of its content and a note. A file whose content fits none of its lines was changed by somebody else.
    Names are relative to the folder, with `/` between folders. `flag` is the option that chooses the folder.
    """

    def __init__(self, folder: Path, flag: str = "folder"):
        self.folder, self.flag, self.list = folder, flag, folder / LIST
        self.real = os.path.realpath(folder)
        self.read = 0  # bytes of the list
        self.reading = Lock()  # threads may share the object
        self.entries: dict[str, list[Entry]] = {}

    def check(self, *names: str) -> None:
        """Raises UserError if one of the names is taken by something that this program did not write.

        A symbolic link is never replaced, nor a file behind one. An empty file may be replaced.
        """
        for name in names:
            path = self.folder / name
            if self._is_linked(name):
                raise UserError(f"{path} is reached by a symbolic link: remove the link or choose another {self.flag}")
            there = next(each for each in (path, *path.parents) if os.path.lexists(each))  # the file or its folder
            is_free = there.is_dir() if there != path else path.is_file() and not path.stat().st_size
            if not (is_free or self.owns(name)):
                raise UserError(
                    f"{there} was not written by this program, or was changed since: move it away or choose another "
                    f"{self.flag}"
                )

    def owns(self, name: str) -> bool:
        """Returns whether the file exists with content that this program wrote."""
        return self.note(name) is not None

    def note(self, name: str) -> str | None:
        """Returns the note of a file, or None if it does not exist as this program wrote it."""
        self._update()
        path = self.folder / name
        if self._is_linked(name) or not path.is_file():
            return None
        # Not only the newest line: the process may have been killed before the file got its name.
        return next((entry.note for entry in reversed(self.entries.get(name, ())) if entry.fits(path)), None)

    def names(self, note: str = "") -> list[str]:
        """Returns the names on the list whose newest note begins with `note`, without a look at the files."""
        self._update()
        return [name for name, entries in [*self.entries.items()] if entries[-1].note.startswith(note)]

    def write(self, name: str, write: Callable[[Path], Any], note: str = "", grows: bool = False) -> None:
        """Lets `write` fill a temporary file, which gets its name once it is whole. UserError as from `check`.

        grows: content may be added to the file later.
        """
        self.check(name)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # A short name that is the same each time, so that the file of a killed process is overwritten.
        partial = path.with_name(f".{zlib.crc32(os.fsencode(path.name)):08x}.tmp{path.suffix}")
        partial.unlink(missing_ok=True)
        try:
            write(partial)
            self.move(partial, name, note, grows)
        except OSError as error:
            if error.errno and not error.filename:  # a full disk's error names no file
                error.filename = str(path)
            raise
        finally:
            partial.unlink(missing_ok=True)

    def move(self, file: Path, name: str, note: str = "", grows: bool = False) -> None:
        """Moves a whole file to this name, from a scratch folder for example. UserError as from `check`."""
        self.check(name)
        self._add(name, Entry.of(file, note, grows))
        os.replace(file, self.folder / name)

    def add_text(self, name: str, text: str, note: str = "") -> None:
        """Adds text to the end of a file, which is created if necessary. UserError as from `check`."""
        if self.owns(name):
            with open(self.folder / name, "a", encoding="utf-8") as file:
                file.write(text)
        else:
            self.write(name, lambda path: path.write_text(text, encoding="utf-8"), note, grows=True)

    def add_rows(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Adds rows to a CSV file that this program began. UserError as from `check`: the user may have replaced it."""
        self.check(name)
        write_rows(self.folder / name, rows)

    def adopt(self, name: str, note: str = "") -> None:
        """Adds a file to the list that a library wrote for this program. It may still grow."""
        self._add(name, Entry.of(self.folder / name, note, grows=True))

    def remove(self, *names: str) -> None:
        """Deletes those of the files that this program wrote."""
        for name in names:
            if self.owns(name):
                (self.folder / name).unlink()

    def _is_linked(self, name: str) -> bool:
        """Returns whether the file, or a folder on the way to it, is a symbolic link or became one since the start."""
        expected = os.path.join(self.real, os.path.normpath(name))
        return os.path.normcase(os.path.realpath(self.folder / name)) != os.path.normcase(expected)

    def _update(self) -> None:
        """Reads the lines that were added to the list since the last time, by this process or another."""
        with self.reading, suppress(FileNotFoundError):
            if self.list.stat().st_size == self.read:
                return
            with open(self.list, "rb") as file:
                file.seek(self.read)
                *lines, rest = file.read().split(b"\n")
                self.read = file.tell() - len(rest)
            for line in lines:
                with suppress(ValueError, TypeError):  # a line that was cut short when its process was killed
                    name, *values = json.loads(line)
                    entry = Entry(*values)
                    self.entries.setdefault(name, []).append(entry)

    def _add(self, name: str, entry: "Entry") -> None:
        """Adds a line to the list in one piece, so that the lines of several processes do not mix."""
        self._update()
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.list, "ab", buffering=0) as file:
            cut_short = file.tell() > self.read
            file.write(b"\n" * cut_short + json.dumps([name, *entry]).encode() + b"\n")
        self._update()


class Entry(NamedTuple):
    """One line of the list of `Outputs`: the content that was written."""

    size: int
    crc: int
    note: str
    grows: bool = False

    @classmethod
    def of(cls, path: Path, note: str, grows: bool = False) -> "Entry":
        size = path.stat().st_size
        return cls(size, checksum(path, size), note, grows)

    def fits(self, path: Path) -> bool:
        size = path.stat().st_size
        return (size >= self.size if self.grows else size == self.size) and checksum(path, self.size) == self.crc


def checksum(path: Path, size: int) -> int:
    """Returns the CRC-32 of the first `size` bytes of a file."""
    crc = 0
    with open(path, "rb") as file:
        while size > 0 and (part := file.read(min(size, 1 << 20))):
            crc, size = zlib.crc32(part, crc), size - len(part)
    return crc
