"""Looks into z space: samples, walks, arithmetic, and the training pictures nearest to samples.

Everything that is written carries a note: what stands in its place without one is not ours, and stays as it is.
"""

import dataclasses
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from completion.models import open_model
from dcgan.latent import combined, load_z, save_z, text_in, walk
from dcgan.options import SearchOptions
from images.dataset import Dataset
from images.files import find_pictures, load_picture, read_note, save_gif, save_picture
from images.incomplete import Incomplete
from images.neighbours import nearest
from images.sheets import BORDER, ROWS, framed, titled
from jobs.arguments import FILES, SampleOptions
from utils import Progress, UserError, digest, only_writer, say, some

if TYPE_CHECKING:
    from model import DCGAN

MARK = "sample.py of dcgan-completion"
# Where all is known, |z| needs no holding back, and more iterations pay: 1.6 dB on 48 held-out faces.
PROJECTION = SearchOptions(n_iter=100, z_penalty=0.0, refine=0, out_interval=0)
BATCH = 64  # pictures searched at a time
NEIGHBOURS = ("nearest", "second", "third")
LARGEST_SHEET = 178_000_000  # pixels; Pillow, for one, opens no larger picture


def sample(options: SampleOptions) -> None:
    """Writes what the options ask for, and says where it is; UserError if it cannot be made."""
    out = options.out_dir
    with only_writer(out):
        options = _listed(options)
        _check_places(options)
        neighbours = find_pictures(options.nearest, [out]) if options.nearest else []
        dcgan = open_model(options.checkpoint_dir)
        _name_foreign(_named(options), model_of(dcgan))
        if options.terms:
            draw_arithmetic(dcgan, options.terms, out)
        elif options.walk:
            draw_walk(dcgan, _z(dcgan, options, 8), options.walk, out)
        elif options.nearest:
            draw_nearest(dcgan, neighbours, _z(dcgan, options, 8), out)
        elif options.single:
            write_single(dcgan, _z(dcgan, options, 64), out / "single")
        else:
            z = _z(dcgan, options, 64)
            _save(dcgan, out / "samples", z, framed(images(dcgan, z), options.columns))


# ----------------------------------------------------------------------------------------- what z


def model_of(dcgan: "DCGAN") -> str:
    """What tells the generator from another, for which the same z stands for another picture; rounded, as bundled."""
    return digest(*(each.astype(np.float16) for each in dcgan.generator.get_weights()))[:16]


def _z(dcgan: "DCGAN", options: SampleOptions, usual: int) -> np.ndarray:
    """float32 [N, z_dim]: those of the files named, or random ones, the `usual` number unless another is named."""
    if options.z:
        return z_of_files(dcgan, options.z)
    shape = options.count or usual, dcgan.z_dim
    return np.random.default_rng(options.seed).uniform(-1, 1, shape).astype(np.float32)


def z_of_files(dcgan: "DCGAN", paths: Sequence[Path]) -> np.ndarray:
    """float32 [N, z_dim]: what is in z files, and for each picture the z that the search finds for it."""
    z = {path: load_z(path, dcgan.z_dim) for path in paths if path.suffix.lower() == ".npz"}
    loaded = {path: load_picture(path, dcgan.image_size, dcgan.c_dim) for path in paths if path not in z}
    if loaded:
        pictures, fitted = zip(*loaded.values(), strict=True)
        if any(fitted):
            say(f"cropped to a square and resized to the model's size: {sum(fitted)} of {len(fitted)} pictures")
        z |= dict(zip(loaded, projected(dcgan, np.stack(pictures))[:, None], strict=True))
    return np.concatenate([z[path] for path in paths])


