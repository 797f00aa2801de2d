"""The options of masks and blending."""

from dataclasses import dataclass

MASK_TYPES = ("center", "random", "pattern", "left", "right", "top", "bottom", "full", "grid", "lowres")
BLENDS = ("tension", "poisson", "none")  # the first is the default


@dataclass(frozen=True)
class MaskOptions:
    """The parameters of `masks.make_mask`'s types."""

    center_scale: float = 0.25
    """center: the hole reaches from this share of the side to 1 minus it."""
    random_share: float = 0.2
    """random: the share of the pixels that is hidden."""
    grid_step: int = 4
    """grid: one pixel is kept in so many by so many."""
    lowres_block: int = 8
    """lowres: side of the blocks whose means are kept."""
