"""The command lines of align.py, sample.py and simple-distributions.py."""

import os
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from dcgan.directories import ENOUGH, OWN
from dcgan.options import MARGIN
from utils import COUNT, SEED, Options, number, option, path

MODEL = (
    f"folder of the model (default: {OWN} if your own model there has learned for {ENOUGH} steps, else a bundled "
    "model: 128x128 for photos and 64x64 for aligned faces)"
)
LANDMARKS = ("innerEyesAndBottomLip", "outerEyesAndNose")


@dataclass(frozen=True)
class AlignOptions(Options):
    """Alignment."""

    raw: Path = option(MISSING, "a photo, or a folder of photos with its subfolders", "raw", check=path, metavar="RAW")
    command: str = option(MISSING, "always `align`, as in OpenFace", "command", choices=("align",))
    landmarks: str = option(
        MISSING,
        "the three points that have the same position in all aligned faces: inner corners of the eyes and lower lip, "
        "or outer corners of the eyes and nose. The bundled models need innerEyesAndBottomLip",
        "landmarks",
        choices=LANDMARKS,
    )
    out: Path = option(MISSING, "folder for the aligned faces and alignment.csv", "out", check=path, metavar="OUT")
    size: int = option(64, "side of an aligned face in pixels", check=number(int, 8, 4096))
    margin: float = option(
        0.0,
        "share of the aligned square to add on each side: 0.5 shows the whole head. The bundled models need 0",
        check=MARGIN,
    )
    predictor: Path | None = option(
        None, "dlib model of 68 landmarks (default: that of face_recognition_models)", "--dlibFacePredictor", path
    )
    skip_multi: bool = option(
        False, "skip photos with several faces; by default, their largest face is aligned", "--skipMulti"
    )
    all: bool = option(False, "align every face of a photo, into NAME_1.png, NAME_2.png, ..., the largest first")
    verbose: bool = option(False, "print the status of each photo")
    jobs: int = option(os.cpu_count(), "number of photos to align at the same time", check=number(int, 1, 256))

    def __post_init__(self):
        super().__post_init__()
        if self.all and self.skip_multi:
            raise ValueError("--all and --skipMulti exclude each other: remove one")


def term(value: Any) -> Path | tuple[Path, ...]:
    """A check for `option`: a file, or all files of a term once argparse has gathered them."""
    return path(value) if isinstance(value, str | Path) else tuple(map(path, value))


FILES = "z files (.npz) that sample.py wrote, pictures, or folders of either"
# The kinds of pictures that sample.py makes instead of a grid, by option.
OTHER_KINDS = {"single": "single", "walk": "walk", "plus": "arithmetic", "nearest": "nearest"}


@dataclass(frozen=True)
class SampleOptions(Options):
    """Samples. Draws a grid unless --single, --walk, --plus or --nearest is given."""

    z: tuple[Path, ...] | None = option(
        None, f"use these instead of random z: {FILES}. A search finds the z of a picture", check=path, nargs="+"
    )
    count: int | None = option(
        None, "number of random z (default: 64, or 8 with --walk or --nearest)", "--number", number(int, 1, 1_000_000)
    )
    seed: int = option(0, "seed of the random z", check=SEED)
    columns: int = option(8, "samples in a row of the grid", check=COUNT)
    single: bool = option(False, "instead of a grid, write each sample to its own file, in the size of the model")
    walk: int | None = option(
        None, "move from each z to the next in N steps, and write a grid and a GIF", check=number(int, 1, 1000)
    )
    plus: tuple[tuple[Path, ...], ...] | None = option(
        None,
        f"add the mean of these z: {FILES}. Repeat the option to add more",
        "--plus",
        term,
        nargs="+",
        action="append",
    )
    minus: tuple[tuple[Path, ...], ...] | None = option(
        None, "subtract the mean of such z", "--minus", term, nargs="+", action="append"
    )
    nearest: Path | None = option(
        None, "show each sample next to the most similar pictures of this folder, such as training pictures", check=path
    )
    checkpoint_dir: Path | None = option(None, MODEL, "--checkpointDir", check=path)
    out_dir: Path = option(Path("sampled"), "folder for everything that is written", "--outDir", check=path)

    def __post_init__(self):
        super().__post_init__()
        named = [f"--{name}" for name in OTHER_KINDS if getattr(self, name)]
        if len(named) > 1:
            raise ValueError(f"{named[0]} and {named[1]} exclude each other: remove one")
        if self.minus and not self.plus:
            raise ValueError("--minus needs --plus")
        if self.z and self.plus:
            raise ValueError("--z and --plus exclude each other: remove one")
        for flag, value in (("--number", self.count), ("--seed", self.seed)):
            if value and (self.z or self.plus):
                raise ValueError(f"{flag} is for random z: remove it or {'--z' if self.z else '--plus'}")
        if self.columns != SampleOptions.columns and named:
            raise ValueError(f"--columns is for a grid of samples: remove it or {named[0]}")
        if self.walk and self.count == 1:
            raise ValueError("--walk needs two z or more: choose a larger --number")

    @property
    def random_count(self) -> int:
        """The number of random z."""
        return self.count or (8 if self.walk or self.nearest else 64)

    @property
    def kind(self) -> str:
        """The kind of picture to make, which is also the name of its files."""
        return next((kind for name, kind in OTHER_KINDS.items() if getattr(self, name)), "samples")

    @property
    def terms(self) -> tuple[tuple[int, tuple[Path, ...]], ...]:
        """The sign of each term, 1 or -1, and its files."""
        return (*((1, files) for files in self.plus or ()), *((-1, files) for files in self.minus or ()))


@dataclass(frozen=True)
class DistributionsOptions(Options):
    """Plots."""

    out_dir: Path = option(Path("."), "folder for the four plots", "--outDir", check=path)
