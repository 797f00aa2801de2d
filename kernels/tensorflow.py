"""Imports TensorFlow and Keras without their messages.

All other modules import `tf` and `keras` from here.
"""

import gc
import os
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from utils import UserError, environment, quiet_stderr

# Read while the libraries are imported. Without KERAS_HOME, Keras obeys a settings file in the home directory, and
# writes one if there is none.
SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
    "KERAS_BACKEND": "tensorflow",
    "KERAS_HOME": os.devnull,
}


@contextmanager
def hidden(*libraries: str) -> Iterator[None]:
    """Hides libraries that are not loaded yet. Keras loads these for plots and tables, which takes a second."""
    names = [name for name in libraries if name not in sys.modules]
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


@contextmanager
def uncollected() -> Iterator[None]:
    """Collects no garbage in this context, which saves a sixth of the import's time.

    Objects that exist at its end are never collected.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # collections would visit the libraries' half a million objects
        if enabled:
            gc.enable()


with environment(**SETTINGS), quiet_stderr(), hidden("matplotlib", "pandas"), uncollected():
    import keras  # noqa: F401 - for other modules
    import tensorflow as tf

    GPUS = tf.config.list_physical_devices("GPU")  # in here because CUDA's libraries print messages, too
    with suppress(RuntimeError, ValueError):  # the program uses its GPUs already
        for gpu in GPUS:
            tf.config.experimental.set_memory_growth(gpu, True)  # leaves memory to other processes

tf.get_logger().setLevel("ERROR")

DAMAGE = (tf.errors.OpError, ValueError, LookupError)  # TensorFlow raises these on damaged files
PATTERN = frozenset("*?[]\\") - {os.sep}  # TensorFlow expands these in file names


def processor_flags() -> set[str]:
    """The processor's instruction sets, in Linux' names; empty on other systems."""
    with suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:  # stops at the first core, of hundreds perhaps
            if line.startswith("flags"):
                return set(line.split())
    return set()


@contextmanager
def enough_memory(batch_size: int, image_size: int) -> Iterator[None]:
    """Raises UserError if the device runs out of memory in here."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise UserError(
            f"out of memory with batches of {batch_size} pictures of {image_size}x{image_size}: use a smaller batch"
        ) from error


@contextmanager
def plain_path(path: Path) -> Iterator[str]:
    """Yields a name for a folder or prefix that TensorFlow takes literally.

    TensorFlow reads `ck[1]` as a pattern, and it rejects names that are not UTF-8. Such a path gets a temporary link.
    """
    whole = os.path.abspath(path)
    if not PATTERN & set(whole) and whole.isprintable():
        yield whole
        return
    files = [path] if path.is_dir() else [file for file in path.parent.iterdir() if file.name.startswith(path.name)]
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            Path(folder, "plain" + file.name[len(path.name) :]).symlink_to(file.absolute())
        yield os.path.join(folder, "plain")


def event_writer(directory: Path, suffix: str | None = None) -> tf.summary.SummaryWriter:
    """A writer of TensorBoard files in a directory; `suffix` ends their names."""
    while_in_use = ExitStack()
    writer = tf.summary.create_file_writer(while_in_use.enter_context(plain_path(directory)), filename_suffix=suffix)
    weakref.finalize(writer, while_in_use.close)
    return writer
