"""The command line of evaluate.py, besides devices."""

from dataclasses import MISSING, dataclass
from pathlib import Path

from dcgan.options import seed_check
from jobs.arguments import MODEL
from utils import Options, number, option

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
