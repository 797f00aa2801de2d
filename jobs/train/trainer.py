"""Trains the model of a run; logs, samples, saves and validates it when due."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np

from dcgan.devices import agree, chosen, compiles, share, worker_of
from dcgan.options import DeviceOptions, TrainOptions
from images.dataset import Dataset
from jobs.train.log import TrainingLog
from jobs.train.networks import model_of
from jobs.train.run import Run
from jobs.train.samples import Samples
from jobs.train.validation import Validation
from kernels.tensorflow import tf
from model import DCGAN, TrainStep
from utils import drop_output, say

FEW = 1000  # with fewer pictures D knows them by heart and G stops learning (Karras et al., arXiv:2006.06676, figure 1)


class Hook(NamedTuple):
    """Something to do every so many steps, and after the last one."""

    every: int
    run: Callable[[TrainStep], Any]
    when_stopped: bool = True  # whether to do it also after the step at which a signal stops the run


class Trainer:
    """Trains a run's model up to its last step.

    All workers of a cluster train; the chief alone logs, samples, saves and validates.
    """

    def __init__(
        self,
        run: Run,
        networks: Mapping[str, Any],
        options: TrainOptions,
        devices: DeviceOptions,
        strategy: tf.distribute.Strategy,
    ):
        """Loads or builds the model. networks: the network options given by the user. Writes nothing yet.

        Raises UserError if the run cannot continue with these pictures and options, or differs between workers.
        """
        self.run, self.options, self.is_chief = run, options, worker_of(strategy).index == 0
        if options.local_norm and strategy.num_replicas_in_sync == 1:
            say("--local_norm has no effect on one device")
            self.options = options = replace(options, local_norm=False)
        batch_size = min(options.batch_size, len(run.paths))
        share(strategy, batch_size)  # raises UserError before anything is written
        same = {
            "newest checkpoint": run.newest,
            "options": (run.options.init, sorted(networks.items()), options),
            "precision (set --precision)": chosen(devices.precision),
            "pictures": run.names,
        }
        agree(strategy, same)
        self.dcgan = model_of(run, networks, options.seed, precision=devices.precision, strategy=strategy)
        self.batches = options.batches(len(run.paths))
        settings = asdict(options) | {"precision": self.dcgan.precision}
        del settings["epochs"]
        self.origin = run.continue_at(int(self.dcgan.step), settings, self.batches)
        self.last = self.origin + options.epochs * self.batches

    @property
    def is_done(self) -> bool:
        """Whether the last step is done."""
        return int(self.dcgan.step) >= self.last

    def fit(self, stop: Sequence[int]) -> None:
        """Trains to the last step, or until `stop` holds a signal."""
        memory = self.run.options.memory * 1e9
        self.pictures = Dataset(self.run.paths, self.dcgan.image_size, self.dcgan.c_dim, memory)
        self.pictures[[0]]  # raises UserError if none can be read, before anything is written
        # np.asarray waits for the device, so that a worker does not run ahead of the chief.
        hooks = self._begin() if self.is_chief else [Hook(1, lambda state: np.asarray(state.losses))]
        intervals = self.run.options.sample_interval, self.run.options.checkpoint_interval
        try:
            for state in self.dcgan.train(self.pictures, self.options, self.origin, intervals):
                stopping = bool(stop)
                for hook in hooks:
                    if state.step == self.last or (hook.when_stopped if stopping else state.step % hook.every == 0):
                        hook.run(state)
                if stopping:
                    return
        except BrokenPipeError:
            drop_output()
            if self.is_chief:
                self._save()
            raise

    def _begin(self) -> list[Hook]:
        """Writes the run's first files and returns the hooks of its training."""
        run, options = self.run, self.run.options
        validation = Validation(run, options.validation, self.dcgan) if options.validation else None
        if not run.resumed:
            self.dcgan.start_training()
            self.dcgan.save(options.checkpoint_dir, options.keep)  # an error is better now than in an hour
        run.save_record()
        introduce(self.dcgan, self.pictures, self.options)
        self.log = TrainingLog(self.dcgan, run.logs, run.record.run, self.last)
        samples = Samples(self.dcgan, self.pictures, run.samples, self.log, self.options.seed)
        hooks = [
            Hook(1, self.log.record),
            Hook(options.sample_interval, samples.write),
            Hook(options.checkpoint_interval, self._save),
        ]
        if validation:
            validation.begin(self.log)
            hooks.append(Hook(options.checkpoint_interval, lambda state: validation.measure(), when_stopped=False))
        return [*hooks, Hook(1, lambda state: self.log.say())]

    def _save(self, state: TrainStep | None = None) -> None:
        self.log.flush()
        self.dcgan.save(self.run.options.checkpoint_dir, self.run.options.keep)


def introduce(dcgan: DCGAN, pictures: Dataset, options: TrainOptions) -> None:
    """Reports what will be trained."""
    batches = options.batches(len(pictures))
    left_over = len(pictures) - batches * min(options.batch_size, len(pictures))
    weights = (
        f"{sum(variable.shape.num_elements() for variable in network.trainable_variables):,} in {name}"
        for name, network in (("G", dcgan.generator), ("D", dcgan.discriminator))
    )
    kind = f"{dcgan.image_size}x{dcgan.image_size} in {'gray' if dcgan.c_dim == 1 else 'color'}"
    say(
        f"{len(pictures):,} pictures of {kind}; steps in an epoch: {batches:,}, unused pictures in an epoch: "
        f"{left_over}; trainable weights: {', '.join(weights)}"
    )
    if compiles(dcgan.strategy):
        say("the first step takes half a minute, because it is compiled for the GPU")
    if len(pictures) < FEW:
        say(
            f"warning: {len(pictures)} pictures are few: G would memorize them, and fill holes in others with noise. "
            "Instead, fine-tune a model for about 200 steps: add --init checkpoints/pretrained --learning_rate 1e-4 "
            "(see docs/training.md)"
        )
