"""Picture files: finding, decoding and writing them."""

import logging
import os
import struct
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Lock
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from images.photo import Photo
from utils import UserError, quiet_stderr, say, write_atomic

PNM = {".pbm", ".pgm", ".pnm", ".ppm"}
SUFFIXES = {".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"} | PNM
NOT_READ = {".heic", ".heif"}  # pictures, too, whose owner would look for them
# Only these decoders may see a file, whatever its name says: EPS, for one, would start an interpreter.
FORMATS = ["AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"]
LARGEST_FILE = 600_000_000  # bytes; the largest picture that Pillow opens has as many when it is not compressed
MOST_NUMBERS = 1_000_000  # in the tags of a TIFF, most of which may be where its strips begin
TIFF_BYTES = (1, 2, 7)  # types of tags that Pillow keeps as bytes
PIXELS_AT_ONCE = 200_000_000  # decoded side by side, 4 to 8 bytes each
OPAQUE = 128  # and above: a pixel that is known
STRIP = 4_000_000  # pixels converted at a time
LARGE = 4_000_000  # bytes of a decoded picture that is compressed quickly
FRAME_TIME, LAST_FRAME_TIME = 120, 2000  # milliseconds, in a GIF
LONGEST_NAME = 240  # bytes; file systems take 255, and a number and a suffix may follow
Image.init()  # loads the decoders that Pillow does not know of at first, TIFF's and WebP's

# What Pillow warns of in a picture it can read is nobody's concern, and one it cannot read is named.
warnings.filterwarnings("ignore", module=r"PIL\.")
warnings.simplefilter("ignore", Image.DecompressionBombWarning)
logging.getLogger("PIL").setLevel(logging.CRITICAL)
_libtiff = Lock()  # it prints what it finds damaged, and quietness is for one thread at a time


class PictureError(UserError):
    """A picture that cannot be read."""


def check_folder(folder: str | Path, of: str = "pictures") -> None:
    """UserError if there is no such folder."""
    if not os.path.isdir(folder):
        raise UserError(f"no folder {folder}: name a folder of {of}")


def find_pictures(folder: str | Path, without: Iterable[Path] = ()) -> list[Path]:
    """All picture files below `folder` and the folders linked there, sorted; says what cannot be read.

    Those below a folder in `without` are left out, which is said, unless `folder` itself lies there. UserError if there
    is no such folder or no picture in it.
    """
    check_folder(folder)
    excluded = [place for place in map(Path.resolve, without) if not Path(folder).resolve().is_relative_to(place)]
    paths, others = [], []
    left_out: Counter[Path] = Counter()
    seen = set()
    for parent, folders, names in os.walk(folder, onerror=lambda error: say(f"skipped: {error}"), followlinks=True):
        real = os.path.realpath(parent)  # not every disk numbers its folders
        if real in seen:  # a link leads back to it
            folders.clear()
            continue
        folders.sort()  # what is linked twice is always found at the same place
        seen.add(real)
        found = []
        for name in names:
            suffix = os.path.splitext(name)[1].lower()
            if suffix in SUFFIXES and not name.startswith("."):
                found.append(Path(parent, name))
            elif suffix in NOT_READ:
                others.append(os.path.join(parent, name))
        around = [place for place in excluded if Path(real).is_relative_to(place)]
        if around:
            left_out[around[0]] += len(found)
        else:
            paths += found
    for place, count in left_out.items():
        if count:
            say(f"skipped: {count} pictures in {place}, which is an output folder")
    if others:
        say(f"skipped: {len(others)} files in an unsupported format ({others[0]}): save such pictures as PNG or JPEG")
    if not paths:
        raise UserError(f"no pictures in {folder}: put {', '.join(s[1:] for s in sorted(SUFFIXES))} files there")
    return sorted(paths)


def read_picture(path: str | Path, mode: str = "RGB") -> np.ndarray:
    """A picture file upright as uint8 [H, W, channels of Pillow's `mode`], or [H, W] if it has one.

    PictureError if it cannot be read.
    """
    with _decoded(path) as picture:
        return _pixels(picture, mode)


def read_photo(path: str | Path) -> Photo:
    """A picture file, upright. Transparent pixels are unknown. PictureError if it cannot be read."""
    with _decoded(path) as picture:
        pixels = _pixels(picture, "RGB")
        known = np.ones(pixels.shape[:2], bool)
        if picture.has_transparency_data:
            strips = _strips(picture, "RGBA", (0, 0, *picture.size))
            known = np.concatenate([np.asarray(strip)[..., 3] >= OPAQUE for strip in strips])
        grey, profile = Image.getmodebase(picture.mode) == "L", picture.info.get("icc_profile")
    # The profile's colour space is at byte 16 (ICC.1:2022, section 7.2). Profiles of other spaces, as CMYK, do not fit
    # the decoded pixels.
    fits = profile and profile[16:20] == (b"GRAY" if grey else b"RGB ")
    return Photo(pixels, known, grey, profile if fits else None)


