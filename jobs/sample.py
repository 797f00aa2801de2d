"""Looks into z space: samples, walks, arithmetic, and the training pictures nearest to samples."""

import dataclasses
import itertools
import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from completion.models import open_model
from completion.options import AT_ONCE
from completion.searching import search_batches
from dcgan.latent import combined, load_z, random_z, save_z, walk
from dcgan.options import SearchOptions
from faces.table import check_margin
from images.dataset import Dataset
from images.decoding import load_picture
from images.files import find_pictures, save_gif, save_picture
from images.incomplete import Incomplete
from images.neighbors import nearest
from images.sheets import BORDER, ROWS, framed, table
from jobs.arguments import FILES, SampleOptions
from outputs import Outputs, only_writer
from utils import Progress, UserError, say

if TYPE_CHECKING:
    from model import DCGAN

# Without a hole, |z| needs no penalty, and more iterations pay: 1.6 dB on 48 held-out faces.
PROJECTION = SearchOptions(n_iter=100, z_penalty=0.0, refine=0)
NEIGHBORS = ("nearest", "second", "third")
LARGEST_SHEET = 178_000_000  # pixels; Pillow refuses to open a larger picture
SINGLE = "single"  # folder of single pictures, and the note of its files


def sample(options: SampleOptions) -> None:
    """Writes what the options ask for and reports where it is. UserError if it cannot be made."""
    out = options.out_dir
    with only_writer(out):
        outputs = Outputs(out, "--outDir")
        options = _listed(options)
        named = [*(options.z or ()), *itertools.chain.from_iterable(files for _, files in options.terms)]
        _check_places(options, named, outputs)
        neighbors = find_pictures(options.nearest, [out]) if options.nearest else []
        dcgan = open_model(options.checkpoint_dir)
        if options.terms:
            draw_arithmetic(dcgan, options.terms, outputs)
            return
        z = z_of_files(dcgan, options.z) if options.z else random_z(options.random_count, dcgan.z_dim, options.seed)
        if options.walk:
            draw_walk(dcgan, z, options.walk, outputs)
        elif options.nearest:
            draw_nearest(dcgan, neighbors, z, outputs)
        elif options.single:
            write_single(dcgan, z, outputs)
        else:
            _save(outputs, "samples", z, framed(images(dcgan, z), options.columns))


def z_of_files(dcgan: "DCGAN", paths: Sequence[Path]) -> np.ndarray:
    """float32 [N, z_dim]: the z in z files, and for each picture the z that the search finds."""
    z = {path: load_z(path, dcgan.z_dim) for path in paths if path.suffix.lower() == ".npz"}
    loaded = {path: load_picture(path, dcgan.image_size, dcgan.c_dim) for path in paths if path not in z}
    if loaded:
        check_margin(loaded, dcgan.options.margin)
        pictures, fitted, _ = zip(*loaded.values(), strict=True)
        if any(fitted):
            say(f"cropped to a square and resized to the model's size: {sum(fitted)} of {len(fitted)} pictures")
        complete = Incomplete(np.stack(pictures), np.ones((dcgan.image_size, dcgan.image_size)))
        states = search_batches(dcgan, complete, PROJECTION, AT_ONCE)
        z |= dict(zip(loaded, np.concatenate([state.z for state in states])[:, None], strict=True))
    return np.concatenate([z[path] for path in paths])


# --------------------------------------------------------------------------------------- drawing


def images(dcgan: "DCGAN", z: np.ndarray, columns: int = 1) -> np.ndarray:
    """G(z), uint8 [N, H, W, C]. UserError if a sheet with `columns` pictures for each would be too large."""
    count, side = len(z) * columns, max(128, dcgan.image_size) + BORDER
    if count * side**2 > LARGEST_SHEET:
        raise UserError(f"a sheet of {count} pictures is too large to be opened: choose fewer z or --single")
    return np.concatenate(list(dcgan.generate(z)))


def write_single(dcgan: "DCGAN", z: np.ndarray, outputs: Outputs) -> None:
    """Writes a file for each picture and its z, in place of those of an earlier call."""
    earlier = set(outputs.names(SINGLE))
    progress, digits = Progress(len(z), "pictures"), max(4, len(str(len(z) - 1)))
    for i, picture in enumerate(itertools.chain.from_iterable(dcgan.generate(z))):
        name = f"{SINGLE}/{i:0{digits}}"
        outputs.write(f"{name}.png", partial(save_picture, pixels=picture), SINGLE)
        outputs.write(f"{name}.npz", partial(save_z, z=z[i : i + 1]), SINGLE)
        earlier -= {f"{name}.png", f"{name}.npz"}
        progress.update(i + 1)
    outputs.remove(*earlier)
    say(f"pictures and their z: {outputs.folder / SINGLE}")


def draw_walk(dcgan: "DCGAN", points: np.ndarray, steps: int, outputs: Outputs) -> None:
    """Writes a grid with a row for each leg, and a GIF that walks to the end and back."""
    if len(points) < 2:
        raise UserError("--walk needs two z or more, but there is one: add another to --z")
    z, columns = walk(points, steps), steps + 1
    pictures = images(dcgan, z)
    # The end of a leg is the beginning of the next.
    there = [framed(picture[None]) for i, picture in enumerate(pictures) if i == 0 or i % columns]
    _save(outputs, "walk", z, framed(pictures, columns), there + there[-2::-1])


