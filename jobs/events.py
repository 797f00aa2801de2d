"""TensorBoard's files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcgan.checkpoints import writable
from kernels.tensorflow import event_writer
from outputs import Outputs

PREFIX = "events.out.tfevents."


class EventFile:
    """A new TensorBoard file, on the list of `outputs`."""

    def __init__(self, outputs: Outputs, folder: str, note: str, suffix: str | None = None):
        """Opens the file in a folder of `outputs`. suffix: ends its name."""
        self.folder = outputs.folder / folder
        self.folder.mkdir(parents=True, exist_ok=True)
        before = set(os.listdir(self.folder))
        with writable(self.folder):
            self.writer = event_writer(self.folder, suffix)
            self.writer.flush()
        for name in set(os.listdir(self.folder)) - before:
            if name.startswith(PREFIX):
                outputs.adopt(Path(folder, name).as_posix(), note)

    @contextmanager
    def recording(self, step: int | None = None) -> Iterator[None]:
        """Lets tf.summary record in this context; at its end all is on disk."""
        with writable(self.folder), self.writer.as_default(step):
            yield
