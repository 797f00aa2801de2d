"""Output folders: one process at a time writes into them, and it leaves the user's own files alone."""

import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from utils import UserError, write_rows

LIST, LOCK = ".dcgan-completion", ".dcgan-completion.lock"  # in every output folder


@contextmanager
def only_writer(directory: Path) -> Iterator[None]:
    """Creates a directory and locks it. UserError if another process has locked it, or if a file is in its place.

    The lock ends with the process. Directories that were created are deleted again if nothing was written there.
    """
    from filelock import FileLock, Timeout  # here, as --help does not need it

    places = (directory, *directory.parents)
    file = next((each for each in places if os.path.lexists(each) and not each.is_dir()), None)
    if file:
        raise UserError(f"{file} is not a folder: choose another, or move it away")
    created = [each for each in places if not each.exists()]
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
        with self.reading, suppress(FileNotFoundError, NotADirectoryError):
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
