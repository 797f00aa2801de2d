"""The options of train-dcgan.py for pictures and files."""

from dataclasses import MISSING, dataclass
from pathlib import Path

from dcgan.options import KEEP
from utils import Options, number, option


@dataclass(frozen=True)
class RunOptions(Options):
    """Pictures and files."""

    dataset: Path = option(MISSING, "folder of pictures to train on, with its subfolders", check=Path, metavar="DIR")
    train_size: int | None = option(None, "use only the first N pictures", check=number(int, 1))
    init: Path | None = option(
        None,
        "start from the model in DIR instead of random weights; a larger --image_size adds layers to it",
        check=Path,
        metavar="DIR",
    )
    checkpoint_dir: Path = option(Path("checkpoints"), "where the model is saved", check=Path, metavar="DIR")
    sample_dir: Path = option(Path("samples"), "where samples are written", check=Path, metavar="DIR")
    log_dir: Path = option(Path("logs"), "where losses are written, also for TensorBoard", check=Path, metavar="DIR")
    sample_interval: int = option(100, "steps between two samples", check=number(int, 1))
    checkpoint_interval: int = option(500, "steps between two checkpoints", check=number(int, 1))
    keep: int = option(KEEP, "number of checkpoints to keep", check=number(int, 1))
    validation: Path | None = option(
        None,
        "folder of pictures that are not trained on: at each checkpoint, compare samples with them, and keep the best "
        "model in the folder `best` beside the checkpoints",
        check=Path,
        metavar="DIR",
    )
    memory: float | None = option(
        None,
        "memory for decoded pictures; if they do not fit, they are decoded again in each epoch (default: half of the "
        "free memory)",
        check=number(float, 0),
        metavar="GB",
    )
