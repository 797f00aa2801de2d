"""Finds the masks of pictures in a folder, by their names."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from unicodedata import normalize

from images.decoding import PictureError
from images.files import find_pictures

MARK = re.compile("[_-]mask$", re.IGNORECASE)
JPEG = {".jfif", ".jpeg", ".jpg"}


class MaskFolder:
    """The masks in a folder. The mask of sub/anna.jpg is sub/anna.png or sub/anna_mask.png; sub may be missing.

    Unicode names match in composed and decomposed form: macOS decomposes them.
    """

    def __init__(self, folder: Path, pictures: Iterable[Path]):
        """pictures: those to complete; they are not masks. Raises UserError if the folder contains no pictures."""
        self.folder = folder
        self.masks: dict[tuple[str, ...], dict[str, list[Path]]] = {}  # by subfolder and stem
        others = set(map(os.path.realpath, pictures))
        for mask in find_pictures(folder):
            if os.path.realpath(mask) not in others:
                here = self.masks.setdefault(_parts(mask.relative_to(folder).parent), {})
                for stem in {mask.stem, MARK.sub("", mask.stem)}:
                    here.setdefault(normalize("NFC", stem), []).append(mask)

    def all_of(self, picture: Path) -> list[Path]:
        """The masks with the picture's name, in the folder that ends most like the picture's."""
        parts = _parts(Path(os.path.abspath(picture)).parent)
        ends = (parts[first:] for first in range(len(parts) + 1))
        nearest = next((self.masks[end] for end in ends if end in self.masks), {})
        return nearest.get(normalize("NFC", picture.stem), [])

    def find(self, picture: Path) -> Path:
        """The mask of a picture. Raises PictureError unless there is exactly one."""
        found = self.all_of(picture)
        if not found:
            raise PictureError(f"{picture} has no mask {picture.stem}.png in {self.folder}")
        if len(found) > 1:
            raise PictureError(f"{picture} has several masks, {' and '.join(map(str, found))}: remove all but one")
        return found[0]


def without_masks(pictures: Sequence[Path], folder: Path) -> list[Path]:
    """The pictures without those that lie in the folder and are masks of others beside them.

    Those are anna_mask.png beside anna.jpg, and anna.png beside anna.jpg.
    """
    names = {(path.parent, normalize("NFC", path.stem)) for path in pictures}
    photos = {(path.parent, normalize("NFC", path.stem)) for path in pictures if path.suffix.lower() in JPEG}

    def is_mask(path: Path) -> bool:
        parent, stem = path.parent, normalize("NFC", path.stem)
        marked = MARK.search(stem) and (parent, MARK.sub("", stem)) in names
        beside = path.suffix.lower() not in JPEG and (parent, stem) in photos
        return bool(marked or beside) and Path(os.path.realpath(path)).is_relative_to(place)

    place = os.path.realpath(folder)
    return [path for path in pictures if not is_mask(path)]


def _parts(folder: Path) -> tuple[str, ...]:
    return tuple(normalize("NFC", part) for part in folder.parts)
