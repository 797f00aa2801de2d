"""Sorts the pictures of a call into whole photos and aligned pictures, and opens the model of each group."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from completion.models import image_size, open_model
from dcgan.options import DeviceOptions, SearchOptions
from images.decoding import PictureError, picture_size, read_photo
from images.mask_options import WITHOUT_HOLE, MaskOptions
from jobs.complete.aligned_reader import AlignedReader
from jobs.complete.arguments import CompleteOptions, PhotoOptions
from jobs.complete.batches import Group, Reader, Recipe
from utils import Progress, say, some

if TYPE_CHECKING:
    from model import DCGAN


def open_groups(
    imgs: Sequence[Path],
    files: CompleteOptions,
    photos: PhotoOptions,
    masks: MaskOptions,
    search: SearchOptions,
    devices: DeviceOptions,
) -> list[Group]:
    """The groups that have pictures. UserError if the options name an unusable model, mask or face."""
    numbers = {True: [], False: []} if (kind := _kind(photos, masks)) is None else {kind: list(range(len(imgs)))}
    if kind is None:
        for number, is_photo in enumerate(whole_photos(imgs, image_size(files.checkpoint_dir))):
            numbers[is_photo].append(number)
        if numbers[True]:
            named = some([imgs[number] for number in numbers[True]])
            say(f"completed as whole photos: {named}. To crop them to their center instead, add --aligned")

    def opened(are_photos: bool) -> Group:
        dcgan = open_model(files.checkpoint_dir, files.img_size, masks.lowres, devices.of_search, are_photos)
        reader = open_reader(are_photos, photos, masks, dcgan, search.seed, imgs)
        return Group(numbers[are_photos], Recipe(dcgan, search, files.blend), reader)

    return [opened(are_photos) for are_photos, part in numbers.items() if part]


def _kind(photos: PhotoOptions, masks: MaskOptions) -> bool | None:
    """Whether the options are for whole photos (True) or aligned pictures (False); None if they are for both."""
    if photos.photo or photos.points or photos.alignment:
        return True
    return False if photos.aligned or masks.kind in WITHOUT_HOLE else None


def open_reader(
    are_photos: bool, photos: PhotoOptions, masks: MaskOptions, dcgan: "DCGAN", seed: int, imgs: Sequence[Path]
) -> Reader:
    """Returns the reader of photos or aligned pictures. UserError if the options name unusable masks or faces."""
    if are_photos:
        from jobs.complete.photo_reader import PhotoReader

        return PhotoReader(photos, masks, dcgan, seed, imgs)
    return AlignedReader(masks, dcgan.image_size, dcgan.c_dim, seed, imgs)


def whole_photos(imgs: Sequence[Path], size: int) -> list[bool]:
    """Whether each picture shows faces, but none that fills it. Pictures of `size` pixels never do.

    A picture that cannot be read counts as one of the others.
    """
    progress = Progress(len(imgs), "pictures")
    kinds = []
    for number, path in enumerate(imgs, 1):
        kinds.append(_is_whole_photo(path, size))
        progress.update(number, "looking for faces")
    rest = all(kind for kind in kinds if kind is not None)
    return [rest if kind is None else kind for kind in kinds]


def _is_whole_photo(path: Path, size: int) -> bool | None:
    try:
        if picture_size(path) == (size, size):
            return False
        photo = read_photo(path)
    except PictureError:
        return None
    from faces.detector import face_fills, filled  # here, as dlib takes time to load

    return face_fills(filled(photo.pixels, photo.known)) is False
