"""What train-dcgan.py does: it opens a run, trains it, and reports how it ended."""

from collections.abc import Mapping
from typing import Any

from dcgan.options import DeviceOptions, TrainOptions
from dcgan.workers import Worker
from jobs.stopping import signals_by_default, stop_signals
from jobs.train.arguments import RunOptions
from jobs.train.run import Run, check_options
from utils import say


def train(files: RunOptions, networks: Mapping[str, Any], options: TrainOptions, devices: DeviceOptions) -> int | None:
    """Trains the model in `checkpoint_dir`, or a new one. Returns 128 plus the signal's number if one stopped it.

    networks: the network options given by the user; the model knows the others. Raises UserError if the pictures, the
    model or the folders do not fit the options, or if training goes wrong.
    """
    check_options(files)
    worker = Worker.of_cluster()
    from dcgan.devices import all_there, strategy_of  # here, because TensorFlow takes seconds to load
    from jobs.train.trainer import Trainer

    if worker.count > 1:
        role = f"worker {worker.index}" if worker.index else "the chief"
        say(f"{role} of {worker.count} workers; waits for the others")
    with signals_by_default(worker.count > 1):
        together = strategy_of(worker)
    with all_there(), Run.open(files, writes=worker.index == 0) as run:
        with signals_by_default(worker.count > 1):
            trainer = Trainer(run, networks, options, devices, together)
        if trainer.is_done:
            say(f"--epoch {options.epochs} is reached already: choose a larger --epoch to continue")
            return None
        with stop_signals() as stop:
            trainer.fit(stop)
    if stop and not trainer.is_done:
        again = "the same command resumes there" if worker.count == 1 else "start all workers again to resume"
        say(f"stopped at step {int(trainer.dcgan.step)}; {again}")
        return 128 + stop[0]
    skipped, transparent = trainer.pictures.left_out, int(trainer.pictures.transparent.sum())
    if skipped:
        say(f"{skipped} of {len(run.paths)} pictures could not be read and were left out")
    if transparent:
        say(f"{transparent} of {len(run.paths)} pictures are partly transparent and were composed over gray")
    say(f"model: {files.checkpoint_dir}, samples: {files.sample_dir}, losses: {files.log_dir}")
    return None
