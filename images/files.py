"""Finds, names and writes picture files."""

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from utils import UserError, say

PNM = {".pbm", ".pgm", ".pnm", ".ppm"}
SUFFIXES = {".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"} | PNM
NOT_READ = {".heic", ".heif"}  # reported, because their owner would miss them
PNG_LEVEL = 4  # of zlib: photos are as small as at its default, 6, in half the time
FRAME_TIME, LAST_FRAME_TIME = 120, 2000  # milliseconds, in a GIF
PALETTE_FRAMES = 8  # of a GIF, at most, decide its colors
LONGEST_NAME = 240  # bytes; file systems allow 255, and a number and a suffix may follow


def check_folder(folder: str | Path, of: str = "pictures") -> None:
    """Raises UserError if there is no such folder."""
    if not os.path.isdir(folder):
        raise UserError(f"no folder {folder}: choose a folder of {of}")


def find_pictures(folder: str | Path, without: Iterable[Path] = ()) -> list[Path]:
    """Finds all picture files below `folder`, with linked folders, sorted; reports what it skips.

    Skips the output folders in `without`, unless `folder` itself lies in one. UserError if no picture is found.
    """
    check_folder(folder)
    excluded = [place for place in map(Path.resolve, without) if not Path(folder).resolve().is_relative_to(place)]
    pictures, unsupported = [], []
    skipped: Counter[Path] = Counter()
    for real, files in _folders_below(folder):
        found = [file for file in files if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]
        unsupported += [file for file in files if file.suffix.lower() in NOT_READ]
        place = next((place for place in excluded if real.is_relative_to(place)), None)
        if place:
            skipped[place] += len(found)
        else:
            pictures += found
    for place, count in skipped.items():
        if count:
            say(f"skipped pictures in the output folder {place}: {count}")
    if unsupported:
        count, first = len(unsupported), unsupported[0]
        say(f"skipped HEIC files: {count} ({first}). They cannot be read: save such pictures as PNG or JPEG")
    if not pictures:
        raise UserError(f"no pictures in {folder}: put {', '.join(s[1:] for s in sorted(SUFFIXES))} files there")
    return sorted(pictures)


def _folders_below(folder: str | Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yields the real path and the files of each folder, once, even if several links lead to it."""
    seen = set()
    for parent, folders, names in os.walk(folder, onerror=lambda error: say(f"skipped: {error}"), followlinks=True):
        real = os.path.realpath(parent)  # not all disks have inode numbers
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()  # so that a folder that is linked twice is always found at the same place
        yield Path(real), [Path(parent, name) for name in names]


def evenly(paths: list[Path], count: int) -> list[Path]:
    """Chooses `count` of the paths at even distances, or all if there are fewer."""
    return [paths[i * len(paths) // count] for i in range(count)] if count < len(paths) else paths


Loader = Callable[[Mapping[int, Any], Callable[[Any], Any]], dict[int, Any]]
"""Applies a function to each item, as `load_each` does."""


def load_each(items: Mapping[int, Any], load: Callable[[Any], Any]) -> dict[int, Any]:
    """Applies `load` to each item; reports and skips those for which it raises UserError."""
    loaded = {}
    for number, item in items.items():
        try:
            loaded[number] = load(item)
        except UserError as error:
            say(f"skipped: {error}")
    return loaded


def unique_names(paths: Sequence[Path], known: Mapping[Path, str] | None = None) -> list[str]:
    """A name for each path's output: its stem, or <folder>__<stem> if several paths have that stem.

    Paths in `known` keep their name from there. If a name is taken, a number is added. Capitals do not count, because
    some disks ignore them.
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
    """A form of the name that is the same for names that are one file on Windows or macOS."""
    return unicodedata.normalize("NFC", name).casefold()


def save_picture(path: Path, pixels: np.ndarray) -> None:
    """Writes uint8 [H, W, C] as a PNG file; C is 1, 3 or 4."""
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    picture.save(path, compress_level=PNG_LEVEL)


def save_gif(path: Path, frames: Sequence[np.ndarray]) -> None:
    """Writes uint8 frames [H, W, C] as a GIF that loops and pauses at its last frame."""
    if frames[0].shape[-1] == 1:
        pictures = [Image.fromarray(frame[..., 0]) for frame in frames]
    else:
        # One palette for all: to choose one for each frame takes five times as long, and makes colors flicker.
        palette = Image.fromarray(np.concatenate(frames[:: -(-len(frames) // PALETTE_FRAMES)])).quantize()
        pictures = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [FRAME_TIME] * (len(pictures) - 1) + [LAST_FRAME_TIME]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, loop=0)
