"""The temporary folder of paint.py: uploaded files, the pictures that the page shows, and results to save."""

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from images.decoding import LARGEST_FILE
from utils import LOCK

PREFIX = "dcgan-paint-"
KEPT = 3600  # seconds that a file is kept
ROOM = 2 * LARGEST_FILE  # bytes of all files together, and of all uploads on their way


class Full(Exception):
    """The uploads on their way are larger than `ROOM`."""


class Folder:
    """A temporary folder of this process. It is deleted at the end, or at the next start if the process was killed."""

    def __init__(self):
        delete_stale()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        self.lock = FileLock(self.path / LOCK)  # ends with the process, however that ends
        with suppress(NotImplementedError):  # the disk has no locks
            self.lock.acquire()
        self.permanent: set[Path] = set()
        self.arriving = 0  # bytes
        atexit.register(self.delete)  # after Gradio's threads have ended, which may still write files

    def delete(self) -> None:
        """Deletes the folder with everything in it."""
        self.lock.release()
        shutil.rmtree(self.path, ignore_errors=True)

    def holds(self, path: str) -> bool:
        """Returns whether a path leads to a regular file in this folder."""
        try:
            real = Path(os.path.realpath(path))
            return real.is_relative_to(self.path) and real.is_file()
        except (OSError, ValueError):  # the path is too long or holds a zero byte
            return False

    def keep(self) -> None:
        """Makes the present files permanent, because every session needs them."""
        self.permanent = set(self.path.glob("*/*"))

    @contextmanager
    def upload(self, size: int) -> Iterator[None]:
        """Makes room for an upload of `size` bytes.

        Afterwards the parts of an upload that was broken off are deleted. Raises Full if other uploads take all room.
        """
        if self.arriving + size > ROOM:
            raise Full
        self.arriving += size
        try:
            self.make_room()
            yield
        finally:
            self.arriving -= size
            if not self.arriving:
                self._delete_parts()

    def make_room(self) -> None:
        """Deletes files older than `KEPT`, then the oldest ones until all fit into `ROOM`."""
        files = []
        for path in self.path.glob("*/*"):
            if path not in self.permanent:
                with suppress(FileNotFoundError):  # Gradio renamed it meanwhile
                    files.append((path, path.stat()))
        files.sort(key=lambda file: file[1].st_mtime)
        total = self.arriving + sum(status.st_size for _, status in files)
        for path, status in files:
            if total <= ROOM and time.time() - status.st_mtime < KEPT:
                break
            path.unlink(missing_ok=True)
            total -= status.st_size

    def _delete_parts(self) -> None:
        """Deletes the files at the top, where Gradio writes an upload until it is complete."""
        for path in self.path.iterdir():
            if path.is_file() and path.name != LOCK:
                path.unlink(missing_ok=True)


def delete_stale() -> None:
    """Deletes the folders of processes that were killed: nobody holds their locks any more."""
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with suppress(OSError, Timeout, NotImplementedError), FileLock(lock, timeout=0):
            shutil.rmtree(lock.parent, ignore_errors=True)
