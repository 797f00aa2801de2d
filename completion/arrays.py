"""Completes pictures of a program: arrays or paths in, arrays out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from completion.batches import Batch, Group, Outcome, Recipe
from completion.given_masks import GivenMasks
from completion.groups import open_groups
from completion.models import Model, open_model
from completion.options import AT_ONCE, PhotoOptions
from dcgan.options import PRESETS, SearchOptions
from images.decoding import Given
from images.mask_files import read_mask
from images.mask_options import MaskOptions
from utils import UserError


def given_pictures(pictures: Sequence[Any], masks: Any) -> list[Given]:
    """Pictures and masks as `completion.complete` takes them. UserError or ValueError if they are unusable."""
    if isinstance(masks, list | tuple):
        known = [None if mask is None else known_by(mask) for mask in masks]
    else:
        known = [None if masks is None else known_by(masks)] * len(pictures)
    if len(known) != len(pictures):
        raise ValueError(f"there are {len(known)} masks for {len(pictures)} pictures: give one, or one for each")
    return [_given(each, f"picture {n}", mask) for n, (each, mask) in enumerate(zip(pictures, known, strict=True))]


def _given(picture: Any, name: str, known: np.ndarray | None = None) -> Given:
    if not isinstance(picture, np.ndarray):
        return Given(Path(picture), str(picture), known)
    shape = picture.shape
    if picture.dtype != np.uint8 or len(shape) not in (2, 3) or shape[2:] > (4,) or 0 in shape:
        raise ValueError(f"{name} is {picture.dtype} {shape}, not uint8 [H, W] or [H, W, C] with C from 1 to 4")
    return Given(picture[..., 0] if shape[2:] == (1,) else picture, name, known)


def known_by(mask: Any) -> np.ndarray:
    """A mask as bool [H, W]. Arrays of 0 and 1 are masks themselves; others are read like a picture of a mask."""
    if not isinstance(mask, np.ndarray):
        return read_mask(Path(mask))
    if mask.size and (mask.dtype == bool or mask.max() <= 1):
        if mask.ndim != 2:
            raise ValueError(f"a mask is {mask.dtype} {mask.shape}, not [H, W]")
        return mask >= 0.5
    return read_mask(_given(np.clip(mask, 0, 255).astype(np.uint8), "given"))


def complete_pictures(
    pictures: Sequence[Given], photos: PhotoOptions, model: Model, preset: str, search: Mapping[str, Any]
) -> list[np.ndarray]:
    """The completed pictures, uint8 [H, W, 3] or [H, W]. UserError if one of them cannot be completed."""
    if preset not in PRESETS:
        raise ValueError(f"{preset} is not one of {', '.join(PRESETS)}")
    unknown = search.keys() - asdict(SearchOptions()).keys()
    if unknown:
        raise ValueError(f"{min(unknown)} is not an option of the search: `complete.py --help` lists them")
    options = replace(PRESETS[preset].search, **{"out_interval": 0, **search})

    def recipe(of_photos: bool) -> Recipe:
        dcgan = open_model(model, photos=of_photos) if model is None or isinstance(model, Path) else model
        return Recipe(dcgan, options, PRESETS[preset].blend)

    results: dict[int, np.ndarray] = {}
    for group in open_groups(pictures, photos, GivenMasks(MaskOptions()), model, recipe):
        for first in range(0, len(group.numbers), AT_ONCE):
            part = {number: pictures[number] for number in group.numbers[first : first + AT_ONCE]}
            results |= _of_batch(group, part)
    return [results[number] for number in range(len(pictures))]


def _of_batch(group: Group, pictures: Mapping[int, Given]) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the completed pictures with their numbers."""
    loaded = _load_all(pictures, group.reader.read)
    batch = Batch(1, group, group.reader.with_faces(loaded, _load_all)).with_heads()
    outcome = Outcome.without_faces(batch, 0)
    if batch.has_faces:
        *_, last = group.recipe.dcgan.complete(batch.incomplete, group.recipe.search)
        outcome = batch.outcome(last)
    for number, each in batch.loaded.items():
        rows = batch.rows(number)
        if not outcome.found[rows].all():
            raise UserError(f"{each.path} cannot be completed: the loss never became finite")
        (final,) = group.reader.finals(each, [outcome.blended[rows]])
        pixels = final.photo.in_srgb().to_save()
        yield number, pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def _load_all(items: Mapping[int, Any], load: Callable[[Any], Any]) -> dict[int, Any]:
    """Applies `load` to each item; its errors are raised."""
    return {number: load(item) for number, item in items.items()}
