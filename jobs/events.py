"""TensorBoard's files: opens them, and cuts them when a run resumes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcgan.checkpoints import writable
from kernels.tensorflow import event_writer, plain_path, tf
from utils import Outputs, UserError

PREFIX = "events.out.tfevents."
RECORD_FRAME = 16  # bytes that the TFRecord format adds to a record: its length and two checksums


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


def cut_events(outputs: Outputs, run: str, step: int) -> None:
    """Cuts the run's files after `step`, as later steps are trained again. Leaves damaged files alone.

    run: begins the notes of its files. UserError if a file cannot be read or written.
    """
    for name in outputs.names(run):
        path = outputs.folder / name
        if not name.startswith(PREFIX) or not outputs.owns(name):
            continue
        try:
            length = length_up_to(path, step)
            if length < path.stat().st_size:
                os.truncate(path, length)
                outputs.adopt(name, run)
        except tf.errors.DataLossError:
            continue
        except (tf.errors.OpError, OSError) as error:
            reason = error.message if isinstance(error, tf.errors.OpError) else error.strerror
            raise UserError(f"cannot cut {path} after step {step} ({reason}): change its permissions") from error


def length_up_to(path: Path, step: int) -> int:
    """Returns the bytes of an event file up to a step. DataLossError if it is damaged."""
    length = 0
    try:
        with plain_path(path) as plain:
            for record in tf.data.TFRecordDataset(plain).as_numpy_iterator():
                if tf.compat.v1.Event.FromString(record).step > step:
                    break
                length += RECORD_FRAME + len(record)
    except tf.errors.DataLossError as error:
        if "truncated" not in error.message:  # its last record, as the process was killed while writing it
            raise
    return length
