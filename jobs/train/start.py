"""Trains a DCGAN on a folder of pictures: opens or begins the run, logs it, saves it, and stops when asked to."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from dcgan import tensorflow1
from dcgan.devices import agree, all_there, chosen, compiles, share
from dcgan.devices import strategy as strategy_of
from dcgan.directories import checkpoints
from dcgan.options import DeviceOptions, NetworkOptions, TrainOptions
from dcgan.workers import Worker
from images.dataset import Dataset, free_memory
from images.files import find_pictures
from jobs.stopping import signals_by_default, stop_signals
from jobs.train.arguments import RunOptions
from jobs.train.log import TrainingLog, check_owner, note_owner
from jobs.train.record import Record
from jobs.train.validation import Validation
from model import DCGAN
from utils import OutputError, UserError, WrongCommand, drop_output, only_writer, say

FEW = 1000  # pictures: so few D tells apart by heart, and G learns no more (Karras et al., arXiv:2006.06676, figure 1)


def train(run: RunOptions, named: Mapping[str, Any], options: TrainOptions, devices: DeviceOptions) -> int | None:
    """Trains the model in `checkpoint_dir`, or begins one there; 128 and the signal's number if one stopped it.

    named: what of NetworkOptions was asked for; the rest is the model's. Of the workers of a cluster all train, and the
    chief writes. UserError if the pictures, the model or the folders are not as the options ask, or if training goes
    wrong.
    """
    worker = Worker.of_cluster()
    chief = worker.index == 0
    if worker.count > 1:
        say(f"{'the chief' if chief else f'worker {worker.index}'} of {worker.count} workers; waits for the others")
    with signals_by_default() if worker.count > 1 else nullcontext():
        strategy = strategy_of(worker)
    if options.local_norm and strategy.num_replicas_in_sync == 1:
        say("--local_norm has no effect on one device")
        options = replace(options, local_norm=False)
    folders = (run.checkpoint_dir, run.sample_dir, run.log_dir)
    with all_there(), only_writers(folders if chief else ()):
        resumed = bool(checkpoints(run.checkpoint_dir))
        found = Record.load(run.checkpoint_dir) if resumed else None
        record = found or Record.new()
        paths = training_pictures(run, record)
        share(strategy, min(options.batch_size, len(paths)))  # if the devices cannot share it, nothing is begun
        if chief:
            check_folders(run, record)
        same = {
            "newest checkpoint": max(checkpoints(run.checkpoint_dir), default=None),
            "options": (run.init, sorted(named.items()), options),
            "precision (name one by --precision)": chosen(devices.precision),
            "pictures": names_of(paths, run.dataset),
        }
        agree(strategy, same)
        dcgan = open_model(run, named, options.seed, resumed, precision=devices.precision, strategy=strategy)
        record = go_on(record, run, options, dcgan, paths).writing(folders, run.checkpoint_dir)
        stretch = record.stretches[-1]
        last_step = stretch.origin + options.epochs * stretch.batches
        if int(dcgan.step) >= last_step:
            say(f"{options.epochs} epochs of {stretch.batches} steps are done already; a larger --epoch goes on")
            return None
        memory = free_memory() / 2 if run.memory is None else run.memory * 1e9
        pictures = Dataset(paths, dcgan.image_size, dcgan.c_dim, memory)
        pictures[[0]]  # if none can be read, nothing is begun
        validation = Validation(run, run.validation, dcgan, record.run) if chief and run.validation else None
        if chief and not resumed:
            dcgan.start_training()
            dcgan.save(run.checkpoint_dir, run.keep)  # what cannot be written is better found now than in an hour
        if chief and record != found:
            record.save(run.checkpoint_dir)  # before the other folders hold what only it can tell from another run's
        introduce(dcgan, pictures, options)
        with stop_signals() as received:
            if chief:
                train_to(last_step, dcgan, pictures, validation, run, options, record, received)
            else:
                help_to_train(dcgan, pictures, options, stretch.origin, received)
    if received and int(dcgan.step) < last_step:
        alone, together = "the same command goes on from there", "start all workers again from the last checkpoint"
        say(f"stopped at step {int(dcgan.step)}; {alone if worker.count == 1 else together}")
        return 128 + received[0]
    if pictures.left_out:
        say(f"{pictures.left_out} of {len(pictures)} pictures could not be read and were left out")
    say(f"model: {run.checkpoint_dir}, samples: {run.sample_dir}, losses: {run.log_dir}")
    return None


def train_to(
    last_step: int,
    dcgan: DCGAN,
    pictures: Dataset,
    validation: Validation | None,
    run: RunOptions,
    options: TrainOptions,
    record: Record,
    received: list[int],
) -> None:
    """Trains to a step's number, or until a signal is received; logs, saves and measures what is due."""
    note_owner(run.log_dir, record.run, int(dcgan.step))
    log = TrainingLog(dcgan, pictures, run.sample_dir, run.log_dir, last_step, options.seed)

    def save() -> None:
        log.flush()
        dcgan.save(run.checkpoint_dir, run.keep)
        note_owner(run.log_dir, record.run, int(dcgan.step))

    intervals = run.sample_interval, run.checkpoint_interval
    try:
        if validation:
            validation.begin(log)
        for state in dcgan.train(pictures, options, record.stretches[-1].origin, intervals):
            ending = state.step == last_step or bool(received)
            sampling = ending or state.step % run.sample_interval == 0
            saving = ending or state.step % run.checkpoint_interval == 0
            log.record(state, sampling)
            if saving:
                save()
                if validation and (not received or state.step == last_step):
                    validation.measure(log)
            if ending:
                return
    except (BrokenPipeError, OutputError):
        drop_output()
        save()
        raise


