"""What a training is to begin with, looked for before TensorFlow is loaded, which takes seconds."""

from dcgan.directories import check_model, checkpoints
from images.files import check_folder
from jobs.train.arguments import RunOptions


def check_run(run: RunOptions) -> None:
    """UserError if a folder or the model that the options name is not there."""
    check_folder(run.dataset)
    if run.validation:
        check_folder(run.validation)
    if run.init and not checkpoints(run.checkpoint_dir):  # or the run is resumed, and --init left aside
        check_model(run.init)
