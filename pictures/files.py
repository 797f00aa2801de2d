"""Picture files: finding, decoding and writing them."""

import logging
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

from utils import UserError, quiet_stderr, say, write_atomic

SUFFIXES = {".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
# Only these decoders may see a file, whatever its name says: EPS, for one, would start an interpreter.
FORMATS = ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"]
LONGEST_NAME = 240  # bytes; file systems take 255, and a number and a suffix may follow
Image.init()  # loads the decoders that Pillow does not know of at first, TIFF's and WebP's

# What Pillow warns of in a picture it can read is nobody's concern, and one it cannot read is named.
warnings.filterwarnings("ignore", module=r"PIL\.")
warnings.simplefilter("ignore", Image.DecompressionBombWarning)
logging.getLogger("PIL").setLevel(logging.CRITICAL)
_libtiff = Lock()  # it prints what it finds damaged, and quietness is for one thread at a time


class PictureError(UserError):
    """A picture that cannot be read."""


def find_pictures(folder: str | Path) -> list[Path]:
    """All picture files below `folder` and the folders linked there, sorted; says which folders cannot be read.

    UserError if there is no such folder or no picture in it.
    """
    if not os.path.isdir(folder):
        raise UserError(f"no folder {folder}: name a folder of pictures")
    paths = []
    seen = set()
    for parent, folders, names in os.walk(folder, onerror=lambda error: say(f"left out: {error}"), followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:  # a link leads back to it
            folders.clear()
            continue
        folders.sort()  # what is linked twice is always found at the same place
        seen.add((status.st_dev, status.st_ino))
        paths += [
            Path(parent, name)
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES
        ]
    if not paths:
        raise UserError(f"no pictures in {folder}: put {', '.join(s[1:] for s in sorted(SUFFIXES))} files there")
    return sorted(paths)


def read_picture(path: str | Path, mode: str = "RGB") -> np.ndarray:
    """A picture file upright as uint8, [H, W, 3], or [H, W] for mode "L"; PictureError if it cannot be read."""
    if not os.path.isfile(path):  # to open a pipe would wait for its writer
        what = "a folder" if os.path.isdir(path) else "no file"
        raise PictureError(f"cannot read the picture {path}: it is {what}")
    try:
        with Image.open(path, formats=FORMATS) as file:
            if file.format == "TIFF":
                with _libtiff, quiet_stderr():
                    file.load()
            picture = ImageOps.exif_transpose(file)
            if picture.mode == "F" or picture.mode.startswith("I"):
                picture = Image.fromarray(_to_8_bits(np.asarray(picture)))
            return np.array(picture.convert(mode))
    except Exception as error:  # Pillow's decoders raise nearly anything on a damaged file
        raise PictureError(f"cannot read the picture {path}: {error or type(error).__name__}") from error


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    """16-bit integers, or floats of which 1 is white if none is above, as uint8; Pillow would clip them."""
    if values.dtype.kind == "f":
        values = np.clip(np.nan_to_num(values, posinf=0, neginf=0), 0, 255)
        values = values * 255 if values.max() <= 1 else values
    else:
        values = values / 257
    return np.clip(values, 0, 255).round().astype(np.uint8)


def central_square(pixels: np.ndarray) -> np.ndarray:
    """The largest square in the middle of [H, W] or [H, W, C]."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """uint8 [S, S] or [S, S, C] resized to [size, size].

    The last of two or four channels is the opacity: what it hides does not run into its neighbours.
    """
    if len(pixels) == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))


def load_picture(path: str | Path, size: int, c_dim: int) -> tuple[np.ndarray, bool]:
    """A picture as uint8 [size, size, c_dim], and whether it had to be fitted.

    One of another size is cropped to its central square and resized. PictureError if it cannot be read.
    """
    pixels = read_picture(path, "L" if c_dim == 1 else "RGB")
    fitted = resized(central_square(pixels), size)
    return fitted.reshape(size, size, c_dim), pixels.shape[:2] != (size, size)


def load_each(paths: Sequence[Path], load: Callable[[Path], Any], first: int = 0) -> dict[int, Any]:
    """What `load` makes of each path, by the paths' numbers, which begin with `first`; names those it cannot load."""
    loaded = {}
    for place, path in enumerate(paths, first):
        try:
            loaded[place] = load(path)
        except UserError as error:
            say(f"left out: {error}")
    return loaded


def unique_names(paths: Sequence[Path], known: Mapping[Path, str] | None = None) -> list[str]:
    """A name for each path's output: its stem, or <folder>__<stem> where two paths share a stem.

    Paths in `known` keep the name they have there. Where a name is taken all the same, a number is added.
    """
    known = known or {}
    taken = set(known.values())
    stems = Counter(path.stem for path in paths)
    names = []
    for path in paths:
        base = path.stem if stems[path.stem] == 1 else f"{path.absolute().parent.name}__{path.stem}"
        name = base = os.fsdecode(os.fsencode(base)[-LONGEST_NAME:])
        number = 1
        while path not in known and name in taken:
            number += 1
            name = f"{base}__{number}"
        names.append(known.get(path, name))
        taken.add(names[-1])
    return names


def save_picture(path: Path, pixels: np.ndarray, note: str = "") -> None:
    """Writes uint8 [H, W, 3] or [H, W, 1] as a PNG file, with a `note` that `read_note` finds again."""
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    info = PngImagePlugin.PngInfo()
    if note:
        info.add_text("Comment", note)
    write_atomic(path, lambda partial: picture.save(partial, pnginfo=info))


def read_note(path: Path) -> str | None:
    """The note that `save_picture` put into a file; None if there is no such file or note."""
    try:
        with Image.open(path, formats=["PNG"]) as file:
            return file.info.get("Comment")
    except (OSError, ValueError, SyntaxError):
        return None


def save_gif(path: Path, frames: Iterable[np.ndarray], milliseconds: int = 120) -> None:
    """Writes [H, W, C] uint8 frames as a GIF that loops and rests on its last frame."""
    pictures = [Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame) for frame in frames]
    durations = [milliseconds] * (len(pictures) - 1) + [2000]
    write_atomic(
        path,
        lambda partial: pictures[0].save(
            partial, save_all=True, append_images=pictures[1:], duration=durations, loop=0
        ),
    )
