"""Completes pictures and photos with a DCGAN."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from model import DCGAN


def complete(
    pictures: Any,
    masks: Any = None,
    *,
    model: "str | Path | DCGAN | None" = None,
    photo: bool | None = None,
    points: "Sequence[tuple[float, float]] | None" = None,
    preset: str = "default",
    **search: Any,
) -> "np.ndarray | list[np.ndarray]":
    """Returns the completed picture, uint8 [H, W, 3], or [H, W] if it is gray; of a list, a list.

    The result equals the file in `final` that complete.py writes for the same picture, mask, model and options, in 8
    bits of sRGB.

    pictures: a path, or an array, uint8 [H, W] or [H, W, C], whose last channel is transparency if C is 2 or 4; or a
    list of these. masks: one mask for all pictures, or a list of a mask or None for each. A mask is a path, or an array
    [H, W] of bools, of 0 and 1, or of gray levels: True, 1 or white = known, 0 = hole. By default, transparent pixels
    are the hole, or else the center. model: a folder or an open model; by default that of complete.py. photo: whether
    pictures are whole photos whose faces are found (True) or aligned faces (False); by default, as complete.py would
    choose. points: the face of a photo, as for --points. preset, search: a preset and fields of `SearchOptions`, like
    seed.
    Raises UserError if a picture cannot be completed, ValueError if an argument is invalid.
    """
    from completion.arrays import complete_pictures, given_pictures  # here, so that importing the package takes no time
    from completion.options import PhotoOptions

    several = isinstance(pictures, list | tuple)
    given = given_pictures(pictures if several else [pictures], masks)
    if points and len(given) > 1:
        raise ValueError(f"points belong to one photo, but there are {len(given)}: complete it alone")
    photos = PhotoOptions(photo is True, photo is False, tuple(points) if points else None)
    results = complete_pictures(given, photos, Path(model) if isinstance(model, str) else model, preset, search)
    return results if several else results[0]
