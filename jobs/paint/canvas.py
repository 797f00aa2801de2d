"""Photos to paint on, and their completion: everything that the page of paint.py does, except its layout."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from completion.options import PhotoOptions
from completion.photos import PhotoCompleter
from dcgan.options import SearchOptions
from faces.compositing import LITTLE, Compositor, Layer, share_outside
from faces.frame import Frame, around
from images.decoding import OPAQUE, picture_size, read_photo, read_picture
from images.mask_files import read_mask
from images.masks import stretched
from images.photo import Photo, shrunk_to
from images.sheets import thumbnail
from utils import UserError

if TYPE_CHECKING:
    from model import DCGAN

VIEW = 1024  # most pixels of a side on the page
FRAMES = 5  # iterations between two pictures of a search
TRIES = 4  # completions to choose from
DEMO = Path(__file__).parent.parent.parent / "data" / "demo" / "raw" / "astronaut.png"


@dataclass(frozen=True)
class Canvas:
    """A photo to paint on."""

    name: str  # of its file, without the suffix
    photo: Photo  # transparent pixels are its hole
    view: np.ndarray  # uint8 [h, w, 3], as the page shows it: no side is longer than VIEW


def open_canvas(path: Path, mask: Path | None = None, invert: bool = False) -> Canvas:
    """Reads a photo, with the hole of a mask as --maskFile and --invertMask take it. Raises UserError if it cannot."""
    with without_folder(path):
        photo = read_photo(path)
        if mask:
            with without_folder(mask):
                photo = photo.hiding(~stretched(read_mask(mask, invert), photo.shape, path))
    return Canvas(path.stem, photo, shrunk_to(photo.masked(), VIEW))


def read_layer(path: Path) -> np.ndarray:
    """Reads a layer that was painted on the page, uint8 [h, w, 4]. Raises UserError if it is not one."""
    with without_folder(path):
        if prod(picture_size(path)) > VIEW * VIEW:
            raise UserError(f"{path} is larger than the page")
        return read_picture(path, "RGBA")


@contextmanager
def without_folder(path: Path) -> Iterator[None]:
    """Removes the folder of a file from errors, because the page may be seen on other machines."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(str(path), path.name)) from error


def painted(canvas: Canvas, layers: Sequence[np.ndarray]) -> Photo:
    """Returns the photo with a hole where it is painted or transparent.

    layers: uint8 [h, w, 4], opaque where they are painted. Raises UserError if the hole is empty or everything.
    """
    photo = canvas.photo
    height, width = photo.shape
    for layer in layers:
        # Interpolation makes the edges smooth where the page shows the photo smaller than it is.
        alpha = cv2.resize(layer[..., 3], (width, height), interpolation=cv2.INTER_LINEAR)
        photo = photo.hiding(alpha >= OPAQUE)
    if photo.intact:
        raise UserError("Nothing is painted. Paint over the part to replace.")
    if not photo.known.any():
        raise UserError("Everything is painted. Leave a part of the photo.")
    return photo


@dataclass(frozen=True)
class Suggestion:
    """One of the completions to choose from."""

    title: str
    photo: Photo  # completed
    view: np.ndarray  # uint8 [h, w, 3], as the page shows it
    close_up: np.ndarray  # uint8 [h, w, 3]: the faces


@dataclass(frozen=True)
class Stage:
    """The progress of a completion."""

    message: str
    view: np.ndarray | None = None  # uint8 [h, w, 3], once there is something to see
    suggestion: Suggestion | None = None  # at the end, in a stage for each
    found: bool = True  # whether there is a face at the hole


class Painter:
    """Completes canvases with one model, one at a time."""

    def __init__(self, dcgan: "DCGAN"):
        self.completer = PhotoCompleter(dcgan)
        self.busy = threading.Lock()

    def complete(self, canvas: Canvas, photo: Photo, seed: int, frame: Frame | None = None) -> Iterator[Stage]:
        """Yields the stages of a completion; the last ones have a suggestion each.

        photo: as `painted` returns it. frame: the face to complete; by default, those at the hole are located. If
        there are none, the hole is filled smoothly, or with the heads that it touches.
        """
        with self.busy:
            yield Stage("Looking for the face ...")
            touched = [frame] if frame else self.completer.locate([photo])[0].result()
            yield Stage("Preparing the search. The first time, this takes a while ...")
            (heads,) = self.completer.completed_heads([self.completer.heads(photo, touched)])
            if frames := self.completer.damaged(photo, touched):
                yield from self._with_faces(canvas, photo, frames, heads, seed)
            else:
                result = self.completer.finish(photo, [], PhotoOptions.grain, seed, heads)(np.empty((0, 1, 1, 3)))
                done = "filled as a part of a head" if heads else "filled smoothly"
                only = suggestion(done, result, heads.frames if heads else [])
                yield Stage(f"No face was found at the hole, so it was {done}.", suggestion=only, found=False)

    def _with_faces(
        self, canvas: Canvas, photo: Photo, frames: Sequence[Frame], heads: Layer | None, seed: int
    ) -> Iterator[Stage]:
        """Yields the stages of a completion of the faces in these frames."""
        search, reached = SearchOptions(out_interval=FRAMES, seed=seed), self.completer.reached(frames)
        attempts = range(1, TRIES + 1) if seed else range(TRIES)  # only alternatives, or the best guess and these
        shown = in_view(canvas.view, photo, self.completer.seen(frames))
        for state in self.completer.complete(photo, frames, search, attempts=attempts):
            if state.completed is not None:
                progress = f"Searching: {state.iteration} of {search.iterations}"
                yield Stage(progress, shown(state.completed[: len(frames)]))
        yield Stage("Blending ...")
        finish = self.completer.finish(photo, frames, PhotoOptions.grain, seed, heads)
        for attempt, faces in zip(attempts, np.split(state.completed, len(attempts)), strict=True):
            title = f"alternative {attempt}" if attempt else "best guess"
            # One after the other, because a large photo takes much memory.
            yield Stage("Blending ...", suggestion=suggestion(title, finish(faces), reached))
        outside = share_outside(photo, reached)
        smooth = f" {outside:.0%} of the hole is outside the face; it was filled smoothly."
        yield Stage("Done. Choose a picture." + (smooth if outside > LITTLE else ""))


def suggestion(title: str, result: Photo, frames: Sequence[Frame]) -> Suggestion:
    """Shows a completed photo."""
    close_up = thumbnail(result.pixels[around(frames, result.shape)])
    return Suggestion(title, result, shrunk_to(result.pixels, VIEW), close_up)


def in_view(view: np.ndarray, photo: Photo, frames: Sequence[Frame]) -> Compositor:
    """Composites completed faces into the photo at the size of its view, uint8 [h, w, 3]."""
    (height, width), (down, across) = view.shape[:2], np.divide(photo.shape, view.shape[:2])
    hidden = cv2.resize((~photo.known).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    into_photo = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]])
    return Compositor(Photo(view, hidden == 0), [frame.after(into_photo) for frame in frames])
