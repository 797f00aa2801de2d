"""The command line of complete.py, besides masks, search and devices."""

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from dcgan.options import size
from images.mask_options import BLENDS
from jobs.arguments import MODEL
from utils import Options, number, option

LIMIT = 1e9  # pixels; no photo is so large


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
