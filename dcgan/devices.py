"""Which devices compute, in which precision, and how they share a batch.

Several devices of one machine, and the machines of a cluster that TF_CONFIG lists, each have a replica of the networks
(TensorFlow's MirroredStrategy and MultiWorkerMirroredStrategy).
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from dcgan.options import DeviceOptions
from dcgan.workers import ALONE, Worker
from kernels.layers import fill_batch
from kernels.tensorflow import processor_flags, tf
from utils import UserError

BFLOAT16 = {"avx512_bf16", "amx_bf16"}  # processor flags
LOSS_SCALE = {"mixed_float16": 1024.0}  # keeps small gradients from vanishing; bfloat16 has the range of float32
# TensorFlow raises these when a machine does not answer.
GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError, tf.errors.InternalError)


def chosen(precision: str) -> str:
    """float32 or mixed, for a precision of `DeviceOptions`. Raises ValueError for another precision.

    auto is mixed if the device computes faster in bfloat16 or float16.
    """
    if DeviceOptions(precision).precision != "auto":
        return precision
    gpus = _gpus()
    is_faster = min(gpus) >= 7 if gpus else bool(BFLOAT16 & processor_flags())
    return "mixed" if is_faster else "float32"


def dtype_policy(precision: str) -> str:
    """Keras' dtype policy for the precision float32 or mixed."""
    if precision == "float32":
        return precision
    return "mixed_float16" if min(_gpus(), default=8.0) < 8 else "mixed_bfloat16"


def _gpus() -> list[float]:
    """Compute capabilities of the NVIDIA GPUs: 7 has float16 tensor cores, 8 has bfloat16."""
    found = (tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU"))
    return [float("{}.{}".format(*details.get("compute_capability", (0, 0)))) for details in found]


def strategy_of(worker: Worker = ALONE) -> tf.distribute.Strategy:
    """The strategy for this process' devices and those of the other workers. Call it before any tensor is made.

    Waits for the other workers. Raises UserError if they do not start.
    """
    if worker.count == 1:
        several = len(tf.config.list_logical_devices("GPU")) > 1
        return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()
    try:
        worker.meet()
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (OSError, tf.errors.OpError) as error:
        reason = error.message if isinstance(error, tf.errors.OpError) else error.strerror or error
        raise UserError(
            f"cannot join the workers of TF_CONFIG ({reason}): check that each has its own address there, with a free "
            "port"
        ) from error


def compiles(strategy: tf.distribute.Strategy) -> bool:
    """Whether XLA compiles the training step: on a single GPU.

    Compiling takes half a minute and doubles the speed of a GPU, where small steps are launch-bound. XLA is many times
    slower on a CPU, and it cannot exchange gradients between devices.
    """
    return bool(tf.config.list_logical_devices("GPU")) and strategy.num_replicas_in_sync == 1


def steps_per_execution(strategy: tf.distribute.Strategy, pixels: int) -> int:
    """The number of training steps to execute at once, for this many pixels in a batch.

    Up to ten if they are compiled, because Python is slower than the GPU. Steps on large batches keep the GPU busy
    one by one, and their batches would take memory.
    """
    return max(1, min(10, 2**22 // pixels)) if compiles(strategy) else 1


def worker_of(strategy: tf.distribute.Strategy) -> Worker:
    """The worker that this process is among those of the strategy."""
    cluster = strategy.cluster_resolver
    return Worker(cluster.task_id, cluster.cluster_spec().num_tasks("worker")) if cluster else ALONE


def share(strategy: tf.distribute.Strategy, batch_size: int) -> slice:
    """The part of a batch that this process loads. Raises UserError if the replicas' parts cannot be equal."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(
            f"{replicas} devices cannot have equal shares of {batch_size} pictures a step: set --batch_size to a "
            f"multiple of {replicas} that is not larger than the number of pictures"
        )
    worker = worker_of(strategy)
    size = batch_size // worker.count
    return slice(worker.index * size, (worker.index + 1) * size)


def parts(strategy: tf.distribute.Strategy, batch: np.ndarray):
    """This process' part of a batch as a tensor, divided among its devices."""
    local = strategy.num_replicas_in_sync // worker_of(strategy).count
    size = len(batch) // local

    def part(context):
        first = context.replica_id_in_sync_group % local * size
        return tf.constant(batch[first : first + size])

    return strategy.experimental_distribute_values_from_function(part)


def joined(strategy: tf.distribute.Strategy, parts: Any):
    """The parts of this process' devices as one tensor."""
    first, *others = strategy.experimental_local_results(parts)
    return tf.concat([first, *others], 0) if others else first


def filled_parts(strategy: tf.distribute.Strategy, batch: np.ndarray):
    """`parts` of a batch of any size, padded with zeros."""
    return parts(strategy, fill_batch(batch, strategy.num_replicas_in_sync))


def replica_uniform(shape: Sequence[int], seed: Sequence):
    """Uniform in [0, 1): this replica's rows of a single device's draw."""
    context = tf.distribute.get_replica_context()
    rows, *others = shape
    whole = tf.random.stateless_uniform([rows * context.num_replicas_in_sync, *others], seed)
    return whole[context.replica_id_in_sync_group * rows :][:rows]


def agree(strategy: tf.distribute.Strategy, what: Mapping[str, Any]) -> None:
    """Waits for the other workers. Raises UserError unless all have the same values; `what` names them."""
    digests = [zlib.crc32(repr(value).encode()) for value in what.values()]
    mine = strategy.experimental_distribute_values_from_function(lambda context: tf.constant([digests], tf.int64))
    theirs = strategy.gather(mine, axis=0).numpy()
    differing = [name for name, same in zip(what, (theirs == theirs[0]).all(axis=0), strict=True) if not same]
    if differing:
        raise UserError(
            f"the workers differ in their {' and '.join(differing)}: start all of them again with the same command, on "
            "a disk that all of them share"
        )


@contextmanager
def all_there() -> Iterator[None]:
    """Raises UserError if another worker stops in this context."""
    try:
        yield
    except GONE as error:
        if Worker.of_cluster().count == 1:
            raise
        raise UserError(
            "another worker has stopped: start all of them again to resume from the last checkpoint"
        ) from error