def help_to_train(dcgan: DCGAN, pictures: Dataset, options: TrainOptions, origin: int, received: Sequence[int]) -> None:
    """What a worker does that is not the chief: the same steps, without a trace, until a signal is received."""
    for state in dcgan.train(pictures, options, origin):
        np.asarray(state.losses)  # waits for the device: the loop runs no further ahead than the chief's
        if received:
            return


@contextmanager
def only_writers(folders: Iterable[Path]) -> Iterator[None]:
    """`only_writer` of each of the folders, some of which may be the same."""
    with ExitStack() as stack:
        for folder in sorted({os.path.realpath(folder): folder for folder in folders}.items()):
            stack.enter_context(only_writer(folder[1]))
        yield


def training_pictures(run: RunOptions, record: Record) -> list[Path]:
    """The pictures below the dataset, but for those that runs have left there, and those to validate by.

    UserError if there are none, or none of those that the run was trained with.
    """
    if os.path.realpath(run.sample_dir) == os.path.realpath(run.dataset):
        raise UserError(f"{run.dataset} holds the pictures, samples must not lie among them: name another --sample_dir")
    if run.validation and run.dataset.resolve().is_relative_to(run.validation.resolve()):
        raise UserError(
            f"{run.dataset} lies in {run.validation}, which is not to be trained on: name another --validation"
        )
    without = [run.checkpoint_dir, run.sample_dir, run.log_dir, *record.places(run.checkpoint_dir)]
    without += [run.validation] if run.validation else []
    return find_pictures(run.dataset, without)[: run.train_size]


def names_of(paths: Iterable[Path], dataset: Path) -> list[str]:
    """The pictures' paths from their folder on."""
    return [path.relative_to(dataset).as_posix() for path in paths]


def check_folders(run: RunOptions, record: Record) -> None:
    """UserError if losses and samples of this run would take the place of another's."""
    check_owner(run.log_dir, record.run, max(checkpoints(run.checkpoint_dir), default=0))
    samples = next(run.sample_dir.glob("train_*_*.png"), None)
    if samples and run.sample_dir.resolve() not in record.places(run.checkpoint_dir):
        raise UserError(f"{samples} is a sample of another run: name another --sample_dir")


