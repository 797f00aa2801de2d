"""The options of masks, and the kinds of blending."""

import re
from dataclasses import dataclass
from pathlib import Path

from utils import Options, number, option, path

MASK_TYPES = ("center", "random", "pattern", "left", "right", "top", "bottom", "full", "grid", "lowres")
# Options that need a type: field, flag, type.
OF_KIND = (
    ("center_scale", "--centerScale", "center"),
    ("random_share", "--randomShare", "random"),
    ("grid_step", "--gridStep", "grid"),
    ("lowres_block", "--lowresBlock", "lowres"),
)
WITHOUT_HOLE = ("full", "lowres")  # types without a hole, or without known pixels
BLENDS = ("tension", "poisson", "none")  # the first is the default


def color(value: str) -> str:
    """A check for `option`: a color "#rrggbb"; "#" may be missing, because some shells need quotes around it."""
    if not re.fullmatch("#?[0-9a-fA-F]{6}", value):
        raise ValueError(f"{value} is not a color: write it as 00ff00")
    return f"#{value[-6:].lower()}"


@dataclass(frozen=True)
class MaskOptions(Options):
    """Masks. They are pictures, white where pixels are kept, or made by type."""

    kind: str | None = option(
        None,
        "the hole. center; random: single pixels; pattern: blobs; left, right, top, bottom: this half; grid: "
        "everything except a grid of pixels; lowres: everything, but the mean color of each block is known; full: no "
        "hole, so that hats_imgs shows how well G reconstructs a picture (default: the transparent pixels, or the "
        "center if there are none)",
        "--maskType",
        choices=MASK_TYPES,
    )
    file: Path | None = option(None, "one mask for all pictures: white = keep, black = fill", "--maskFile", check=path)
    folder: Path | None = option(
        None,
        "a mask for each picture, of the same name or with _mask added: DIR/anna.png or DIR/anna_mask.png for anna.jpg",
        "--maskDir",
        path,
        metavar="DIR",
    )
    hole_color: str | None = option(
        None,
        "the hole is where the picture has this color or nearly this color, such as 00ff00 for green",
        "--holeColor",
        check=color,
        metavar="RRGGBB",
    )
    invert: bool = option(False, "swap keep and fill in a mask, or opaque and transparent in a picture", "--invertMask")
    keep_alpha: bool = option(
        False,
        "keep transparent pixels transparent instead of filling them; another option must mark the hole",
        "--keepAlpha",
    )
    grow: int = option(0, "enlarge the hole by N pixels of the picture on every side", "--growMask", number(int, 0))
    center_scale: float = option(
        0.25,
        "center: distance of the hole from the edges of the picture, as a share of its side",
        "--centerScale",
        check=number(float, 0, 0.5),
    )
    random_share: float = option(
        0.2, "random: share of the pixels that are in the hole", "--randomShare", check=number(float, above=0, below=1)
    )
    grid_step: int = option(4, "grid: one pixel of each N by N is known", "--gridStep", check=number(int, 2))
    lowres_block: int = option(
        8, "lowres: side of the blocks whose mean colors are known", "--lowresBlock", check=number(int, 2)
    )

    def __post_init__(self):
        super().__post_init__()
        if sum(bool(named) for named in (self.kind, self.file, self.folder, self.hole_color)) > 1:
            raise ValueError("--maskType, --maskFile, --maskDir and --holeColor exclude each other: give one of them")
        if self.invert and (self.kind or self.hole_color):
            raise ValueError("--invertMask needs --maskFile, --maskDir or transparent pixels")
        if self.keep_alpha and (self.usual or self.kind in WITHOUT_HOLE):
            raise ValueError("--keepAlpha needs a hole that is not transparent: add --maskFile or another mask")
        if self.grow and self.kind in WITHOUT_HOLE:
            raise ValueError(f"--growMask needs a hole: remove --maskType {self.kind}")
        for name, flag, kind in OF_KIND:
            fits = self.kind == kind or (kind == "center" and self.usual)
            if getattr(self, name) != getattr(MaskOptions, name) and not fits:
                raise ValueError(f"{flag} needs --maskType {kind}")

    @property
    def usual(self) -> bool:
        """Whether no mask is given: then the transparent pixels are the hole, or else the center."""
        return not (self.kind or self.file or self.folder or self.hole_color)

    @property
    def lowres(self) -> int:
        """Side of the blocks whose means are known; 0 if no means are known."""
        return self.lowres_block if self.kind == "lowres" else 0
