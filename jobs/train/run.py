"""A training run on disk. Nothing here needs TensorFlow, so that errors come before it is loaded."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dcgan.directories import check_model, checkpoints, learned, newest_of_tensorflow1
from images.files import check_folder, find_pictures
from jobs.train.arguments import RunOptions
from jobs.train.record import Record
from outputs import Outputs, only_writer
from utils import UserError, say

SAMPLE = re.compile(r"train_\d{2,}_\d{4,}\.png")
LOSS_FILE, BEST = "losses.csv", "best"


def check_options(options: RunOptions) -> None:
    """Raises UserError if a folder or model in the options does not exist."""
    check_folder(options.dataset)
    if options.validation:
        check_folder(options.validation)
    if options.init and not checkpoints(options.checkpoint_dir):  # a resumed run ignores --init
        check_model(options.init)


class Run:
    """A run's folders, pictures and record."""

    def __init__(self, options: RunOptions):
        """Raises UserError if the pictures or the folders do not fit the run. Use `open`, which locks the folders."""
        self.options = options
        directory = options.checkpoint_dir
        if newest_of_tensorflow1(directory):
            raise UserError(f"{directory} holds a TensorFlow 1 model: use --init {directory} and another directory")
        self.newest = max(checkpoints(directory), default=None)
        self.resumed = self.newest is not None
        self.saved = Record.load(directory) if self.resumed else None
        self.record = self.saved or Record.new(learned(options.init) or 0 if options.init else 0)
        self.checkpoints = Outputs(directory, "--checkpoint_dir")
        self.samples = Outputs(options.sample_dir, "--sample_dir")
        self.logs = Outputs(options.log_dir, "--log_dir")
        self.paths = self._find_pictures()
        self.names = [path.relative_to(options.dataset).as_posix() for path in self.paths]

    @classmethod
    @contextmanager
    def open(cls, options: RunOptions, writes: bool = True) -> Iterator["Run"]:
        """Opens the run in `checkpoint_dir`, or a new one. If it `writes`, other processes are kept out meanwhile."""
        folders = (options.checkpoint_dir, options.sample_dir, options.log_dir) if writes else ()
        with ExitStack() as locks:
            for _, folder in sorted({os.path.realpath(folder): folder for folder in folders}.items()):
                locks.enter_context(only_writer(folder))
            run = cls(options)
            if writes:
                run._check_outputs()
            yield run

    def _find_pictures(self) -> list[Path]:
        """The pictures to train on, without samples and pictures for validation."""
        options = self.options
        if os.path.realpath(options.sample_dir) == os.path.realpath(options.dataset):
            raise UserError(f"samples must not be written into {options.dataset}: choose another --sample_dir")
        without = [options.checkpoint_dir, options.sample_dir, options.log_dir]
        if options.validation:
            if options.dataset.resolve().is_relative_to(options.validation.resolve()):
                raise UserError(
                    f"{options.dataset} lies in {options.validation}, so the model would be validated with pictures it "
                    "is trained on: choose another --validation"
                )
            without.append(options.validation)
        return find_pictures(options.dataset, without)[: options.train_size]

    def _check_outputs(self) -> None:
        """Raises UserError if another run's or the user's files would be replaced."""
        self.checkpoints.check("config.json", "checkpoint", "run.json")
        self.logs.check(LOSS_FILE)
        run = (self.logs.note(LOSS_FILE) or self.record.run).split()[0]  # earlier versions noted a step after it
        if run != self.record.run:
            raise UserError(f"{self.logs.folder} holds the losses of another run: choose another --log_dir")
        for name in sorted(set(os.listdir(self.samples.folder)) - set(self.samples.names(self.record.run))):
            if SAMPLE.fullmatch(name):
                self.samples.check(name)
                raise UserError(f"{self.samples.folder / name} is a sample of another run: choose another --sample_dir")

    def continue_at(self, step: int, settings: dict[str, Any], batches: int) -> int:
        """Records how the run continues after `step`, and reports changes. batches: steps in an epoch.

        Returns the step that epochs are counted from. UserError if none of the pictures was in the run before.
        """
        directory = self.options.checkpoint_dir
        if self.record.knows_none(self.names):
            raise UserError(
                f"{self.options.dataset} has none of the pictures that the model in {directory} was trained with: give "
                f"their folder, or start a new run with --init {directory} and another --checkpoint_dir"
            )
        settings = settings | {"train_size": self.options.train_size}
        self.record, changes = self.record.continued(step, settings, self.names, batches)
        if changes:
            say(f"changed at step {step}: {', '.join(changes)}; a single command cannot reproduce this run any more")
        return self.record.origin

    def save_record(self) -> None:
        """Writes run.json if it has changed. Call it before the logs and samples are written, which belong to it."""
        if self.record != self.saved:
            self.record.save(self.checkpoints)