def go_on(record: Record, run: RunOptions, options: TrainOptions, dcgan: DCGAN, paths: Sequence[Path]) -> Record:
    """The record of the run that goes on with these pictures from the model; says what has changed.

    UserError if the pictures are altogether others than before.
    """
    step = int(dcgan.step)
    names = names_of(paths, run.dataset)
    if record.knows_none(names):
        raise UserError(
            f"{run.dataset} has none of the pictures that the model in {run.checkpoint_dir} is trained with: name "
            f"their folder; or start from the model by --init {run.checkpoint_dir}, into another --checkpoint_dir"
        )
    if step and not record.stretches:
        say("what the run was trained with so far is not recorded: nobody can say whether it is the same now")
    settings = asdict(options) | {"train_size": run.train_size, "precision": dcgan.precision}
    del settings["epochs"]
    record, changes = record.going_on(step, settings, names, options.batches(len(names)))
    if changes:
        say(f"changed at step {step}: {', '.join(changes)}; no single command repeats this run")
    return record


def open_model(run: RunOptions, named: Mapping[str, Any], seed: int, resumed: bool, **devices: Any) -> DCGAN:
    """The DCGAN to train, on the `devices`: that in `checkpoint_dir` if it is `resumed`, that of --init, or a new one.

    That of --init grows where larger pictures are `named`. UserError if the model is of other networks than `named`.
    """
    if tensorflow1.newest(run.checkpoint_dir):
        raise UserError(f"{run.checkpoint_dir} holds a TensorFlow 1 model: start from it by --init, into another")
    source = run.checkpoint_dir if resumed else run.init
    if source is None:
        try:
            return DCGAN(**asdict(NetworkOptions(**named)), seed=seed, **devices)
        except ValueError as error:
            raise WrongCommand(error) from error
    dcgan = DCGAN.load(source, training=resumed, **devices)
    if not resumed:
        began = f"starts from the model in {source}, trained for {int(dcgan.step)} steps"
        size = dcgan.image_size
        if named.get("image_size", 0) > size:
            dcgan = dcgan.grown(named["image_size"], seed)
            began += f", which grows from {size} to {dcgan.image_size} pixels"
    for name, value in named.items():
        if not has(dcgan.options, name, value):
            theirs, asked = (
                ",".join(map(str, v)) if isinstance(v, tuple) else v for v in (getattr(dcgan.options, name), value)
            )
            raise UserError(
                f"the model in {source} has --{name} {theirs}, not {asked}: name that, or another "
                f"--{'checkpoint_dir' if resumed else 'init'}"
            )
    if resumed:
        say(f"resumed from {source} at step {int(dcgan.step)}" + (", so --init is left aside" if run.init else ""))
    else:
        say(began)
        dcgan.step.assign(0)
    return dcgan


def has(options: NetworkOptions, name: str, value: Any) -> bool:
    """Whether the networks stay the same with this value of the option."""
    try:
        return replace(options, **{name: value}) == options
    except ValueError:
        return False


def introduce(dcgan: DCGAN, pictures: Dataset, options: TrainOptions) -> None:
    """Says what is about to be trained."""
    batches = options.batches(len(pictures))
    left_over = len(pictures) - batches * min(options.batch_size, len(pictures))
    weights = (
        f"{sum(variable.shape.num_elements() for variable in network.trainable_variables):,} in {name}"
        for name, network in (("G", dcgan.generator), ("D", dcgan.discriminator))
    )
    kind = f"{dcgan.image_size}x{dcgan.image_size} in {'grey' if dcgan.c_dim == 1 else 'colour'}"
    say(
        f"{len(pictures):,} pictures of {kind}, {batches:,} steps an epoch, {left_over} left over each time; "
        f"{' and '.join(weights)} to learn"
    )
    if compiles(dcgan.strategy):
        say("the first step takes half a minute: it is compiled for the GPU")
    if len(pictures) < FEW:
        say(
            f"warning: {len(pictures)} pictures are few: with less than about {FEW}, G learns to repeat them, and "
            "fills holes in others with noise"
        )