def draw_arithmetic(dcgan: "DCGAN", terms: Iterable[tuple[int, Sequence[Path]]], outputs: Outputs) -> None:
    """Writes a column for each term, its mean above its pictures, and a column for the result."""
    signs, z = zip(*((sign, z_of_files(dcgan, files)) for sign, files in terms), strict=True)
    result = combined(z, signs)
    if max(map(len, z)) > ROWS:
        say(f"each term shows only its first {ROWS} pictures; its mean is that of all")
    shown = [term[:ROWS] if len(term) > 1 else term[:0] for term in z]  # a single picture is its own mean
    columns = [*(np.concatenate([combined([term]), few]) for term, few in zip(z, shown, strict=True)), result]
    shape = max(map(len, columns)), len(columns), dcgan.image_size, dcgan.image_size, dcgan.c_dim
    pictures = np.full(shape, 255, np.uint8)
    for i, column in enumerate(columns):
        pictures[: len(column), i] = images(dcgan, column)
    means = ["" if len(term) == 1 else f" mean of {len(term)}" for term in z]
    titles = [f"{'+' if sign > 0 else '-'}{mean}" for sign, mean in zip(signs, means, strict=True)]
    sheet = table(pictures.reshape(-1, *shape[2:]), [*titles, "="])
    names = [f"{name}{i + 1}" for name, sign in (("plus", 1), ("minus", -1)) for i in range(signs.count(sign))]
    _save(outputs, "arithmetic", result, sheet, **dict(zip(names, z, strict=True)))


def draw_nearest(dcgan: "DCGAN", paths: Sequence[Path], z: np.ndarray, outputs: Outputs) -> None:
    """Writes a row for each picture with its nearest neighbors among the `paths`, and reports their distances."""
    pictures = images(dcgan, z, 1 + len(NEIGHBORS))
    dataset = Dataset(paths, dcgan.image_size, dcgan.c_dim, memory=0)
    found = nearest(pictures, dataset, len(NEIGHBORS), Progress(len(paths), "pictures").update)
    say(f"root mean squared difference (0 to 255) to the nearest of {len(paths) - dataset.left_out} pictures:")
    for i, (number, distance, mirrored) in enumerate(zip(*(each[:, 0] for each in found), strict=True)):
        say(f"  {i}: {distance:.1f} to {paths[number]}{', mirrored' if mirrored else ''}")
    near = dataset[found.numbers.ravel()].reshape(*found.numbers.shape, *pictures.shape[1:])
    near = np.where(found.mirrored[..., None, None, None], near[..., ::-1, :], near)
    rows = np.concatenate([pictures[:, None], near], axis=1)
    sheet = table(rows.reshape(-1, *pictures.shape[1:]), ["sample", *NEIGHBORS][: rows.shape[1]])
    _save(outputs, "nearest", z, sheet)


# ----------------------------------------------------------------------------------------- files


def _listed(options: SampleOptions) -> SampleOptions:
    """Replaces each folder in the options by its z files, or by its pictures if it has none.

    UserError if a file does not exist.
    """

    def files(named: Iterable[Path]) -> tuple[Path, ...]:
        found: list[Path] = []
        for path in named:
            if path.is_dir():
                found += sorted(path.glob("[!.]*.npz")) or find_pictures(path)
            elif path.is_file():
                found.append(path)
            else:
                raise UserError(f"no file {path}: name {FILES}")
        return tuple(found)

    return dataclasses.replace(
        options,
        z=options.z and files(options.z),
        plus=options.plus and tuple(map(files, options.plus)),
        minus=options.minus and tuple(map(files, options.minus)),
    )


def _check_places(options: SampleOptions, named: Sequence[Path], outputs: Outputs) -> None:
    """Raises UserError if the results would replace a file of the user, or one of those `named`."""
    out = outputs.folder
    if options.nearest and os.path.realpath(options.nearest) == os.path.realpath(out):
        raise UserError(f"{out} contains the pictures to compare with: choose another --outDir")
    if options.single:
        numbered = (f"{SINGLE}/{i:04}" for i in range(options.random_count))
        names = {*outputs.names(SINGLE), *(f"{name}.{end}" for name in numbered for end in ("png", "npz"))}
    else:
        names = {f"{options.kind}.{end}" for end in ("npz", "png", *(["gif"] if options.walk else []))}
    places = {os.path.realpath(out / name) for name in names}
    alone = [os.path.realpath(path) for path in named] == [os.path.realpath(out / f"{options.kind}.npz")]
    keeps_z = alone and options.kind in ("samples", "nearest")  # the same z is written again
    for path in named:
        if os.path.realpath(path) in places and not keeps_z:
            raise UserError(f"{path} would be overwritten by the results: choose another --outDir")
    outputs.check(*names)


def _save(
    outputs: Outputs,
    name: str,
    z: np.ndarray,
    sheet: np.ndarray,
    frames: Sequence[np.ndarray] = (),
    **others: np.ndarray,
) -> None:
    """Writes z with other arrays, the sheet, and a GIF if there are frames. Reports where they are."""
    outputs.write(f"{name}.npz", lambda path: save_z(path, z, **others))
    outputs.write(f"{name}.png", partial(save_picture, pixels=sheet))
    if frames:
        outputs.write(f"{name}.gif", partial(save_gif, frames=frames))
    path = outputs.folder / name
    say(f"look at {path}.png" + (f", {path}.gif" if frames else ""))
