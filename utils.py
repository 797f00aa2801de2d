"""Picture files in and out: finding, decoding, grids, GIFs, and writing without leaving halves."""

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

from cli import Progress, UserError

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
# Only these decoders may see a file, whatever its name says: EPS, for one, would start an interpreter.
FORMATS = ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"]
BORDER = 4  # pixels between framed pictures
Image.init()  # loads the decoders that Pillow does not know of at first, TIFF's and WebP's

# Pillow warns of a large picture and refuses one twice as large; the refusal is enough.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


class PictureError(UserError):
    """A picture that cannot be read."""


def find_pictures(folder: str | Path) -> list[Path]:
    """All picture files below `folder`, sorted; UserError if there is no such folder or no picture in it."""
    if not os.path.isdir(folder):
        raise UserError(f"no folder {folder}: name a folder of pictures")
    paths = sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES
    )
    if not paths:
        raise UserError(f"no pictures in {folder}: put {', '.join(s[1:] for s in sorted(SUFFIXES))} files there")
    return paths


def read_picture(path: str | Path, mode: str = "RGB") -> np.ndarray:
    """A picture file upright as uint8, [H, W, 3], or [H, W] for mode "L"; PictureError if it cannot be read."""
    try:
        with Image.open(path, formats=FORMATS) as file:
            picture = ImageOps.exif_transpose(file)
            if picture.mode.startswith("I"):
                # Pillow would clip 16 bits to 8 instead of scaling them.
                picture = Image.fromarray((np.asarray(picture) / 257).round().astype(np.uint8))
            return np.array(picture.convert(mode))
    except Exception as error:  # Pillow's decoders raise nearly anything on a damaged file
        raise PictureError(f"cannot read the picture {path}: {error}") from error


def central_square(pixels: np.ndarray) -> np.ndarray:
    """The largest square in the middle of [H, W] or [H, W, C]."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def resize(pixels: np.ndarray, size: int) -> np.ndarray:
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
    fitted = resize(central_square(pixels), size)
    return fitted.reshape(size, size, c_dim), pixels.shape[:2] != (size, size)


def load_pictures(paths: Sequence[Path], size: int, c_dim: int) -> np.ndarray:
    """All pictures as uint8 [N, size, size, c_dim], decoded side by side; says what was left out or fitted.

    UserError if none can be read.
    """
    pictures = np.empty((len(paths), size, size, c_dim), np.uint8)
    read = np.zeros(len(paths), bool)

    def load(i: int) -> bool | PictureError:
        try:
            pictures[i], fitted = load_picture(paths[i], size, c_dim)
        except PictureError as error:
            return error
        read[i] = True
        return fitted

    progress = Progress(len(paths), "pictures")
    fitted = 0
    with ThreadPoolExecutor() as pool:
        for done, outcome in enumerate(pool.map(load, range(len(paths))), 1):
            if isinstance(outcome, PictureError):
                print(f"left out: {outcome}", flush=True)
            else:
                fitted += outcome
            progress.update(done)
    if not read.any():
        raise UserError(f"none of the {len(paths)} pictures can be read")
    if fitted:
        print(f"{fitted} of {read.sum()} pictures were cropped to their central square and resized to {size}x{size}")
    if not read.all():
        print(f"{len(paths) - read.sum()} of {len(paths)} pictures were left out")
        pictures = pictures[read]
    return pictures


def unique_names(paths: Sequence[Path], known: Mapping[Path, str] | None = None) -> list[str]:
    """A name for each path's output: its stem, or <folder>__<stem> where two paths share a stem.

    Paths in `known` keep the name they have there. Where a name is taken all the same, a number is added.
    """
    known = known or {}
    taken = set(known.values())
    stems = Counter(path.stem for path in paths)
    names = []
    for path in paths:
        name = base = path.stem if stems[path.stem] == 1 else f"{path.absolute().parent.name}__{path.stem}"
        number = 1
        while path not in known and name in taken:
            number += 1
            name = f"{base}__{number}"
        names.append(known.get(path, name))
        taken.add(names[-1])
    return names


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Images in [-1, 1] to the nearest uint8."""
    return np.clip((np.asarray(images) + 1) * 127.5, 0, 255).round().astype(np.uint8)


def grid(pixels: np.ndarray, columns: int = 8) -> np.ndarray:
    """[N, H, W, C] uint8 pictures row by row in one, `columns` wide (fewer if N is smaller), black where none is."""
    n, height, width, channels = pixels.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
    sheet[:n] = pixels
    sheet = sheet.reshape(rows, columns, height, width, channels)
    return sheet.swapaxes(1, 2).reshape(rows * height, columns * width, channels)


def framed(pixels: np.ndarray, columns: int = 8) -> np.ndarray:
    """A `grid` of [N, H, W, C] pictures, each big enough to look at and with a white border around it."""
    enlarged = max(1, 128 // pixels.shape[1])
    pixels = pixels.repeat(enlarged, axis=1).repeat(enlarged, axis=2)
    sheet = grid(np.pad(pixels, ((0, 0), (BORDER, 0), (BORDER, 0), (0, 0)), constant_values=255), columns)
    return np.pad(sheet, ((0, BORDER), (0, BORDER), (0, 0)), constant_values=255)


def write_atomic(path: Path, write: Callable[[Path], Any]) -> None:
    """Lets `write` fill a file beside `path` and renames it, so that `path` is whole or not there at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


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
