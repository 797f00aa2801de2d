"""What computes, in which floats, and who has which share of a batch.

One device computes as it is. Several of one machine, and the machines of a cluster that TF_CONFIG names, each have a
replica of the networks (TensorFlow's MirroredStrategy and MultiWorkerMirroredStrategy).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from dcgan.workers import Worker
from ops import tf
from utils import UserError

BFLOAT16 = {"avx512_bf16", "amx_bf16"}  # flags of the processors that have instructions for it
LOSS_SCALE = {"mixed_float16": 1024.0}  # by Keras' dtype policy; bfloat16 loses no gradient, its range is float32's
# What TensorFlow raises when a machine does not answer.
GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError, tf.errors.InternalError)


def chosen(precision: str) -> str:
    """The precision of `DeviceOptions`, with "auto" decided: float32 or mixed."""
    if precision != "auto":
        return precision
    return "mixed" if has_short_floats() else "float32"


def dtype_policy(precision: str) -> str:
    """Keras' dtype policy for float32 or mixed."""
    if precision == "float32":
        return precision
    return "mixed_float16" if min(_gpus(), default=8.0) < 8 else "mixed_bfloat16"


def has_short_floats() -> bool:
    """Whether the device computes faster in bfloat16, or in float16."""
    gpus = _gpus()
    return min(gpus) >= 7 if gpus else bool(BFLOAT16 & _processor_flags())


def _gpus() -> list[float]:
    """The compute capability of each NVIDIA GPU: from 7 on with tensor cores for float16, from 8 on for bfloat16."""
    found = (tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU"))
    return [float("{}.{}".format(*details.get("compute_capability", (0, 0)))) for details in found]


def _processor_flags() -> set[str]:
    """What the processor can do, in Linux' words; TensorFlow does not tell. Empty on another system."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return set(line.split())
    return set()


def strategy(worker: Worker) -> tf.distribute.Strategy:
    """How this process' devices, and those of the other workers, train together. Has to come before any tensor."""
    if worker.count > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def share(among: tf.distribute.Strategy, batch_size: int) -> slice:
    """Which pictures of a batch this process loads; UserError if replicas cannot have equally many."""
    replicas = among.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(f"{batch_size} pictures a step cannot be shared by {replicas} devices: name a multiple of that")
    worker = Worker.of_cluster()
    size = batch_size // worker.count
    return slice(worker.index * size, (worker.index + 1) * size)


def parts(among: tf.distribute.Strategy, batch: np.ndarray):
    """This process' share of a batch as a tensor, or a part of it on each of its devices."""
    local = among.num_replicas_in_sync // Worker.of_cluster().count
    size = len(batch) // local

    def part(context):
        first = context.replica_id_in_sync_group % local * size
        return tf.constant(batch[first : first + size])

    return among.experimental_distribute_values_from_function(part)


def replica_uniform(shape: Sequence[int], seed: Sequence):
    """Uniform in [0, 1): this replica's rows of what one device would draw for the whole batch."""
    context = tf.distribute.get_replica_context()
    rows, *others = shape
    whole = tf.random.stateless_uniform([rows * context.num_replicas_in_sync, *others], seed)
    return whole[context.replica_id_in_sync_group * rows :][:rows]


def agree(among: tf.distribute.Strategy, numbers: Sequence[int], what: str) -> None:
    """Waits for the other workers; UserError unless all have the same numbers, which tell of `what`."""
    mine = among.experimental_distribute_values_from_function(lambda context: tf.constant([numbers], tf.int64))
    theirs = among.gather(mine, axis=0).numpy()
    if (theirs != theirs[0]).any():
        raise UserError(f"the workers have not the same {what}: name the same to each, on a disk that all of them see")


@contextmanager
def all_there() -> Iterator[None]:
    """UserError if another worker has gone in here."""
    try:
        yield
    except GONE as error:
        if Worker.of_cluster().count == 1:
            raise
        raise UserError(
            "another worker has gone: start all of them again, and they go on from the last checkpoint"
        ) from error
