"""The options of evaluate.py, except those of devices."""

from dataclasses import MISSING, dataclass
from pathlib import Path

from completion.options import AT_ONCE
from jobs.arguments import MODEL
from jobs.evaluate.methods import FACES, METHODS, PHOTOS
from utils import COUNT, SEED, Options, option, path

PAPERS_MASKS = ("center", "pattern", "random80", "half")
PHOTO_MASKS = ("center", "eyes", "mouth", "half")  # by default; the paper's others can be named, too
HEAD_MASKS = ("hair", "head")  # of photos, beyond the aligned square
MASKS = tuple(dict.fromkeys((*PAPERS_MASKS, *PHOTO_MASKS, *HEAD_MASKS)))


@dataclass(frozen=True)
class EvaluateOptions(Options):
    """Evaluation."""

    dataset: Path = option(
        MISSING, "folder of aligned faces that the model was not trained on", "dataset", path, metavar="DIR"
    )
    checkpoint_dir: Path | None = option(None, MODEL, "--checkpointDir", check=path)
    out_dir: Path = option(Path("evaluation"), "folder for the table and pictures", "--outDir", check=path)
    faces: int | None = option(
        None, "number of pictures, spread evenly over the folder (default: 64, or 2048 with --samples)", check=COUNT
    )
    masks: tuple[str, ...] | None = option(
        None,
        f"masks to test, some of {', '.join(MASKS)} (default: {' '.join(PAPERS_MASKS)}, as in the paper, or "
        f"{' '.join(PHOTO_MASKS)} with --photo). Only with --photo: hair (the upper face with its hair) and head (half "
        "of the head)",
        choices=MASKS,
        nargs="+",
        metavar="MASK",
    )
    methods: tuple[str, ...] | None = option(
        None,
        "methods to compare, from the list above (default: all except post, which is slow)",
        choices=tuple(METHODS),
        nargs="+",
        metavar="METHOD",
    )
    batch_size: int = option(AT_ONCE, "pictures that are completed together", "--batchSize", check=COUNT)
    seed: int = option(0, "seed of the random masks", check=SEED)
    photo: bool = option(
        False,
        "DIR contains whole photos: hide a part of each face, locate the damaged faces, complete the photos, and "
        "measure in the hole",
        "--photo",
    )
    samples: bool = option(
        False,
        "measure samples of random z instead of completions. They are compared with the first half of the pictures "
        "in DIR, which may be of any kind. The second half is the baseline: it is measured like the samples",
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
                raise ValueError(f"--samples and --{name} exclude each other: remove one")
        if self.samples and self.count < 4:
            raise ValueError(f"--samples needs 4 --faces or more, not {self.faces}")
        masks = MASKS if self.photo else PAPERS_MASKS
        methods = [name for name, method in METHODS.items() if self.kind in method.kinds]
        for flag, named, known in (("masks", self.masks, masks), ("methods", self.methods, methods)):
            for name in set(named or ()) - set(known):
                raise ValueError(f"--{flag} {name} is not for {self.kind}; choose from {', '.join(known)}")

    @property
    def kind(self) -> str:
        """What is completed: FACES or PHOTOS."""
        return PHOTOS if self.photo else FACES

    @property
    def count(self) -> int:
        """Number of pictures to use."""
        return self.faces or (2048 if self.samples else 64)
