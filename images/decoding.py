"""Decodes picture files of any format into uint8 arrays, with limits on memory."""

import ctypes
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError
from PIL.WebPImagePlugin import WebPImageFile

from images.colors import Colors, colors_by
from images.files import load_each
from images.incomplete import HIDDEN
from images.metadata import metadata_of
from images.photo import Part, Photo, Stored
from utils import UserError, say_once

# Only these decoders are used, whatever a file's name says. EPS, for example, would start an interpreter.
FORMATS = ["AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"]
LARGEST_FILE = 600_000_000  # bytes, of the largest picture that Pillow opens, uncompressed
LARGE = 25_000_000  # pixels, of 4 to 8 bytes each; larger pictures are read one at a time
# Brands of pictures in the container of MPEG-4 that Pillow cannot read, or not on every machine.
BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"mif1": "HEIF"}
DEEP_RGB, DEEP_GRAY_WITH_ALPHA = "RGB;16B", "LA;16B"  # raw modes of PNG files
GRAY_STEPS = {"L;2": 85, "L;4": 17}  # raw modes of PNG files, and by how much Pillow scales their numbers
OPAQUE = 128  # the alpha from which a pixel is known
STRIP = 4_000_000  # pixels converted at a time
Image.init()  # loads all decoders now, also those that Pillow loads when it first needs them
logging.getLogger("PIL").addHandler(logging.NullHandler())  # pictures that cannot be read are reported here
with suppress(AttributeError, OSError):  # Pillow for Windows does not export libtiff's functions
    _pillow = ctypes.CDLL(Image.core.__file__)
    _pillow.TIFFSetErrorHandler(None)  # it prints errors to stderr, although Pillow raises them
    _pillow.TIFFSetWarningHandler(None)

_large = RLock()


class PictureError(UserError):
    """A picture cannot be read."""


@dataclass(frozen=True, eq=False)
class Given:
    """A picture that a program gives, as a file or an array, with its mask if there is one."""

    source: Path | np.ndarray  # uint8 [H, W] or [H, W, C]
    name: str  # for messages
    mask: np.ndarray | None = None  # bool [h, w], True where pixels are known

    def __str__(self) -> str:
        return self.name


Source = Path | Given


def read_picture(path: str | Source, mode: str = "RGB") -> np.ndarray:
    """Reads a picture file, rotated upright, as uint8 [H, W, C], or [H, W] if Pillow's `mode` has one channel.

    The numbers are those of the file: its color profile is ignored. Raises PictureError if it cannot be read.
    """
    with _decoded(path) as picture:
        pixels = _pixels(picture, mode)
    return pixels if len(mode) > 1 else pixels[..., 0]


def read_photo(path: str | Source, keep_alpha: bool = False) -> Photo:
    """Reads a picture file, rotated upright. PictureError if it cannot be read.

    Transparent pixels are unknown, or with `keep_alpha` all are known and the result is transparent like the file.
    """
    with _decoded(path) as picture:
        colors, transparent = _colors(picture, path), picture.has_transparency_data
        numbers = _pixels(picture, colors.mode + "A" * transparent)
        deep = None if keep_alpha and transparent else _sixteen_bits(picture)
        reduced, white, metadata = deep is None and _is_deep(picture), _white(picture), metadata_of(picture)
    alpha = numbers[..., -1].copy() if transparent else None
    known = np.ones(numbers.shape[:2], bool) if alpha is None or keep_alpha else alpha >= OPAQUE
    numbers = np.ascontiguousarray(numbers[..., : len(colors.mode)])
    stored = Stored(numbers, colors, 255, alpha if keep_alpha else None, reduced, metadata)
    if deep is not None:
        stored = replace(stored, numbers=deep, white=white)
    photo = Photo(_in_srgb(numbers, colors), known, stored)
    return photo if colors.writable else photo.in_srgb()


class Fitted(NamedTuple):
    """A picture in the size of a model."""

    pixels: np.ndarray  # uint8 [size, size, c_dim]
    fitted: bool  # whether it was cropped or resized
    transparent: bool  # whether parts of it were transparent; they have become gray


def load_picture(path: str | Source, size: int, c_dim: int) -> Fitted:
    """Reads a picture in sRGB, composed over gray. PictureError if it cannot be read.

    Pictures of another size are cropped to their central square and resized.
    """
    mode, narrow, transparent = "L" if c_dim == 1 else "RGB", [], False
    with _decoded(path) as picture:
        colors, alpha = _colors(picture, path), "A" if picture.has_transparency_data else ""
        for strip in _strips(picture, colors.mode + alpha, central_square((picture.height, picture.width))):
            opacity = strip.getchannel("A") if alpha else None
            strip = colors.srgb(strip.convert(colors.mode)).convert(mode)
            if opacity:
                transparent |= bool(np.asarray(opacity).min() < 255)
                strip = Image.composite(strip, Image.new(mode, strip.size, (HIDDEN,) * c_dim), opacity)
            # In the order of Pillow's resize: first the width, then the height.
            narrow.append(np.asarray(strip.resize((size, strip.height), Image.Resampling.BICUBIC)))
        pixels = resized(np.concatenate(narrow), size).reshape(size, size, c_dim)
        return Fitted(pixels, picture.size != (size, size), transparent)