def pixel_count(path: str | Path) -> int:
    """Of a picture file, whose pixels need not be readable; PictureError if that cannot be told."""
    with _opened(path) as picture:
        return picture.width * picture.height


@contextmanager
def _decoded(path: str | Path) -> Iterator[Image.Image]:
    """The picture in a file, decoded and upright. What goes wrong with it in here becomes a PictureError."""
    with _opened(path) as file, _decoding.of(file.width * file.height):
        if file.format == "TIFF":
            with _libtiff, quiet_stderr():
                file.load()
        if len(file.info.get("exif") or b"") > MOST_NUMBERS:
            raise ValueError("its EXIF data are too large")
        ImageOps.exif_transpose(file, in_place=True)
        yield file


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    if not os.path.isfile(path):  # to open a pipe would wait for its writer
        what = "it is a folder" if os.path.isdir(path) else "there is no such file"
        raise PictureError(f"cannot read the picture {path}: {what}")
    try:
        _check_bytes(path)
        with Image.open(path, formats=FORMATS) as file:
            yield file
    except Exception as error:  # Pillow's decoders raise nearly anything on a damaged file
        raise PictureError(f"cannot read the picture {path}: {error or type(error).__name__}") from error


def _check_bytes(path: str | Path) -> None:
    """ValueError for a file of which Pillow would read more into memory than a picture can be worth.

    That is one of too many bytes, or a TIFF with tags of too many numbers, as Python's numbers take much more room.
    """
    size = os.path.getsize(path)
    if size > LARGEST_FILE:
        raise ValueError(f"it is {size / 1e9:.1f} GB, and more than {LARGEST_FILE / 1e9:g} GB are not read")
    with open(path, "rb") as file:
        head = file.read(16)
        if head[:2] not in (b"II", b"MM") or not {42, 43} & set(head[2:4]):
            return
        order, is_big = "<" if head[:2] == b"II" else ">", head[2] == 43
        offset, count, entry = ("8xQ", "Q", "HHQ8x") if is_big else ("4xI", "H", "HHI4x")
        file.seek(*struct.unpack_from(order + offset, head))
        (tags,) = struct.unpack(order + count, file.read(struct.calcsize(order + count)))
        table = file.read(struct.calcsize(order + entry) * min(tags, MOST_NUMBERS))
    whole = len(table) // struct.calcsize(order + entry) * struct.calcsize(order + entry)
    entries = struct.iter_unpack(order + entry, table[:whole])
    # More than the file has bytes are damage, which Pillow passes over.
    numbers = sum(number for _, kind, number in entries if kind not in TIFF_BYTES and number <= size)
    if max(tags, numbers) > MOST_NUMBERS:
        raise ValueError("it has tags that no picture needs")


class _Decoding:
    """Lets threads decode side by side, as long as it is not too much that they hold together."""

    def __init__(self, pixels: int):
        self.limit, self.pixels, self.changed = pixels, 0, Condition()

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for a picture of so many pixels, or no other."""
        with self.changed:
            self.changed.wait_for(lambda: not self.pixels or self.pixels + pixels <= self.limit)
            self.pixels += pixels
        try:
            yield
        finally:
            with self.changed:
                self.pixels -= pixels
                self.changed.notify_all()


_decoding = _Decoding(PIXELS_AT_ONCE)


def _pixels(picture: Image.Image, mode: str) -> np.ndarray:
    """uint8 [H, W], or [H, W, C] if the mode has several channels."""
    pixels = np.empty((picture.height, picture.width, len(mode)), np.uint8)
    top = 0
    for strip in _strips(picture, mode, (0, 0, *picture.size)):
        pixels[top : top + strip.height] = np.asarray(strip).reshape(strip.height, strip.width, -1)
        top += strip.height
    return pixels if len(mode) > 1 else pixels[..., 0]


def _strips(picture: Image.Image, mode: str, box: tuple[int, int, int, int]) -> Iterator[Image.Image]:
    """What is in the box (left, top, right, bottom), in "L", "LA", "RGB" or "RGBA", cut into strips of the same width.

    So that what is made of a large picture on the way takes little memory.
    """
    deep = picture.mode == "F" or picture.mode.startswith("I")
    white = _white(picture) if picture.mode == "F" else 65535
    for strip in _cut(picture, box):
        yield (Image.fromarray(_to_8_bits(np.asarray(strip), white)) if deep else strip).convert(mode)


def _cut(picture: Image.Image, box: tuple[int, int, int, int]) -> Iterator[Image.Image]:
    left, top, right, bottom = box
    rows = max(1, STRIP // (right - left))
    return (picture.crop((left, row, right, min(row + rows, bottom))) for row in range(top, bottom, rows))


def _white(picture: Image.Image) -> int:
    """The value of white in a picture of floats: 1 if nothing is above, otherwise 255."""
    strips = _cut(picture, (0, 0, *picture.size))
    return 1 if all(_finite(np.asarray(strip)).max() <= 1 for strip in strips) else 255


def _finite(values: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(values, posinf=0, neginf=0), 0, 255)


def _to_8_bits(values: np.ndarray, white: int) -> np.ndarray:
    """Integers or floats as uint8, which Pillow would clip."""
    values = _finite(values) * (255 / white) if values.dtype.kind == "f" else values / (white / 255)
    return np.clip(values, 0, 255).round().astype(np.uint8)


def central_square(pixels: np.ndarray) -> np.ndarray:
    """The largest square in the middle of [H, W] or [H, W, C]."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = _central_box(width, height)
    return pixels[top:bottom, left:right]