def projected(dcgan: "DCGAN", pictures: np.ndarray) -> np.ndarray:
    """float32 [N, z_dim]: the z whose G(z) come near the pictures, uint8 [N, H, W, C], by the search."""
    incomplete = Incomplete(pictures, np.ones(pictures.shape[1:3]))
    firsts = range(0, len(pictures), BATCH)
    progress = Progress(len(firsts) * PROJECTION.iterations, "iterations")
    found = []
    for nth, first in enumerate(firsts):
        for state in dcgan.complete(incomplete[first : first + BATCH], PROJECTION):
            progress.update(nth * PROJECTION.iterations + state.iteration)
        found.append(state.z)
    return np.concatenate(found)


# ------------------------------------------------------------------------------ what is made of it


def images(dcgan: "DCGAN", z: np.ndarray, columns: int = 1) -> np.ndarray:
    """G(z), uint8 [N, H, W, C]; UserError if a sheet of them, each with so many `columns`, would be too large."""
    count, side = len(z) * columns, max(128, dcgan.image_size) + BORDER
    if count * side**2 > LARGEST_SHEET:
        raise UserError(f"a sheet of {count} pictures is too large to be opened: ask for fewer")
    return np.concatenate(list(dcgan.generate(z)))


def write_single(dcgan: "DCGAN", z: np.ndarray, folder: Path) -> None:
    """Writes a file for each picture and its z, in place of those of an earlier call."""
    earlier = set(_all_in(folder))
    progress, digits, model = Progress(len(z), "pictures"), max(4, len(str(len(z) - 1))), model_of(dcgan)
    for i, picture in enumerate(itertools.chain.from_iterable(dcgan.generate(z))):
        path = folder / f"{i:0{digits}}.png"
        save_picture(path, picture, MARK)
        save_z(path.with_suffix(".npz"), MARK, z[i : i + 1], model=model)
        earlier -= {path, path.with_suffix(".npz")}
        progress.update(i + 1)
    for path in earlier:
        path.unlink()
    say(f"pictures and their z: {folder}")


def draw_walk(dcgan: "DCGAN", points: np.ndarray, steps: int, out: Path) -> None:
    """Writes a grid with a row for each leg, and a GIF that goes there and back."""
    if len(points) < 2:
        raise UserError("--walk needs two z or more, and there is one: name another")
    z, columns = walk(points, steps), steps + 1
    pictures = images(dcgan, z)
    # The end of a leg is the beginning of the next.
    there = [framed(picture[None]) for i, picture in enumerate(pictures) if i == 0 or i % columns]
    _save(dcgan, out / "walk", z, framed(pictures, columns), there + there[-2::-1])


def draw_arithmetic(dcgan: "DCGAN", terms: Iterable[tuple[int, Sequence[Path]]], out: Path) -> None:
    """Writes a column for each term, its mean above what that is the mean of, and one for the result."""
    signs, z = zip(*((sign, z_of_files(dcgan, files)) for sign, files in terms), strict=True)
    result = combined(z, signs)
    if max(map(len, z)) > ROWS:
        say(f"of each term the first {ROWS} are shown, and its mean is that of all")
    columns = [*(np.concatenate([combined([term]), term[: ROWS if len(term) > 1 else 0]]) for term in z), result]
    shape = max(map(len, columns)), len(columns), dcgan.image_size, dcgan.image_size, dcgan.c_dim
    pictures = np.full(shape, 255, np.uint8)
    for i, column in enumerate(columns):
        pictures[: len(column), i] = images(dcgan, column)
    sheet = framed(pictures.reshape(-1, *shape[2:]), len(columns))
    titles = [
        f"{'+' if sign > 0 else '-'} mean of {len(term)}".removesuffix(" mean of 1")
        for sign, term in zip(signs, z, strict=True)
    ]
    names = [f"{name}{i + 1}" for name, sign in (("plus", 1), ("minus", -1)) for i in range(signs.count(sign))]
    _save(dcgan, out / "arithmetic", result, titled(sheet, [*titles, "="]), **dict(zip(names, z, strict=True)))


