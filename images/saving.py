"""Writes completed photos as PNG, JPEG or WebP files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.ExifTags import Base

from images.decoding import PictureError, Source
from images.files import PNG_LEVEL
from images.photo import Photo

LONGEST_SIDE = {"jpg": 65_500, "webp": 16_383}  # pixels
LONGEST_EXIF = 65_000  # bytes in a JPEG
QUALITY = 95  # of a JPEG whose input is no JPEG
INCHES = 2  # the unit of a resolution in EXIF data


def save_photo(path: Path, photo: Photo, quality: int | None = None) -> None:
    """Writes a photo as a .png, .jpg or .webp file, with the color profile, EXIF data and resolution of its own file.

    quality: 1 to 100. By default, that of the photo's own file if both are JPEGs; WebP is lossless.
    """
    suffix = path.suffix
    if not _fits(photo, suffix):
        photo = photo.in_srgb()
    stored = photo.stored
    numbers = photo.to_save()
    picture = Image.fromarray(numbers[..., 0] if photo.gray else numbers)
    if stored.alpha is not None:
        picture.putalpha(Image.fromarray(np.where(photo.known, stored.alpha, np.uint8(255))))
    picture.save(path, icc_profile=stored.colors.profile, **_arguments(suffix, stored.metadata, quality))


def check_side(name: Source, shape: Sequence[int], format: str) -> None:
    """Raises PictureError, with the photo's name, if its height or width is too large for a format."""
    longest = LONGEST_SIDE.get(format)
    if longest and max(shape) > longest:
        raise PictureError(f"{name} cannot be saved: {format} has at most {longest} pixels a side. Add --format png")


def _fits(photo: Photo, suffix: str) -> bool:
    """Whether the format can have the photo's numbers: only PNG has 16 bits, and WebP has no gray."""
    if suffix == ".webp" and photo.gray and photo.stored.colors.profile:
        return False
    return suffix == ".png" or photo.stored.numbers.dtype == np.uint8


def _arguments(suffix: str, metadata: Mapping[str, Any], quality: int | None) -> dict[str, Any]:
    """The arguments of Pillow's `save` for a format."""
    kept = {name: metadata[name] for name in ("exif", "dpi") if name in metadata}
    if suffix == ".png":
        return kept | {"compress_level": PNG_LEVEL}
    if suffix == ".webp":
        if "dpi" in kept:  # which only EXIF data can tell
            kept["exif"] = _with_resolution(kept.get("exif", b""), kept["dpi"])
        return kept | ({"quality": quality} if quality else {"lossless": True, "exact": True})
    if len(kept.get("exif", b"")) > LONGEST_EXIF:
        del kept["exif"]
    of_input = "qtables" in metadata and not quality
    tables = {"qtables": metadata["qtables"]} if of_input else {"quality": quality or QUALITY}
    return kept | tables | {"subsampling": metadata.get("subsampling", 0)}


def _with_resolution(data: bytes, dpi: tuple[float, float]) -> bytes:
    exif = Image.Exif()
    exif.load(data)
    exif[Base.XResolution], exif[Base.YResolution] = dpi
    exif[Base.ResolutionUnit] = INCHES
    return exif.tobytes()
