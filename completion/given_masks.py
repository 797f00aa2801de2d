"""Finds the mask of each picture by the options, and warns about masks that may be wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from images.decoding import OPAQUE, Given, Source, is_lossy, read_photo
from images.mask_files import read_mask, read_without_color
from images.mask_folder import MaskFolder
from images.mask_options import MaskOptions
from images.masks import grown, stretched
from images.photo import Photo
from utils import say, some

MIXED = 4  # pixels: so far a JPEG spreads paint, as it usually stores colors at half the resolution


class Hidden(NamedTuple):
    """How much of a picture its mask or transparency hides."""

    pixels: int
    of: int  # pixels of the picture, or of its central square

    @classmethod
    def by(cls, known: np.ndarray) -> "Hidden":
        """Counts the pixels in the hole of a mask, bool [H, W]."""
        return cls(int((~known).sum()), known.size)


def without_transparency(photo: Photo) -> Photo:
    """Fills transparent pixels outside of the hole smoothly, because their invisible colors must not guide a search."""
    alpha = photo.stored.alpha
    if alpha is None:
        return photo
    from faces.detector import filled  # here, as dlib takes time to load

    shown = filled(photo.pixels, photo.known & (alpha >= OPAQUE))
    return replace(photo, pixels=np.where(photo.known[..., None], shown, photo.pixels))


class GivenMasks:
    """Masks from a file, from a folder, by the color of the hole, or given with each picture."""

    def __init__(self, options: MaskOptions, pictures: Sequence[Path] = ()):
        """pictures: those to complete. Raises UserError if the file or the folder of masks cannot be used."""
        self.options = options
        self.file = read_mask(options.file, options.invert) if options.file else None
        self.folder = MaskFolder(options.folder, pictures) if options.folder else None

    def has(self, picture: Path) -> bool:
        """Whether the folder has a mask for the picture, if there is a folder. It is not read."""
        return not self.folder or bool(self.folder.all_of(picture))

    def of(self, picture: Source) -> np.ndarray | None:
        """The picture's mask, bool [h, w], True where pixels are known; None if there is none."""
        if isinstance(picture, Given):
            return picture.mask
        if self.options.hole_color:
            return read_without_color(picture, self.options.hole_color)
        return read_mask(self.folder.find(picture), self.options.invert) if self.folder else self.file

    def photo(self, path: Source) -> tuple[Photo, Hidden | None]:
        """Reads a photo with its hole, and counts the pixels in the hole before it is enlarged.

        The count is None if the mask will be made in the model's frame. Raises UserError if a file cannot be read, or
        if the mask has other proportions.
        """
        photo, mask = read_photo(path, self.options.keep_alpha), self.of(path)
        known = photo.known ^ (self.options.usual and self.options.invert)
        if mask is not None:
            known &= stretched(mask, photo.shape, path)
        made = bool(self.options.kind) or (mask is None and bool(known.all()))
        photo = without_transparency(replace(photo, known=grown(known, self.options.grow)))
        return photo, None if made else Hidden.by(known)

    def describe(self, loaded: Iterable[Any]) -> None:
        """Reports what is found of the --holeColor, and masks that hide more than half of their pictures."""
        hidden = {each.path: each.hidden for each in loaded if each.hidden}
        if self.options.hole_color and hidden:
            count = sum(each.pixels for each in hidden.values())
            say(f"{count:,} pixels of {some([*hidden])} have the --holeColor {self.options.hole_color}")
            lossy = [path for path in hidden if is_lossy(path)] if self.options.grow < MIXED else []
            if lossy:
                paint = f"compression mixed the paint into the pixels around the hole of {some(lossy)}"
                say(f"{paint}: add --growMask {MIXED}")
        elif mostly := [path for path, each in hidden.items() if each.pixels > each.of / 2]:
            what_to_do = f"{'remove' if self.options.invert else 'add'} --invertMask to fill the other part instead"
            say(f"the hole is more than half of {some(mostly)}: {what_to_do}")