def load_pictures(paths: Sequence[Path], size: int, c_dim: int) -> np.ndarray:
    """Reads pictures as `load_picture` does, uint8 [N, size, size, c_dim]; skips those that cannot be read."""
    loaded = load_each(dict(enumerate(paths)), lambda path: load_picture(path, size, c_dim).pixels)
    return np.array([*loaded.values()], np.uint8).reshape(-1, size, size, c_dim)


def is_lossy(path: str | Source) -> bool:
    """Whether a picture's format changes pixels, like JPEG. PictureError if the file cannot be read."""
    with _opened(path) as picture:
        if isinstance(picture, WebPImageFile):
            return not _is_lossless_webp(picture.filename)
        return picture.format in ("AVIF", "JPEG", "MPO")


def _is_lossless_webp(path: str | bytes) -> bool:
    """Whether the first picture in a WebP file has the chunk VP8L, not VP8 (RFC 9649, section 2)."""
    with open(path, "rb") as file:
        file.seek(12)
        while len(chunk := file.read(8)) == 8 and chunk[:4] not in (b"VP8 ", b"VP8L"):
            size = 16 if chunk[:4] == b"ANMF" else int.from_bytes(chunk[4:], "little")  # a frame consists of chunks
            file.seek(size + size % 2, os.SEEK_CUR)
        return chunk[:4] == b"VP8L"


def picture_size(path: str | Source) -> tuple[int, int]:
    """The width and height of a picture as stored, which is not decoded. PictureError if the file cannot be read."""
    with _opened(path) as picture:
        return picture.size


def in_turn(path: str | Source) -> AbstractContextManager:
    """A context for one thread at a time if the picture is large, because several would take too much memory."""
    size = 0, 0
    with suppress(PictureError):  # which reading it raises, too
        size = picture_size(path)
    return _turn(*size)


def _turn(width: int, height: int) -> AbstractContextManager:
    return _large if width * height > LARGE else nullcontext()


def central_square(shape: Sequence[int]) -> Part:
    """The rows and columns of the largest central square of a picture, (height, width, ...)."""
    height, width, side = *shape[:2], min(shape[:2])
    top, left = (height - side) // 2, (width - side) // 2
    return slice(top, top + side), slice(left, left + side)


def resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """uint8 [H, W] or [H, W, C] resized to [size, size].

    The last of two or four channels is alpha: transparent pixels do not run into their neighbors.
    """
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))


# ------------------------------------------------------------------------------------------ opening


@contextmanager
def _decoded(path: str | Source) -> Iterator[Image.Image]:
    """Opens a picture, decoded and rotated upright. Errors in this context become PictureErrors."""
    with _opened(path) as file, _turn(*file.size):
        if getattr(file, "is_animated", False) and file.format != "MPO":  # photos with a preview are MPO files
            what, first = ("has several pages", "page") if file.format == "TIFF" else ("is an animation", "frame")
            say_once(f"{path} {what}: only the first {first} is used")
        file.info["rawmode"] = _raw_mode(file)
        _mend_transparency(file.info)
        ImageOps.exif_transpose(file, in_place=True)
        yield file


def _raw_mode(file: Image.Image) -> str:
    """How a file stores its pixels, in Pillow's words; empty if Pillow does not tell."""
    if not isinstance(file, ImageFile.ImageFile) or not file.tile or not file.tile[0].args:
        return ""
    arguments = file.tile[0].args
    return arguments if isinstance(arguments, str) else str(arguments[0])


def _mend_transparency(info: dict[Any, Any]) -> None:
    """Scales a transparent color to the 8 bits to which Pillow scales the pixels of PNG files alone."""
    transparent, raw = info.get("transparency"), info["rawmode"]
    if isinstance(transparent, int) and raw in GRAY_STEPS:
        info["transparency"] = transparent * GRAY_STEPS[raw]
    elif isinstance(transparent, tuple) and raw == DEEP_RGB:
        info["transparency"] = tuple(number >> 8 for number in transparent)


@contextmanager
def _opened(path: str | Source) -> Iterator[Image.Image]:
    if isinstance(path, Given):
        if isinstance(path.source, np.ndarray):
            yield Image.fromarray(path.source)
            return
        path = path.source
    if not os.path.isfile(path):  # opening a pipe would wait for its writer
        what = "it is not a regular file" if os.path.exists(path) else "no such file"
        raise PictureError(f"cannot read the picture {path}: {what}")
    try:
        size = os.path.getsize(path)
        if size > LARGEST_FILE:
            raise ValueError(f"it has {size / 1e9:.1f} GB, more than the limit of {LARGEST_FILE / 1e9:g} GB")
        with Image.open(path, formats=FORMATS) as file:
            yield file
    except UnidentifiedImageError as error:
        raise PictureError(f"cannot read the picture {path}: {_what_it_is(path)}: save it as PNG or JPEG") from error
    except Exception as error:  # Pillow's decoders raise nearly anything on a damaged file
        raise PictureError(f"cannot read the picture {path}: {error or type(error).__name__}") from error


