"""The temporary folder of paint.py: uploaded photos, the pictures that the page shows, and results to save."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from images.decoding import LARGEST_FILE
from outputs import LOCK
from utils import UserError

PREFIX = "dcgan-paint-"
ROOM = 2 * LARGEST_FILE  # bytes of all files together, and of all requests on their way


class Folder:
    """A temporary folder of this process. It is deleted at the end, or at the next start if the process was killed."""

    def __init__(self):
        delete_stale()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        self.lock = FileLock(self.path / LOCK)  # ends with the process, however that ends
        self.lock.acquire()
        self.permanent = {self.path / LOCK}
        self.arriving = 0  # bytes of all requests on their way
        atexit.register(shutil.rmtree, self.path, ignore_errors=True)  # after the threads that may still write files

    def keep(self) -> None:
        """Makes the present files permanent, because every session needs them."""
        self.permanent.update(self.path.rglob("*"))

    def holds(self, path: str) -> bool:
        """Returns whether a path leads into this folder. Raises ValueError if it contains a zero byte."""
        return Path(path).resolve().is_relative_to(self.path)

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Makes room for a request of `size` bytes: deletes the oldest files until all fit into `ROOM`.

        Raises UserError if other requests take all room.
        """
        if self.arriving + size > ROOM:
            raise UserError("Too many uploads at once. Try again in a minute.")
        self.arriving += size
        try:
            files = []
            for path in self.path.rglob("*"):
                with suppress(FileNotFoundError):  # Gradio renamed it meanwhile
                    if path not in self.permanent and path.is_file():
                        files.append((path.stat().st_mtime, path.stat().st_size, path))
            total = self.arriving + sum(file[1] for file in files)
            for _, freed, path in sorted(files):
                if total <= ROOM:
                    break
                path.unlink(missing_ok=True)
                total -= freed
            yield
        finally:
            self.arriving -= size


def delete_stale() -> None:
    """Deletes the folders of processes that were killed: nobody holds their locks any more."""
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with suppress(OSError, Timeout), FileLock(lock, timeout=0):
            shutil.rmtree(lock.parent, ignore_errors=True)