def draw_nearest(dcgan: "DCGAN", paths: Sequence[Path], z: np.ndarray, out: Path) -> None:
    """Writes a row for each picture with those of the `paths` that are nearest to it, and says how near they are."""
    pictures = images(dcgan, z, 1 + len(NEIGHBOURS))
    dataset = Dataset(paths, dcgan.image_size, dcgan.c_dim, memory=0)
    found = nearest(pictures, dataset, len(NEIGHBOURS), Progress(len(paths), "pictures").update)
    say(f"root mean squared differences, of 255, to the nearest of {len(paths) - dataset.left_out} pictures:")
    for i, (number, distance, mirrored) in enumerate(zip(*(each[:, 0] for each in found), strict=True)):
        say(f"  {i}: {distance:.1f} to {paths[number]}{', mirrored' if mirrored else ''}")
    near = dataset[found.numbers.ravel()].reshape(*found.numbers.shape, *pictures.shape[1:])
    near = np.where(found.mirrored[..., None, None, None], near[..., ::-1, :], near)
    rows = np.concatenate([pictures[:, None], near], axis=1)
    sheet = framed(rows.reshape(-1, *pictures.shape[1:]), rows.shape[1])
    _save(dcgan, out / "nearest", z, titled(sheet, ["sample", *NEIGHBOURS][: rows.shape[1]]))


# ------------------------------------------------------------------------------------------- files


def _listed(options: SampleOptions) -> SampleOptions:
    """The options with what lies in it in place of each folder: z files, or pictures where there are none.

    UserError if what they name is not there.
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


def _named(options: SampleOptions) -> list[Path]:
    """The files whose z the options ask for."""
    return [*(options.z or ()), *itertools.chain.from_iterable(files for _, files in options.terms)]


def _name_foreign(named: Iterable[Path], model: str) -> None:
    """Says which files have z of another model than this one."""
    others = [path for path in named if text_in(path, "model") not in (None, model)]
    if others:
        say(f"z of another model, of which this one makes other pictures: {some(others, 'files')}")


def _check_places(options: SampleOptions) -> None:
    """UserError if what is named, or another's file, stands where something is to be written."""
    out = options.out_dir
    if options.nearest and os.path.realpath(options.nearest) == os.path.realpath(out):
        raise UserError(f"{out} holds the pictures to compare with: name another --outDir")
    named = _named(options)
    sources = {os.path.realpath(path) for path in named}
    if options.kind == "single":
        places = _all_in(out / "single")
    else:
        places = [out / f"{options.kind}.{suffix}" for suffix in ("npz", "png", *(["gif"] if options.walk else []))]
        alone = [os.path.realpath(path) for path in named] == [os.path.realpath(places[0])]
        if alone and options.kind in ("samples", "nearest"):
            sources = set()  # its z is written again as it is
    for path in places:
        empty = path.is_file() and not path.stat().st_size  # which holds nothing to lose
        if os.path.lexists(path) and not empty and MARK not in (text_in(path, "note"), read_note(path, damaged=True)):
            raise UserError(f"{path} was not written by sample.py: name another --outDir")
        if os.path.realpath(path) in sources:
            raise UserError(f"{path} lies where the results are written: name another --outDir")


def _all_in(folder: Path) -> list[Path]:
    """What lies in the folder of single pictures, or what stands in its place."""
    return sorted(folder.glob("[!.]*")) if folder.is_dir() else [folder] if os.path.lexists(folder) else []


def _save(
    dcgan: "DCGAN",
    path: Path,
    z: np.ndarray,
    sheet: np.ndarray,
    frames: Sequence[np.ndarray] = (),
    **others: np.ndarray,
) -> None:
    """Writes z, with other arrays, the sheet, and a GIF of the frames, if there are some, and says where to look."""
    save_z(path.with_suffix(".npz"), MARK, z, model=model_of(dcgan), **others)
    save_picture(path.with_suffix(".png"), sheet, MARK)
    if frames:
        save_gif(path.with_suffix(".gif"), frames, MARK)
    say(f"look at {path}.png" + (f", {path}.gif" if frames else ""))
