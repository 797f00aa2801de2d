"""The options of complete.py, besides photos, masks, search and devices."""

from dataclasses import MISSING, dataclass
from pathlib import Path

from dcgan.options import size
from images.mask_options import BLENDS
from jobs.arguments import MODEL
from utils import COUNT, Options, number, option

MOST_TRIES = 16


@dataclass(frozen=True)
class CompleteOptions(Options):
    """Pictures and files."""

    imgs: tuple[Path, ...] = option(
        MISSING, "pictures of any size, or folders of pictures", "imgs", check=Path, nargs="+", metavar="IMG"
    )
    checkpoint_dir: Path | None = option(None, MODEL, "--checkpointDir", check=Path)
    img_size: int | None = option(None, "stop with an error if the model has another size", "--imgSize", check=size)
    out_dir: Path = option(Path("completions"), "folder for everything that is written", "--outDir", check=Path)
    tries: int = option(
        1,
        "completions of each picture: the best guess, and N - 1 livelier alternatives, each from a random start of its "
        "own",
        check=number(int, 1, MOST_TRIES),
    )
    batch_size: int = option(64, "completions that are searched together", "--batchSize", check=COUNT)
    all_frames: bool = option(False, "write frames, logs and a GIF for all batches, not only the first", "--allFrames")
    blend: str = option(
        BLENDS[0],
        "how G(z) is fitted into the hole. tension: with a smooth correction of its colors (a spline in tension); "
        "poisson: the blending of the paper; none: G(z) is copied",
        choices=BLENDS,
    )
