"""Sorts the pictures of a call into whole photos and aligned pictures."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from completion.aligned_reader import AlignedReader
from completion.batches import Group, Reader, Recipe
from completion.given_masks import GivenMasks
from completion.models import Model, image_size
from completion.options import PhotoOptions
from images.decoding import PictureError, Source, in_turn, picture_size, read_photo
from images.mask_options import WITHOUT_HOLE
from utils import Progress, UserError, say, some

if TYPE_CHECKING:
    from faces.detector import Boxes


def open_groups(
    imgs: Sequence[Source],
    photos: PhotoOptions,
    masks: GivenMasks,
    model: Model,
    recipe_of: Callable[[bool], Recipe],
) -> list[Group]:
    """The groups that have pictures. UserError if the options name an unusable model, mask or face.

    recipe_of: gives the recipe for whole photos (True) or for aligned pictures (False), with the `model`.
    """
    kind = _kind(photos, masks)
    kinds = [bool(kind)] * len(imgs)
    seen: dict[Source, Boxes] = {}
    if kind is None:
        kinds, seen = whole_photos(imgs, image_size(model), masks)
    numbers = {are_photos: [n for n, each in enumerate(kinds) if each == are_photos] for are_photos in (True, False)}
    if kind is None and numbers[True]:
        named = some([imgs[number] for number in numbers[True]])
        say(f"completed as whole photos: {named}. To crop them to their center instead, add --aligned")

    def opened(are_photos: bool) -> Group:
        recipe = recipe_of(are_photos)
        dcgan, seed = recipe.dcgan, recipe.search.seed
        reader: Reader
        if are_photos:
            from completion.photo_reader import PhotoReader

            reader = PhotoReader(photos, masks, dcgan, seed, seen)
        else:
            reader = AlignedReader(masks, dcgan.options, seed)
        return Group(numbers[are_photos], recipe, reader)

    return [opened(are_photos) for are_photos, part in numbers.items() if part]


def _kind(photos: PhotoOptions, masks: GivenMasks) -> bool | None:
    """Whether the options are for whole photos (True) or aligned pictures (False); None if they are for both."""
    if photos.photo or photos.points or photos.alignment:
        return True
    return False if photos.aligned or masks.options.kind in WITHOUT_HOLE else None


def whole_photos(imgs: Sequence[Source], size: int, masks: GivenMasks) -> tuple[list[bool], dict[Source, "Boxes"]]:
    """Whether each picture is a whole photo: it shows faces, but none that fills it.

    Also returns what `first_look` saw in those pictures that it looked at. Pictures of `size` pixels are never photos.
    A picture without a face, or that cannot be read, counts as a photo if all others are.
    """
    kinds = [_without_look(path, size) for path in imgs]
    unknown = [number for number, kind in enumerate(kinds) if kind is None]
    progress, seen = Progress(len(unknown), "pictures"), {}
    threads = ThreadPoolExecutor(os.cpu_count())
    try:
        for number, look in [(number, threads.submit(_by_faces, imgs[number], masks)) for number in unknown]:
            kinds[number], boxes = look.result()
            if boxes is not None:
                seen[imgs[number]] = boxes
            progress.update(progress.done + 1, "looking for faces")
    finally:
        threads.shutdown(cancel_futures=True)
    known = [kind for kind in kinds if kind is not None]
    rest = bool(known) and all(known)
    return [rest if kind is None else kind for kind in kinds], seen


def _without_look(path: Source, size: int) -> bool | None:
    with suppress(PictureError):
        return False if picture_size(path) == (size, size) else None
    return None


def _by_faces(path: Source, masks: GivenMasks) -> tuple[bool | None, "Boxes | None"]:
    """Whether a picture with its hole filled is a whole photo, and what `first_look` saw if it was needed.

    The former is None if no face is found, if the picture cannot be read, or if it has no mask.
    """
    from faces.detector import LOOK, face_fills, filled, fills  # here, as dlib takes time to load
    from faces.finding import first_look

    with in_turn(path):
        try:
            photo, _ = masks.photo(path)
        except PictureError:
            return None, None
        except UserError:  # a square mask may belong to the center of the picture
            photo = read_photo(path)
        small, _ = photo.shrunk(max(photo.shape) // LOOK)
        filling = face_fills(filled(small.pixels, small.known), doublings=0)  # a fifth of the time of the first look
        if filling is not None:
            return not filling, None
        seen = first_look(photo)
    boxes = [(box, score) for box, score in seen if score > 0]
    return (not fills(boxes, photo.shape) if boxes else None), seen
