"""Completes photos: locates their damaged faces, completes these with the model, and composites them back."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from completion.models import wide_model
from dcgan.options import SearchOptions
from faces.compositing import MARGIN, Compositor, Layer, faces_in, heads_in, regions, tone_around
from faces.detector import Boxes, FaceFinder, predictor_path
from faces.finding import CloseUp, Locator
from faces.frame import Frame
from faces.placing import SCOUT
from faces.together import Asking, together
from images.blending import blend
from images.grain import REACH, add_grain
from images.incomplete import Face, Incomplete
from images.mask_options import BLENDS
from images.photo import Photo
from images.tone import luminance
from utils import never

if TYPE_CHECKING:
    from model import DCGAN, SearchStep

QUICK = SearchOptions(n_iter=20, refine=0, out_interval=0)  # further iterations hardly move the landmarks
# Landmarks are found better in a face that is whole up to the edge of its frame: in 60 faces with one half hidden, the
# displacement was 1.60 64ths of the frame on average, instead of 1.75.
QUICK_FADE = 0.08
NEAR = 0.3  # of the side of a face's frame: a hole this close to the frame hides hair, a hat or an ear
COARSE = SearchOptions(out_interval=0)  # of the wide model, whatever is chosen for the faces themselves


class Heads(NamedTuple):
    """Heads of a photo that the wide model is to complete."""

    frames: Sequence[Frame]
    incomplete: Incomplete | None  # None if there are none


NO_HEADS = Heads((), None)


class PhotoCompleter:
    """Completes photos with one model of faces, the same for complete.py, paint.py and evaluate.py.

    In short:

        (located,) = completer.locate([photo])
        frames = completer.damaged(photo, located.result())
        (heads,) = completer.completed_heads([completer.heads(photo, located.result())])
        *_, last = completer.complete(photo, frames, SearchOptions())
        result = completer.finish(photo, frames, grain=1, seed=0, heads=heads)(last.completed)
    """

    def __init__(self, dcgan: "DCGAN"):
        """UserError if dlib's landmark model is not installed."""
        self.dcgan, self.wide, self.predictor = dcgan, wide_model(dcgan), predictor_path(None)

    @cached_property
    def finder(self) -> FaceFinder:
        """dlib's models, 100 MB, which are not needed where frames are given."""
        return FaceFinder(str(self.predictor))

    @cached_property
    def _locator(self) -> Locator:
        from completion.placing import PlacingNetwork  # loads TensorFlow

        networks = PlacingNetwork(), PlacingNetwork(SCOUT)
        options = self.dcgan.options
        return Locator(self.finder, *networks, self._quickly_filled, options.image_size, options.margin, self._near)

    @property
    def _near(self) -> float:
        """The margin around a frame in which a hole touches the face or its head."""
        return NEAR if self.wide else self.dcgan.options.margin

    def seen(self, frames: Sequence[Frame]) -> list[Frame]:
        """The frames of faces with the margin that the model was trained with."""
        return [frame.widened(self.dcgan.options.margin) for frame in frames]

    def reached(self, frames: Sequence[Frame]) -> list[Frame]:
        """The frames of faces with the margin up to which they are completed: that of the wide model, if any."""
        return [frame.widened((self.wide or self.dcgan).options.margin) for frame in frames]

    def damaged(self, photo: Photo, frames: Sequence[Frame]) -> list[Frame]:
        """The faces that the hole hides in part: the model sees one part and completes the other."""
        return self._touched(photo, frames, self.dcgan.options.margin)

    def touched(self, photo: Photo, frames: Sequence[Frame]) -> list[Frame]:
        """The damaged faces; with a model of heads also those that the hole comes near to."""
        return self._touched(photo, frames, self._near)

    def _touched(self, photo: Photo, frames: Sequence[Frame], margin: float) -> list[Frame]:
        """The faces that the hole meets, with this margin around them. Faces without a known pixel are left out."""
        pairs = zip(frames, self.seen(frames), strict=True)
        return [frame for frame, seen in pairs if frame.widened(margin).meets_hole(photo) and seen.shows(photo)]

    def locate(
        self, photos: Sequence[Photo], everywhere: Collection[Photo] = (), seen: Mapping[Photo, Boxes] | None = None
    ) -> list[Future]:
        """For each photo the frames of the faces that the hole touches and that are visible in part.

        The most certain face is the first. A future has the error if a photo cannot be searched. everywhere: photos of
        which all faces are wanted, also those that do not touch the hole. seen: what `first_look` sees in photos.
        """
        locator, seen = self._locator, seen or {}

        def located(photo: Photo) -> Asking:
            found = yield from locator.faces_at_hole(photo, photo in everywhere, seen.get(photo))
            return found if photo in everywhere else self.touched(photo, found)

        return together([located(photo) for photo in photos])

    def heads(self, photo: Photo, frames: Sequence[Frame]) -> Heads:
        """The heads of those faces near whose frames the hole goes on, for the wide model, if there is one."""
        if not self.wide:
            return NO_HEADS
        options, inner = self.wide.options, self.dcgan.options.margin + MARGIN
        beyond = [frame for frame in frames if frame.left_by_hole(photo, inner, NEAR)]
        if not beyond:
            return NO_HEADS
        frames = [frame.resized(options.image_size) for frame in self.reached(beyond)]
        return Heads(frames, heads_in(photo, frames, options.c_dim, options.margin))

    def completed_heads(self, heads: Sequence[Heads], stopped: Callable[[], bool] = never) -> list[Layer | None]:
        """The completed heads of photos, searched together. They do not depend on the options of the search.

        The search ends early once `stopped` returns True.
        """
        parts = [incomplete for _, incomplete in heads if incomplete]
        if not (self.wide and parts):
            return [None] * len(heads)
        together = Incomplete.joined(parts, ids=[Face(0)] * sum(map(len, parts)))
        *_, last = self.wide.dcgan.complete(together, COARSE, stopped)
        completed = iter(blend(last.generated, together))
        return [Layer(frames, np.stack([next(completed) for _ in frames])) if frames else None for frames, _ in heads]

    def faces(self, photo: Photo, frames: Sequence[Frame]) -> Incomplete:
        """The faces in their frames, if any, as the model takes them."""
        if not frames:
            shape = (0, self.dcgan.image_size, self.dcgan.image_size)
            return Incomplete(np.zeros((*shape, self.dcgan.c_dim), np.uint8), np.zeros(shape, bool))
        return faces_in(photo, self.seen(frames), self.dcgan.c_dim)

    def complete(
        self,
        photo: Photo,
        frames: Sequence[Frame],
        search: SearchOptions,
        blending: str = BLENDS[0],
        attempts: Sequence[int] = (0,),
    ) -> Iterator["SearchStep"]:
        """The states of the search for the faces in these frames, one or more, as of `DCGAN.complete`.

        With several attempts, a state has all faces of the first attempt, then those of the next.
        Where a state has pictures, `completed` are the faces blended as by `images.blending.blend`.
        """
        faces = self.faces(photo, frames).tried(attempts)
        for state in self.dcgan.complete(faces, search):
            blended = None if state.generated is None else blend(state.generated, faces, blending)
            yield replace(state, completed=blended)

    def finish(
        self, photo: Photo, frames: Sequence[Frame], grain: float, seed: int, heads: Layer | None = None
    ) -> "Finish":
        """Fills the photo's hole from completed faces, and around them from completed heads."""
        return Finish(photo, self.seen(frames), grain, seed, heads)

    def _quickly_filled(self, faces: list[CloseUp]) -> list[np.ndarray]:
        """The photos, uint8 [H, W, 3], with their holes filled by a short search, to find the faces' landmarks."""
        parts = [self.faces(photo, [frame]) for photo, frame in faces]
        *_, last = self.dcgan.complete(Incomplete.joined(parts, ids=[Face(0)] * len(parts)), QUICK)
        return [
            Compositor(photo, self.seen([frame]), QUICK_FADE)(generated[None])
            for (photo, frame), generated in zip(faces, last.generated, strict=True)
        ]


class Finish:
    """Fills the hole of a photo from completed faces in these frames, several times if need be.

    Known pixels stay as they are. Outside of the frames a spline fills the hole. A toned photo keeps its tone. The hole
    gets the noise of its surroundings times `grain`; its random numbers follow from `seed` and the photo.
    """

    def __init__(self, photo: Photo, frames: Sequence[Frame], grain: float, seed: int, heads: Layer | None = None):
        self.photo, self.grain, self.seed = photo, grain, seed
        self.composite = Compositor(photo, frames, heads=heads)
        self.tone = tone_around(photo, frames)

    def __call__(self, faces: np.ndarray) -> Photo:
        """The photo with these faces, uint8 [N, size, size, c_dim]."""
        completed = replace(self.photo, pixels=self.composite(faces))
        near = completed[self.photo.around_hole(REACH)]
        tone, hole = self.tone, ~near.known
        pixels = luminance(near.pixels)[..., None] if tone else near.pixels
        if self.grain:
            add_grain(pixels, near.known, regions(near), self.grain, self.seed)
        near.pixels[hole] = tone.colors[pixels[hole, 0]] if tone else pixels[hole]
        return completed