def _what_it_is(path: str | Path) -> str:
    """Names the format of a file that Pillow cannot read, if it is a known one."""
    with open(path, "rb") as file:
        begin = file.read(12)
    name = BRANDS.get(begin[8:], "HEIF") if begin[4:8] == b"ftyp" else ""
    return f"it is a {name} file, which cannot be read here" if name else f"it is none of {', '.join(FORMATS)}"


# --------------------------------------------------------------------------------------- conversion


def _colors(picture: Image.Image, path: str | Source) -> Colors:
    """The colors of a decoded picture. A profile that does not fit them is ignored, with a message."""
    gray = Image.getmodebase(picture.mode) == "L" or picture.info["rawmode"] == DEEP_GRAY_WITH_ALPHA
    mode = "L" if gray else "CMYK" if picture.mode == "CMYK" else "RGB"
    try:
        # Pillow itself converts LAB, whose numbers depend on no profile.
        return colors_by(mode, None if picture.mode == "LAB" else picture.info.get("icc_profile"))
    except ImageCms.PyCMSError:
        say_once(f"{path}: its color profile is ignored, because it is broken or not for {mode} pictures")
        return Colors(mode)


def _in_srgb(numbers: np.ndarray, colors: Colors) -> np.ndarray:
    """uint8 [H, W, C] -> [H, W, 3], converted strip by strip to save memory."""
    if colors.mode == "RGB" and not colors.to:
        return numbers
    height, width = numbers.shape[:2]
    pixels, rows = np.empty((height, width, 3), np.uint8), max(1, STRIP // width)
    for top in range(0, height, rows):
        strip = numbers[top : top + rows]
        picture = Image.frombytes(colors.mode, (width, len(strip)), strip.tobytes())
        pixels[top : top + rows] = np.asarray(colors.srgb(picture))
    return pixels


def _pixels(picture: Image.Image, mode: str) -> np.ndarray:
    """uint8 [H, W, C]."""
    pixels = np.empty((picture.height, picture.width, len(mode)), np.uint8)
    top = 0
    for strip in _strips(picture, mode, (slice(picture.height), slice(picture.width))):
        pixels[top : top + strip.height] = np.asarray(strip).reshape(strip.height, strip.width, -1)
        top += strip.height
    return pixels


def _strips(picture: Image.Image, mode: str, part: Part) -> Iterator[Image.Image]:
    """Converts a part of a picture to another mode, strip by strip to save memory."""
    (top, bottom), (left, right) = ((side.start or 0, side.stop) for side in part)
    rows = max(1, STRIP // (right - left))
    white = _white(picture)
    for row in range(top, bottom, rows):
        strip = picture.crop((left, row, right, min(row + rows, bottom)))
        if _has_numbers(picture):
            values = np.asarray(strip)
            strip = Image.fromarray(_to_8_bits(values, white))
            if picture.has_transparency_data:
                strip.putalpha(Image.fromarray(np.uint8(255) * (values != picture.info["transparency"])))
        yield strip.convert(mode)


def _has_numbers(picture: Image.Image) -> bool:
    """Whether a picture has one channel of numbers with more than 8 bits."""
    return picture.mode == "F" or picture.mode.startswith("I")


def _is_deep(picture: Image.Image) -> bool:
    """Whether a picture's file has more than 8 bits for each channel."""
    return _has_numbers(picture) or ";16" in picture.info["rawmode"]


def _sixteen_bits(picture: Image.Image) -> np.ndarray | None:
    """The numbers of a gray picture, uint16 [H, W, 1], if it has such numbers."""
    if not picture.mode.startswith("I"):
        return None
    values = np.asarray(picture)[..., None]
    return values.astype(np.uint16) if values.min() >= 0 and values.max() <= 65535 else None


def _white(picture: Image.Image) -> int:
    """The number for white: 1 or 255 for floats, 255 or 65535 for integers, as 8 bits are often stored in 16 or 32.

    The numbers that mark holes do not decide: white, and the transparent color of the file.
    """
    if not _has_numbers(picture):
        return 255
    values = np.asarray(picture)
    values, low, high = (_finite(values), 1, 255) if picture.mode == "F" else (values, 255, 65535)
    marks = high, picture.info.get("transparency", high)
    largest = values.max(where=~np.isin(values, marks), initial=0) or values.max()
    return low if largest <= low else high


def _finite(values: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(values, posinf=0, neginf=0), 0, 255)


def _to_8_bits(values: np.ndarray, white: int) -> np.ndarray:
    """Scales integers or floats to uint8. Pillow would clip them."""
    values = _finite(values) * (255 / white) if values.dtype.kind == "f" else values / (white / 255)
    return np.clip(values, 0, 255).round().astype(np.uint8)