def _central_box(width: int, height: int) -> tuple[int, int, int, int]:
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """uint8 [S, S] or [S, S, C] resized to [size, size].

    The last of two or four channels is the opacity: what it hides does not run into its neighbours.
    """
    return np.asarray(_resized(Image.fromarray(pixels), size, size))


def _resized(picture: Image.Image, width: int, height: int) -> Image.Image:
    return picture if picture.size == (width, height) else picture.resize((width, height), Image.Resampling.BICUBIC)


def load_picture(path: str | Path, size: int, c_dim: int) -> tuple[np.ndarray, bool]:
    """A picture as uint8 [size, size, c_dim], and whether it had to be fitted.

    One of another size is cropped to its central square and resized. PictureError if it cannot be read.
    """
    with _decoded(path) as picture:
        strips = _strips(picture, "L" if c_dim == 1 else "RGB", _central_box(*picture.size))
        # Pillow, too, makes a picture narrower before it makes it lower.
        narrow = [np.asarray(_resized(strip, size, strip.height)) for strip in strips]
        fitted = np.asarray(_resized(Image.fromarray(np.concatenate(narrow)), size, size))
        return fitted.reshape(size, size, c_dim), picture.size != (size, size)


def evenly(paths: list[Path], count: int) -> list[Path]:
    """`count` of the paths, spread evenly over them; all if there are no more."""
    return [paths[i * len(paths) // count] for i in range(count)] if count < len(paths) else paths


def load_pictures(paths: Sequence[Path], size: int, c_dim: int) -> np.ndarray:
    """uint8 [N, size, size, c_dim]: the pictures as `load_picture` makes them, but for those that it cannot read."""
    loaded = load_each(dict(enumerate(paths)), lambda path: load_picture(path, size, c_dim)[0])
    return np.array([*loaded.values()], np.uint8).reshape(-1, size, size, c_dim)


def load_each(items: Mapping[int, Any], load: Callable[[Any], Any]) -> dict[int, Any]:
    """What `load` makes of each path, or what stands for one, by their numbers; names those it cannot load."""
    loaded = {}
    for number, item in items.items():
        try:
            loaded[number] = load(item)
        except UserError as error:
            say(f"skipped: {error}")
    return loaded


def unique_names(paths: Sequence[Path], known: Mapping[Path, str] | None = None) -> list[str]:
    """A name for each path's output: its stem, or <folder>__<stem> where two paths share a stem.

    Paths in `known` keep the name they have there. Where a name is taken all the same, a number is added: in other
    capitals it is the same file on some disks.
    """
    known = known or {}
    taken = set(map(_on_disk, known.values()))
    stems = Counter(path.stem for path in paths)
    names = []
    for path in paths:
        base = path.stem if stems[path.stem] == 1 else f"{path.absolute().parent.name}__{path.stem}"
        name = base = os.fsdecode(os.fsencode(base)[-LONGEST_NAME:])
        number = 1
        while path not in known and _on_disk(name) in taken:
            number += 1
            name = f"{base}__{number}"
        names.append(known.get(path, name))
        taken.add(_on_disk(names[-1]))
    return names


def _on_disk(name: str) -> str:
    """What two names have in common that are one file for Windows or macOS."""
    return unicodedata.normalize("NFC", name).casefold()


def save_picture(path: Path, pixels: np.ndarray, profile: bytes | None = None) -> None:
    """Writes uint8 [H, W, 3] or [H, W, 1] as a PNG file. profile: the color profile, if it has one."""
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    level = 6 if pixels.size < LARGE else 4  # a file 5 % larger is written in less than half of the time
    write_atomic(path, lambda partial: picture.save(partial, icc_profile=profile, compress_level=level))


def save_gif(path: Path, frames: Iterable[np.ndarray]) -> None:
    """Writes [H, W, C] uint8 frames as a GIF that loops and rests on its last frame."""
    pictures = [Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame) for frame in frames]
    durations = [FRAME_TIME] * (len(pictures) - 1) + [LAST_FRAME_TIME]
    write_atomic(
        path,
        lambda partial: pictures[0].save(
            partial, save_all=True, append_images=pictures[1:], duration=durations, loop=0
        ),
    )
