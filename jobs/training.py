"""Trains a DCGAN on a folder of pictures: opens or begins the run, logs it, saves it, and stops when asked to."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from dcgan import checkpoints, tensorflow1
from dcgan.options import NetworkOptions, TrainOptions
from jobs.command import drop_output
from jobs.options import RunOptions
from jobs.training_log import TrainingLog
from model import DCGAN
from pictures.dataset import Dataset, free_memory
from pictures.files import find_pictures
from utils import UserError, only_writer


def train(run: RunOptions, networks: NetworkOptions, options: TrainOptions) -> int | None:
    """Trains the model in `checkpoint_dir`, or begins one there; 128 and the signal's number if one stopped it.

    UserError if the pictures, the model or the folders are not as the options ask, or if training goes wrong.
    """
    paths = find_pictures(run.dataset)[: run.train_size]
    with only_writer(run.checkpoint_dir):
        dcgan, resumed = open_model(run, networks, options.seed)
        memory = free_memory() / 2 if run.memory is None else run.memory * 1e9
        pictures = Dataset(paths, networks.image_size, networks.c_dim, memory)
        steps = options.epochs * (len(pictures) // min(options.batch_size, len(pictures)))
        if int(dcgan.step) >= steps:
            done = f"{options.epochs} epochs of {steps // options.epochs} steps are done already"
            print(f"{done}; a larger --epoch goes on")
            return None
        pictures[[0]]  # if none can be read, nothing is begun
        for folder in (run.sample_dir, run.log_dir):
            folder.mkdir(parents=True, exist_ok=True)
        if not resumed:
            dcgan.start_training()
            dcgan.settle_statistics()
            dcgan.save(run.checkpoint_dir, run.keep)  # what cannot be written is better found now than in an hour
        with stop_signals() as received:
            train_to(dcgan, pictures, run, options, steps, received)
    if received:
        print(f"stopped at step {int(dcgan.step)}; the same command goes on from there")
        return 128 + received[0]
    if pictures.left_out:
        print(f"{pictures.left_out} of {len(pictures)} pictures could not be read and were left out")
    print(f"model: {run.checkpoint_dir}, samples: {run.sample_dir}, losses: {run.log_dir}")
    return None


def train_to(
    dcgan: DCGAN, pictures: Dataset, run: RunOptions, options: TrainOptions, steps: int, received: list[int]
) -> None:
    """Trains to step number `steps`, or until a signal is received; logs and saves what is due."""
    log = TrainingLog(dcgan, pictures, run.sample_dir, run.log_dir, steps, options.seed)

    def save() -> None:
        log.flush()
        dcgan.save(run.checkpoint_dir, run.keep)

    try:
        for state in dcgan.train(pictures, options):
            sampling = state.step == steps or state.step % run.sample_interval == 0
            saving = state.step == steps or state.step % run.checkpoint_interval == 0
            if sampling:
                dcgan.settle_statistics()
            log.record(state, sampling)
            stopping = bool(received)
            if saving or stopping:
                dcgan.settle_statistics()
                save()
            if stopping:
                return
    except BrokenPipeError:
        drop_output()
        dcgan.settle_statistics()
        save()
        raise


def open_model(run: RunOptions, networks: NetworkOptions, seed: int) -> tuple[DCGAN, bool]:
    """The DCGAN to train, and whether it goes on from a run in `checkpoint_dir`.

    UserError if the model is of other networks, or if a new run would write over what another wrote.
    """
    wanted = asdict(networks)
    if tensorflow1.newest(run.checkpoint_dir):
        raise UserError(f"{run.checkpoint_dir} holds a TensorFlow 1 model: start from it by --init, into another")
    resumed = bool(checkpoints.checkpoints(run.checkpoint_dir))
    source = run.checkpoint_dir if resumed else run.init
    dcgan = DCGAN.load(source, training=resumed) if source else DCGAN(**wanted, seed=seed)
    for name, value in asdict(dcgan.options).items():
        if value != wanted[name]:
            has, asked = (",".join(map(str, v)) if isinstance(v, tuple) else v for v in (value, wanted[name]))
            raise UserError(
                f"the model in {source} has --{name} {has}, not {asked}: name that, or another "
                f"--{'checkpoint_dir' if resumed else 'init'}"
            )
    if resumed:
        print(f"resumed from {source} at step {int(dcgan.step)}" + (", so --init is left aside" if run.init else ""))
    else:
        losses = run.log_dir / "losses.csv"
        if losses.exists():
            raise UserError(f"{losses} is another run's, and {run.checkpoint_dir} is not: name another --log_dir")
        dcgan.step.assign(0)
    return dcgan, resumed


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Takes note of Ctrl-C and SIGTERM in a list, instead of obeying them at once."""
    received: list[int] = []
    earlier = {s: signal.signal(s, lambda number, _: received.append(number)) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
