"""A photo that is painted on, and what completes it: what the page of paint.py does, but for its looks."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dcgan.options import SearchOptions
from faces.compositing import carried_back, in_frames, share_outside, with_known
from faces.detector import FaceFinder, predictor_path
from faces.finding import damaged_faces
from images.files import OPAQUE, colours, read_photo
from images.incomplete import HIDDEN
from jobs.complete.photo_reader import LITTLE, quick_fill
from utils import UserError

if TYPE_CHECKING:
    from model import DCGAN

VIEW = 1024  # pixels of the longer side on the page, at most
FRAMES = 5  # iterations between two
LIVELY = 0.85  # z_length; with the default all starts lead to what looks much alike
DEMO = Path(__file__).parent.parent.parent / "data" / "demo" / "raw" / "astronaut.png"


@dataclass(frozen=True)
class Canvas:
    """A photo to paint on."""

    name: str
    """Its file's, without the suffix."""
    photo: np.ndarray
    """uint8 [H, W, 3]."""
    known: np.ndarray
    """bool [H, W], 0 where the photo is transparent."""
    view: np.ndarray
    """uint8 [h, w, 3], as the page shows it: not larger than VIEW."""
    grey: bool = False
    profile: bytes | None = None
    """Of the photo's colours."""


def open_canvas(path: Path) -> Canvas:
    """UserError, with the file's name alone, if it is no photo."""
    try:
        photo, known = read_photo(path)
        how = colours(path)
    except UserError as error:
        raise UserError(str(error).replace(str(path), path.name)) from error
    if known is None:
        known = np.ones(photo.shape[:2], bool)
    return Canvas(path.stem, photo, known, to_view(np.where(known[..., None], photo, np.uint8(HIDDEN))), *how)


def to_view(picture: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] made small enough for the page."""
    scale = VIEW / max(picture.shape[:2])
    if scale >= 1:
        return picture
    height, width = (max(1, round(scale * n)) for n in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def painted(canvas: Canvas, layers: Sequence[np.ndarray]) -> np.ndarray:
    """What is still known of the photo, bool [H, W]. layers: uint8 [h, w, 4], painted where they are opaque.

    UserError if that is all or nothing.
    """
    height, width = canvas.known.shape
    known = canvas.known.copy()
    for layer in layers:
        # Smooth edges where the page shows the photo smaller than it is.
        known &= cv2.resize(layer[..., 3], (width, height), interpolation=cv2.INTER_LINEAR) < OPAQUE
    if known.all():
        raise UserError("Nothing is painted: paint over what is to be replaced.")
    if not known.any():
        raise UserError("Everything is painted: leave some of the photo.")
    return known


def search_options(seed: int) -> SearchOptions:
    """Seed 0 is the best guess; each other one starts elsewhere, and is freer, so that it looks different."""
    if not seed:
        return SearchOptions(out_interval=FRAMES)
    return SearchOptions(out_interval=FRAMES, seed=seed, start="random", z_length=LIVELY)


@dataclass(frozen=True)
class Frame:
    """How far a completion has come."""

    said: str
    view: np.ndarray | None = None
    """uint8 [h, w, 3] like the canvas's, once there is something to see."""
    result: np.ndarray | None = None
    """uint8 [H, W, C], the last one's; C is 1 if the photo is grey."""


class Painter:
    """Completes canvases with one model, one at a time."""

    def __init__(self, dcgan: "DCGAN"):
        self.dcgan, self.finder = dcgan, FaceFinder(str(predictor_path(None)))
        self.fill = quick_fill(dcgan)
        self.busy = threading.Lock()

    def complete(self, canvas: Canvas, known: np.ndarray, seed: int) -> Iterator[Frame]:
        """The frames of a completion; the last has the result. UserError if the hole meets no face.

        known: what `painted` found.
        """
        with self.busy:
            yield Frame("Looking for the face ...")
            size = self.dcgan.image_size
            found = damaged_faces(self.finder, canvas.photo, known, size, self.fill)
            transforms = with_known(canvas.photo, known, found, size)
            if not transforms:
                raise UserError("No face is found at the hole: paint on a face, and leave enough of it to be seen.")
            faces = in_frames(canvas.photo, known, transforms, size, self.dcgan.c_dim)
            search = search_options(seed)
            yield Frame("Preparing the search; the first time that takes a while ...")
            for state in self.dcgan.complete(faces, search):
                if state.generated is not None:
                    said = f"Searching: {state.iteration} of {search.iterations}"
                    yield Frame(said, in_view(canvas, known, transforms, state.generated))
            yield Frame("Blending ...")
            result = carried_back(canvas.photo, known, transforms, state.generated)
            outside = share_outside(known, transforms, size)
            rest = (
                f" {outside:.0%} of the hole lies outside the face: there it is only smooth."
                if outside > LITTLE
                else ""
            )
            yield Frame(f"Done.{rest}", to_view(result), result[..., :1] if canvas.grey else result)


def in_view(canvas: Canvas, known: np.ndarray, transforms: Sequence[np.ndarray], faces: np.ndarray) -> np.ndarray:
    """`carried_back`, at the size of the view."""
    height, width = canvas.view.shape[:2]
    if canvas.view.shape == canvas.photo.shape:
        return carried_back(canvas.photo, known, transforms, faces)
    hidden = cv2.resize((~known).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)  # 0 is exact
    # Where the middle of the view's pixel (0, 0) is in the photo, and how wide it is.
    across, down = known.shape[1] / width, known.shape[0] / height
    into_photo = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])
    return carried_back(canvas.view, hidden == 0, [transform @ into_photo for transform in transforms], faces)
