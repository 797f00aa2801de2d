"""The options of masks and blending."""

from dataclasses import dataclass
from pathlib import Path

from utils import Options, number, option

MASK_TYPES = ("center", "random", "pattern", "left", "right", "top", "bottom", "full", "grid", "lowres")
# The options that belong to a type.
OF_KIND = (
    ("center_scale", "--centerScale", "center"),
    ("random_share", "--randomShare", "random"),
    ("grid_step", "--gridStep", "grid"),
    ("lowres_block", "--lowresBlock", "lowres"),
)
BLENDS = ("tension", "poisson", "none")  # the first is the default


@dataclass(frozen=True)
class MaskOptions(Options):
    """What is hidden. Types of masks have parameters; or masks are pictures, white where pixels are known."""

    kind: str | None = option(
        None,
        "what is hidden: the center; random, single pixels; pattern, blobs; a half, left, right, top or bottom; grid, "
        "all but single pixels; lowres, all but the means of blocks; full, nothing: to see in hats_imgs how near G "
        "comes to the whole picture. Unless given, what is transparent, or else the center",
        "--maskType",
        choices=MASK_TYPES,
    )
    file: Path | None = option(
        None, "a picture, white where pixels are known", "--maskFile", check=Path, metavar="FILE"
    )
    folder: Path | None = option(None, "a mask a picture, with the same stem", "--maskDir", check=Path, metavar="DIR")
    invert: bool = option(False, "white is the hole in --maskFile, --maskDir", "--invertMask")
    center_scale: float = option(
        0.25,
        "center: the hole reaches from this share of the side to 1 minus it",
        "--centerScale",
        check=number(float, 0, 0.5),
    )
    random_share: float = option(
        0.2, "random: the share of the pixels that is hidden", "--randomShare", check=number(float, above=0, below=1)
    )
    grid_step: int = option(4, "grid: one pixel in N by N is kept", "--gridStep", check=number(int, 2))
    lowres_block: int = option(
        8, "lowres: side of the blocks whose means are kept", "--lowresBlock", check=number(int, 2)
    )

    def __post_init__(self):
        super().__post_init__()
        if sum(bool(named) for named in (self.kind, self.file, self.folder)) > 1:
            raise ValueError("--maskType, --maskFile and --maskDir exclude each other: name one")
        if self.invert and not (self.file or self.folder):
            raise ValueError("--invertMask needs --maskFile or --maskDir")
        for name, flag, kind in OF_KIND:
            fits = self.kind == kind or (kind == "center" and self.usual)
            if getattr(self, name) != getattr(MaskOptions, name) and not fits:
                raise ValueError(f"{flag} needs --maskType {kind}")

    @property
    def usual(self) -> bool:
        """Whether nothing is named: then what is transparent is hidden, or else the center."""
        return not (self.kind or self.file or self.folder)

    @property
    def lowres(self) -> int:
        """Side of the blocks whose means are known; 0: none are."""
        return self.lowres_block if self.kind == "lowres" else 0
