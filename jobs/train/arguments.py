"""The command line of train-dcgan.py, besides networks, training and devices."""

from dataclasses import MISSING, dataclass
from pathlib import Path

from dcgan.options import KEEP
from utils import Options, number, option


@dataclass(frozen=True)
class RunOptions(Options):
    """Pictures and files."""

    dataset: Path = option(MISSING, "folder of pictures, with its subfolders", check=Path, metavar="DIR")
    train_size: int | None = option(None, "use only the first N pictures", check=number(int, 1))
    init: Path | None = option(
        None,
        "start from the model in DIR instead of random weights; with a larger --image_size than its own it gets layers "
        "for that",
        check=Path,
        metavar="DIR",
    )
    checkpoint_dir: Path = option(Path("checkpoints"), "where the model is kept", check=Path, metavar="DIR")
    sample_dir: Path = option(Path("samples"), "where samples are written", check=Path, metavar="DIR")
    log_dir: Path = option(Path("logs"), "where losses are written, for TensorBoard too", check=Path, metavar="DIR")
    sample_interval: int = option(100, "steps between two samples", check=number(int, 1))
    checkpoint_interval: int = option(500, "steps between two checkpoints", check=number(int, 1))
    keep: int = option(KEEP, "how many checkpoints stay", check=number(int, 1))
    validation: Path | None = option(
        None,
        "a folder of pictures that are not trained on: at each checkpoint, measure how near samples come to them, and "
        "keep the nearest model in `best` beside the checkpoints",
        check=Path,
        metavar="DIR",
    )
    memory: float | None = option(
        None,
        "for decoded pictures; more than fit are decoded each time anew (default: half of what is free)",
        check=number(float, 0),
        metavar="GB",
    )
