"""The options of photos."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils import Options, number, option, path

AT_ONCE = 64  # pictures that are searched together, by default
LIMIT = 1e9  # pixels, more than a photo can have


def points(value: Any) -> tuple[tuple[float, float], ...]:
    """A check for `option`: three points (x, y) for each face; as text, "x,y x,y x,y"."""
    parts = [point.split(",") for point in value.split()] if isinstance(value, str) else value
    try:
        found = tuple((float(x), float(y)) for x, y in parts)
    except (TypeError, ValueError):
        found = ()
    if not found or len(found) % 3 or not all(abs(number) < LIMIT for point in found for number in point):
        raise ValueError(f'{value} are not three points for each face: write "x,y x,y x,y"')
    return found


@dataclass(frozen=True)
class PhotoOptions(Options):
    """Photos. Their faces are located, aligned, completed and put back into the photo."""

    photo: bool = option(
        False,
        "all IMG are whole photos: find the faces that touch the hole, and complete them. By default, a picture is a "
        "photo if its size is not that of the model, and it shows faces, but none that fills it. The model must have "
        "been trained on faces aligned with innerEyesAndBottomLip, like the bundled models",
        "--photo",
    )
    aligned: bool = option(
        False,
        "all IMG are aligned faces or other pictures for the model: those of another size are cropped to their "
        "central square and resized",
        "--aligned",
    )
    points: tuple[tuple[float, float], ...] | None = option(
        None,
        "photos: three points of a face that was not found, in pixels from the upper left corner of the photo: the "
        "inner corners of both eyes, and the middle of the lower lip's lower edge. Add three points for each further "
        "face",
        "--points",
        check=points,
        metavar='"X,Y X,Y X,Y"',
    )
    alignment: Path | None = option(
        None,
        "photos: positions of the faces, from the alignment.csv that align.py wrote for undamaged versions of "
        "the photos",
        "--alignment",
        check=path,
    )
    grain: float = option(
        1, "photos: noise added in the hole; 1: as much as around the hole, 0: none", check=number(float, 0, 10)
    )

    def __post_init__(self):
        super().__post_init__()
        for flag, value in (("--photo", self.photo), ("--points", self.points), ("--alignment", self.alignment)):
            if value and self.aligned:
                raise ValueError(f"{flag} and --aligned exclude each other: remove one")
        if self.points and self.alignment:
            raise ValueError("--points and --alignment exclude each other: remove one")
