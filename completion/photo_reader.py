"""Reads photos with their masks, locates their faces, and composites the completed faces into the photos."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakSet

import cv2
import numpy as np

from completion.batches import Final, Reader
from completion.given_masks import GivenMasks, Hidden
from completion.options import PhotoOptions
from completion.photos import NO_HEADS, Heads, PhotoCompleter
from faces.alignment import alignments, as_points, frame_by
from faces.compositing import LITTLE, Layer, share_outside
from faces.detector import Boxes
from faces.finding import CLEAR, first_look
from faces.frame import Frame, around
from images.decoding import PictureError, Source
from images.files import Loader, load_each
from images.incomplete import Incomplete
from images.masks import checked, grown, make_mask
from images.photo import Photo
from images.sheets import thumbnail
from utils import Progress, UserError, digest, say

if TYPE_CHECKING:
    from model import DCGAN

SMALL = 16  # pixels: a smaller face shows hardly any detail
POINTS = 'its inner eye corners and lower lip by --points "x,y x,y x,y", or the --alignment of an undamaged version'
KEPT = 100_000_000  # pixels, of 4 bytes, that are kept in memory from reading to writing


@dataclass(frozen=True)
class LoadedPhoto:
    """A photo to complete, and its damaged faces once they are located."""

    path: Source
    made_of: tuple[str]  # a digest of everything that its completion depends on
    photo: Photo | None  # None if it takes too much memory; then it is read again
    shape: tuple[int, int]  # height and width
    frames: Sequence[Frame]  # at first those that the options give
    hidden: Hidden | None = None  # None if a mask that is made in the model's frame hides a part of each face
    seen: Boxes | None = None  # by `first_look`, if known already
    incomplete: Incomplete | None = None  # the faces in these frames
    heads: Heads = NO_HEADS  # of all faces near whose frames the hole goes on
    completed_heads: Layer | None = None

    fitted = False  # into a square

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]


class PhotoReader(Reader):
    """Reads photos and their masks, locates the faces, and composites the completed faces."""

    def __init__(
        self,
        photos: PhotoOptions,
        masks: GivenMasks,
        dcgan: "DCGAN",
        seed: int,
        seen: Mapping[Source, Boxes] | None = None,
    ):
        """Random masks and grain follow from `seed`. seen: what `first_look` saw in photos.

        UserError if a mask, the points or the alignment cannot be used, or if the landmark model is missing.
        """
        self.masks, size = masks, dcgan.image_size
        self.grain, self.seed = photos.grain, seed
        self.in_frame = make_mask(masks.options.kind or "center", size, masks.options, seed)
        self.completer = PhotoCompleter(dcgan)
        self.wide_made_of = [self.completer.wide.made_of()] if self.completer.wide else []
        self.points = [(points, frame_by(points, size)) for points in np.reshape(photos.points or (), (-1, 3, 2))]
        self.alignment = alignments(photos.alignment, size) if photos.alignment else None
        self.seen = seen or {}
        self.kept: WeakSet[Photo] = WeakSet()
        self.keeping = Lock()

    def read(self, path: Source) -> LoadedPhoto:
        """Reads a photo and its mask; UserError if one is unreadable or they do not fit."""
        photo, hidden = self.masks.photo(path)
        by_face = hidden is None
        if not by_face:
            checked(photo.known, f"the mask of {path}")
        with can_be_done(path):
            given = self._given(path, photo)
        transforms = [frame.transform for frame in given]
        of_mask = [self.in_frame, self.masks.options.grow] if by_face else []
        made_of = digest(*photo.made_of, self.grain, *self.wide_made_of, *of_mask, *transforms)
        kept, seen = self._kept(photo), self.seen.get(path)
        return LoadedPhoto(path, (made_of,), kept, photo.shape, given, hidden, seen)

    def _kept(self, photo: Photo) -> Photo | None:
        """The photo, unless too many pixels are kept already."""
        with self.keeping:
            if photo.known.size + sum(each.known.size for each in self.kept) > KEPT:
                return None
            self.kept.add(photo)
        return photo

    def _given(self, path: Source, photo: Photo) -> list[Frame]:
        """The frames that the options give for the photo; UserError if they do not fit it."""
        if self.alignment:
            stem = Path(str(path)).stem
            if stem not in self.alignment:
                raise UserError(f"the --alignment has no photo named {stem}: name the alignment.csv that lists it")
            return self.alignment[stem].in_photo(path, photo)
        for points, frame in self.points:
            if not frame.shows(photo.whole()):
                (height, width), named = photo.shape, f"--points {as_points(points)}"
                fault = f"{path} is {width}x{height} and shows nothing of a face at {named}"
                raise UserError(f"{fault}: give the points in its pixels, counted from the upper left corner")
        return [frame for _, frame in self.points]

    def looked_at(self, loaded: LoadedPhoto) -> LoadedPhoto:
        """The photo with the boxes of the first look for faces, if they are needed and it was kept."""
        if loaded.frames or loaded.seen is not None or not loaded.photo:
            return loaded
        with can_be_done(loaded.path):
            return replace(loaded, seen=first_look(loaded.photo))

    def with_faces(self, loaded: dict[int, LoadedPhoto], load: Loader = load_each) -> dict[int, LoadedPhoto]:
        """Locates the damaged faces of the photos. Photos without a hole or a face are left out, with a message."""
        progress = Progress(len(loaded), "photos")
        located: dict[int, LoadedPhoto] = {}
        for part in parts_of(loaded):
            progress.update(progress.done, "looking for faces")
            located |= self._located(part, load)
            progress.update(progress.done + len(part), "looking for faces")
        return located

    def _located(self, loaded: dict[int, LoadedPhoto], load: Loader) -> dict[int, LoadedPhoto]:
        """Locates the faces of photos that fit into the memory together."""
        photos = load(loaded, self._again)
        wanted = {number: photo for number, photo in photos.items() if not loaded[number].frames}
        everywhere = {photo for number, photo in wanted.items() if not loaded[number].hidden}
        seen = {photo: boxes for number, photo in wanted.items() if (boxes := loaded[number].seen) is not None}
        found = dict(zip(wanted, self.completer.locate([*wanted.values()], everywhere, seen), strict=True))

        def with_face(number: int) -> LoadedPhoto:
            each = replace(loaded[number], photo=photos[number])
            with can_be_done(each.path):
                located = self._damaged(each, each.frames or found[number].result())
            return replace(located, photo=loaded[number].photo)

        return load({number: number for number in photos}, with_face)

    def with_heads(self, loaded: Mapping[int, LoadedPhoto], stopped: Callable[[], bool]) -> dict[int, LoadedPhoto]:
        """Searches the heads of the photos, until `stopped` returns True."""
        layers = self.completer.completed_heads([each.heads for each in loaded.values()], stopped)
        pairs = zip(loaded.items(), layers, strict=True)
        return {number: replace(each, completed_heads=layer) for (number, each), layer in pairs}

    def _again(self, loaded: LoadedPhoto) -> Photo:
        """The photo, read again if it was not kept."""
        with can_be_done(loaded.path):
            return loaded.photo or self.masks.photo(loaded.path)[0]

    def _damaged(self, loaded: LoadedPhoto, frames: Sequence[Frame]) -> LoadedPhoto:
        """The photo with those of the faces that are damaged, and the heads that are.

        UserError if no face is found to make a hole in.
        """
        path, given = loaded.path, loaded.frames
        photo = self._photo(replace(loaded, frames=frames))
        touched = self.completer.touched(photo, frames)
        if not touched:
            why = f"{path}: {self._why_none(loaded, photo, frames)}"
            if photo.intact:
                raise UserError(why)
            say(why)
            return replace(loaded, frames=[], incomplete=self.completer.faces(photo, []))
        if len(touched) < len(given):
            say(f"{path}: the hole meets {len(touched)} of the {len(given)} given faces; the others stay unchanged")
        damaged, heads = self.completer.damaged(photo, touched), self.completer.heads(photo, touched)
        if not damaged:
            done = "the hole lies beside a face, whose head is completed"
            say(f"{path}: {done}. If it hides part of a face, give {POINTS}")
        outside = share_outside(photo, self.completer.reached(touched))
        remark(path, outside, self.completer.seen(damaged))
        return replace(loaded, frames=damaged, incomplete=self.completer.faces(photo, damaged), heads=heads)

    def _photo(self, loaded: LoadedPhoto) -> Photo:
        """The photo, read again if it was not kept, with the mask of the frame over its located faces."""
        photo = self._again(loaded)
        for frame in () if loaded.hidden else self.completer.seen(loaded.frames):
            photo = photo.hiding(~grown(~frame.under(self.in_frame, photo.shape), self.masks.options.grow))
        return photo

    def _why_none(self, loaded: LoadedPhoto, photo: Photo, frames: Sequence[Frame]) -> str:
        """Why the photo has no face to complete, what becomes of its hole, and what to do."""
        result = "" if photo.intact else "only filled smoothly, because "
        if self.points or self.alignment:
            named = "--points" if self.points else "--alignment"
            fault = (
                "hides the whole face"
                if any(frame.meets_hole(photo) for frame in self.completer.seen(frames))
                else "meets no face"
            )
            return f"{result}the hole {fault} given by {named}: give a face that is hidden in part"
        if not photo.intact and any(score > CLEAR for _, score in loaded.seen or ()):
            fault = f"the hole meets no face{' and nothing near one' if self.completer.wide else ''}"
            return f"{result}{fault}. If it hides part of a face, give {POINTS}"
        return f"{result}no face was found{'' if photo.intact else ' at the hole'}. If there is one, give {POINTS}"

    def finals(self, loaded: LoadedPhoto, tries: Sequence[np.ndarray]) -> Iterator[Final]:
        """The photos to write, from the completed faces of each try, uint8 [k, size, size, c_dim]."""
        photo = self._photo(loaded)
        part = around([*self.completer.reached(loaded.frames), *loaded.heads.frames], photo.shape)
        with can_be_done(loaded.path):
            finish = self.completer.finish(photo, loaded.frames, self.grain, self.seed, loaded.completed_heads)
            masked = photo.masked()
        for faces in tries:
            with can_be_done(loaded.path):
                completed = finish(faces)
            row = [thumbnail(picture) for picture in (photo.pixels, masked, completed.pixels)]
            close_up = [thumbnail(picture[part]) for picture in (masked, completed.pixels)]
            yield Final(completed, row, close_up)


def parts_of(loaded: dict[int, LoadedPhoto]) -> Iterator[dict[int, LoadedPhoto]]:
    """Yields parts of the photos, each of one photo or of at most KEPT pixels."""
    part: dict[int, LoadedPhoto] = {}
    for number, each in loaded.items():
        if part and sum(each.pixels for each in part.values()) + each.pixels > KEPT:
            yield part
            part = {}
        part[number] = each
    yield part


def remark(path: Source, outside: float, frames: Sequence[Frame]) -> None:
    """Reports parts of a completed photo that may look poor. outside: share of the hole outside of the frames."""
    if outside > LITTLE:
        say(f"{path}: {outside:.0%} of the hole lies beyond faces and heads, and is only filled smoothly")
    for frame in frames:
        if frame.side < SMALL:
            say(f"{path}: a face is only {frame.side:.0f} pixels wide and will lack detail")


@contextmanager
def can_be_done(path: Source) -> Iterator[None]:
    """Raises PictureError if dlib or OpenCV fails in this context, or if memory runs out."""
    try:
        yield
    except (MemoryError, RuntimeError, cv2.error) as error:
        reason = str(error).strip().splitlines() or ["out of memory"]
        raise PictureError(f"{path} cannot be completed ({reason[0]}): make the photo smaller") from error
