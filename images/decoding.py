"""Decodes picture files of any format into uint8 arrays, with limits on memory."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from images.files import load_each
from images.incomplete import HIDDEN
from images.photo import Photo
from utils import UserError, quiet_stderr

# Only these decoders are used, whatever a file's name says. EPS, for example, would start an interpreter.
FORMATS = ["AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"]
LARGEST_FILE = 600_000_000  # bytes, of the largest picture that Pillow opens, uncompressed
LARGE = 25_000_000  # pixels, of 4 to 8 bytes each; larger pictures are decoded one at a time
OPAQUE = 128  # the alpha from which a pixel is known
STRIP = 4_000_000  # pixels converted at a time
Image.init()  # loads all decoders; some, like TIFF's and WebP's, are loaded late otherwise
logging.getLogger("PIL").addHandler(logging.NullHandler())  # pictures that cannot be read are reported here

_large = Lock()
_libtiff = Lock()  # it prints errors to stderr, which one thread at a time can silence


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

    Raises PictureError if it cannot be read.
    """
    with _decoded(path) as picture:
        return _pixels(picture, mode)


def read_photo(path: str | Source) -> Photo:
    """Reads a picture file, rotated upright. Transparent pixels are unknown. PictureError if it cannot be read."""
    with _decoded(path) as picture:
        pixels = _pixels(picture, "RGBA" if picture.has_transparency_data else "RGB")
        gray, profile = Image.getmodebase(picture.mode) == "L", picture.info.get("icc_profile")
    known = pixels[..., 3] >= OPAQUE if pixels.shape[2] == 4 else np.ones(pixels.shape[:2], bool)
    # The profile's color space is at byte 16 (ICC.1:2022, section 7.2). A profile of another space, such as CMYK, does
    # not fit the decoded pixels.
    fits = profile and profile[16:20] == (b"GRAY" if gray else b"RGB ")
    return Photo(np.ascontiguousarray(pixels[..., :3]), known, gray, profile if fits else None)


class Fitted(NamedTuple):
    """A picture in the size of a model."""

    pixels: np.ndarray  # uint8 [size, size, c_dim]
    fitted: bool  # whether it was cropped or resized
    transparent: bool  # whether parts of it were transparent; they have become gray


def load_picture(path: str | Source, size: int, c_dim: int) -> Fitted:
    """Reads a picture, composed over gray. PictureError if it cannot be read.

    Pictures of another size are cropped to their central square and resized.
    """
    mode, narrow, transparent = "L" if c_dim == 1 else "RGB", [], False
    with _decoded(path) as picture:
        alpha = "A" if picture.has_transparency_data else ""
        for strip in _strips(picture, mode + alpha, _central_box(*picture.size)):
            if alpha:
                opacity = strip.getchannel("A")
                transparent |= bool(np.asarray(opacity).min() < 255)
                strip = Image.composite(strip.convert(mode), Image.new(mode, strip.size, (HIDDEN,) * c_dim), opacity)
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
        return picture.format in ("AVIF", "JPEG", "WEBP")


def picture_size(path: str | Source) -> tuple[int, int]:
    """The width and height of a picture as stored, which is not decoded. PictureError if the file cannot be read."""
    with _opened(path) as picture:
        return picture.size


def central_square(pixels: np.ndarray) -> np.ndarray:
    """The largest central square of [H, W] or [H, W, C]."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = _central_box(width, height)
    return pixels[top:bottom, left:right]


def _central_box(width: int, height: int) -> tuple[int, int, int, int]:
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """uint8 [H, W] or [H, W, C] resized to [size, size].

    The last of two or four channels is alpha: transparent pixels do not run into their neighbors.
    """
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))


# ------------------------------------------------------------------------------------------ opening


@contextmanager
def _decoded(path: str | Source) -> Iterator[Image.Image]:
    """Opens a picture, decoded and rotated upright. Errors in this context become PictureErrors."""
    with _opened(path) as file, _large if file.width * file.height > LARGE else nullcontext():
        if file.format == "TIFF":
            with _libtiff, quiet_stderr():
                file.load()
        ImageOps.exif_transpose(file, in_place=True)
        yield file


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
    except Exception as error:  # Pillow's decoders raise nearly anything on a damaged file
        raise PictureError(f"cannot read the picture {path}: {error or type(error).__name__}") from error


# --------------------------------------------------------------------------------------- conversion


def _pixels(picture: Image.Image, mode: str) -> np.ndarray:
    """uint8 [H, W], or [H, W, C] if the mode has several channels."""
    pixels = np.empty((picture.height, picture.width, len(mode)), np.uint8)
    top = 0
    for strip in _strips(picture, mode, (0, 0, *picture.size)):
        pixels[top : top + strip.height] = np.asarray(strip).reshape(strip.height, strip.width, -1)
        top += strip.height
    return pixels if len(mode) > 1 else pixels[..., 0]


def _strips(picture: Image.Image, mode: str, box: tuple[int, int, int, int]) -> Iterator[Image.Image]:
    """Converts a box (left, top, right, bottom) to mode "L", "LA", "RGB" or "RGBA", strip by strip to save memory."""
    left, top, right, bottom = box
    rows = max(1, STRIP // (right - left))
    deep = picture.mode == "F" or picture.mode.startswith("I")
    white = _white(picture) if deep else 255
    for row in range(top, bottom, rows):
        strip = picture.crop((left, row, right, min(row + rows, bottom)))
        yield (Image.fromarray(_to_8_bits(np.asarray(strip), white)) if deep else strip).convert(mode)


def _white(picture: Image.Image) -> int:
    """The white of a picture of integers or floats, to judge by its largest value: 1, 255 or 65535."""
    values = np.asarray(picture)
    if picture.mode == "F":
        return 1 if _finite(values).max() <= 1 else 255
    return 255 if values.max() <= 255 else 65535  # 8 bits are often stored in 16 or 32


def _finite(values: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(values, posinf=0, neginf=0), 0, 255)


def _to_8_bits(values: np.ndarray, white: int) -> np.ndarray:
    """Scales integers or floats to uint8. Pillow would clip them."""
    values = _finite(values) * (255 / white) if values.dtype.kind == "f" else values / (white / 255)
    return np.clip(values, 0, 255).round().astype(np.uint8)
