"""The options of train-dcgan.py for pictures and files."""

from dataclasses import MISSING, dataclass
from pathlib import Path

from dcgan.options import KEEP
from utils import COUNT, NOT_NEGATIVE, Options, option, path


@dataclass(frozen=True)
class RunOptions(Options):
    """Pictures and files."""

    dataset: Path = option(MISSING, "folder of pictures to train on, with its subfolders", check=path)
    train_size: int | None = option(None, "use only the first N pictures", check=COUNT)
    init: Path | None = option(
        None,
        "start from the model in the folder DIR instead of random weights; a larger --image_size adds layers to it",
        check=path,
        metavar="DIR",
    )
    checkpoint_dir: Path = option(Path("checkpoints"), "folder for the model", check=path)
    sample_dir: Path = option(Path("samples"), "folder for samples", check=path)
    log_dir: Path = option(Path("logs"), "folder for losses and TensorBoard files", check=path)
    sample_interval: int = option(100, "steps between two grids of samples", check=COUNT)
    checkpoint_interval: int = option(500, "steps between two checkpoints", check=COUNT)
    keep: int = option(KEEP, "number of checkpoints to keep", check=COUNT)
    validation: Path | None = option(
        None,
        "folder of pictures that the model is not trained on. At each checkpoint, samples are compared with them, and "
        "the best model is kept in the folder `best` of --checkpoint_dir",
        check=path,
    )
    memory: float = option(
        3.0,
        "memory for decoded pictures. If they do not fit, they are decoded again in each epoch",
        check=NOT_NEGATIVE,
        metavar="GB",
    )
