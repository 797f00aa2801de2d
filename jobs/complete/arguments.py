"""The options of complete.py, except those of photos, masks, search and devices."""

from dataclasses import MISSING, dataclass
from pathlib import Path

from completion.options import AT_ONCE
from dcgan.options import size
from images.mask_options import BLENDS
from jobs.arguments import MODEL
from utils import COUNT, Options, number, option, path

FORMATS = ("png", "jpg", "webp")  # of results; the first is the default
MOST_TRIES = 16


@dataclass(frozen=True)
class CompleteOptions(Options):
    """Pictures and files."""

    imgs: tuple[Path, ...] = option(
        MISSING, "pictures of any size, or folders of pictures", "imgs", check=path, nargs="+", metavar="IMG"
    )
    checkpoint_dir: Path | None = option(None, MODEL, "--checkpointDir", check=path)
    img_size: int | None = option(None, "stop with an error if the model has another size", "--imgSize", check=size)
    out_dir: Path = option(Path("completions"), "folder for everything that is written", "--outDir", check=path)
    tries: int = option(
        1,
        "completions of each picture: the best guess, and N - 1 livelier alternatives, which start at random z",
        check=number(int, 1, MOST_TRIES),
    )
    format: str = option(
        FORMATS[0], "format of the results. png and webp keep all known pixels; jpg changes them", choices=FORMATS
    )
    quality: int | None = option(
        None,
        "quality of jpg and webp, 1 to 100 (default: jpg keeps the quality of a JPEG picture; webp is lossless)",
        check=number(int, 1, 100),
    )
    batch_size: int = option(AT_ONCE, "completions that are searched together", "--batchSize", check=COUNT)
    all_frames: bool = option(False, "write frames, logs and a GIF for all batches, not only the first", "--allFrames")
    blend: str = option(
        BLENDS[0],
        "how G(z) is fitted into the hole. tension: with a smooth correction of its colors (a spline in tension); "
        "poisson: the blending of the paper; none: G(z) is copied",
        choices=BLENDS,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.quality and self.format == "png":
            raise ValueError("--quality is for jpg and webp: add --format jpg")
