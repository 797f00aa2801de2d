"""Measures completions of whole photos with a hole in a face: how well the face is located, and how well completed."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from completion.models import open_model
from completion.options import PhotoOptions
from completion.photos import PhotoCompleter
from dcgan.options import DeviceOptions, Preset
from faces.compositing import Layer
from faces.finding import by_landmarks
from faces.frame import Frame
from images.blending import blend
from images.decoding import read_photo
from images.files import load_each
from images.grain import REACH, sharp_power
from images.incomplete import Incomplete
from images.metrics import WINDOW, psnr
from images.photo import Photo
from images.sheets import ROWS, thumbnail
from jobs.evaluate.aligned import closeness, mask_of, methods_of
from jobs.evaluate.arguments import HEAD_MASKS, PHOTO_MASKS, EvaluateOptions
from jobs.evaluate.methods import Method
from jobs.evaluate.report import Report, mean_and_error
from utils import Progress, UserError, say

HEAD_SQUARE = 0.45  # the margin of the square that has the masks of heads
FAR = 16  # 64ths of the frame's side: a face that is displaced by more is another one
MARGIN = 8  # pixels around the hole that SSIM's windows see
MEASURES = ("psnr_hole", "ssim_hole", "grain")
COLUMNS = ("mask", "method", "photos", *(f"{name}{end}" for name in MEASURES for end in ("", "_error")))
FOUND_COLUMNS = ("found", "displacement_median", "displacement_90")


def evaluate_photos(options: EvaluateOptions, devices: DeviceOptions) -> None:
    """Writes a table, and a picture for each mask, into `out_dir`. UserError if there is nothing to measure."""
    methods = methods_of(options)
    kinds = options.masks or PHOTO_MASKS
    with Report.open(options, "photos.csv", *map("photos_{}.png".format, kinds)) as report:
        paths = report.paths
        dcgan = open_model(options.checkpoint_dir, precision=devices.of_search, photos=True)
        say(f"photos: {len(paths)}")
        completer = PhotoCompleter(dcgan)
        report.add(*COLUMNS, *FOUND_COLUMNS)
        for kind in kinds:
            margin = HEAD_SQUARE if kind in HEAD_MASKS else dcgan.options.margin
            networks = replace(dcgan.options, margin=margin)
            holes = [Hole(mask_of(kind, networks, options.seed + number), margin) for number in range(len(paths))]
            found = measure(damaged_photos(paths, holes, completer, options.batch_size, kind), methods, completer)
            if not found.displacements:
                raise UserError(f"no face found in the photos of {options.dataset}: choose photos of frontal faces")
            add_rows(report, kind, found)
            report.draw(f"photos_{kind}.png", found.shown)


# ------------------------------------------------------------------------------------ the photos


class Hole(NamedTuple):
    """A hole of a face."""

    mask: np.ndarray  # bool [size, size], True where a pixel is known
    margin: float  # of its square around the aligned face, on each side, as a share of the face's side


@dataclass(frozen=True)
class Damaged:
    """A photo with a hole in its face."""

    photo: Photo  # its pixels are the true ones, in the hole as well
    true: Frame  # the frame of the undamaged face
    found: Frame | None  # the frame that was located in the damaged photo; None if the face was not found


def damaged_photos(
    paths: Sequence[Path], holes: Iterable[Hole], completer: PhotoCompleter, batch_size: int, note: str
) -> Iterator[list[Damaged]]:
    """Batches of the photos with these holes in their faces. Photos without a face are left out, with a message."""
    jobs = dict(enumerate(zip(paths, holes, strict=True)))
    progress = Progress(len(jobs), "photos")
    for first in range(0, len(jobs), batch_size):
        part = {number: jobs[number] for number in range(first, min(first + batch_size, len(jobs)))}
        loaded = load_each(part, lambda job: damage(job[0], job[1], completer))
        found = completer.locate([photo for photo, _ in loaded.values()])
        yield [
            Damaged(photo, true, nearest(true, located.result()))
            for (photo, true), located in zip(loaded.values(), found, strict=True)
        ]
        progress.update(first + len(part), note)


def damage(path: Path, hole: Hole, completer: PhotoCompleter) -> tuple[Photo, Frame]:
    """Hides a part of a photo's largest face, and returns the true frame, too; UserError if there is no face."""
    pixels = read_photo(path).pixels
    faces = completer.finder.faces(pixels)
    if not faces:
        raise UserError(f"no face in {path}")
    true = by_landmarks(completer.finder.landmarks(pixels, faces[0]), len(hole.mask))
    photo = Photo(pixels, ~true.widened(hole.margin).under(hole.mask, pixels.shape[:2]))
    if photo.intact or not photo.known.any():
        raise UserError(f"the face of {path} lies outside of the photo")
    return photo, true


def nearest(true: Frame, found: Sequence[Frame]) -> Frame | None:
    """The frame of the true face among those found."""
    frame = min(found, key=lambda frame: frame.displacement(true), default=None)
    return frame if frame and frame.displacement(true) <= FAR else None


# ------------------------------------------------------------------------------- their completion


class DamagedPhotos:
    """A batch of damaged photos, for a Method. Heads that several methods share are searched once."""

    def __init__(self, completer: PhotoCompleter, batch: Sequence[Damaged]):
        self.completer, self.batch = completer, batch
        self.heads: dict[bool, list[Layer | None]] = {}  # by whether the true frames are used

    def by_filling(self, fill: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
        """Completes the photos one by one."""
        for each in self.batch:
            part = each.photo.around_hole(MARGIN)
            hidden = each.photo.masked()
            hidden[part] = fill(hidden[part], each.photo.known[part])
            yield hidden

    def by_search(self, preset: Preset, told: bool = False, grain: float = PhotoOptions.grain) -> Iterator[np.ndarray]:
        """Completes the photos by the model, or by the spline alone if the face was not found.

        told: uses the true frames instead of those found. grain: as in `PhotoOptions`.
        """
        photos = [each.photo for each in self.batch]
        frames = [[frame] if (frame := each.true if told else each.found) else [] for each in self.batch]
        if told not in self.heads:
            self.heads[told] = self.completer.completed_heads([*map(self.completer.heads, photos, frames)])
        faces = [self.completer.faces(*pair) for pair in zip(photos, frames, strict=True) if pair[1]]
        completed = np.zeros((0, 1, 1, 3), np.uint8)
        if faces:
            together = Incomplete.joined(faces)  # one search of all takes less time
            *_, last = self.completer.dcgan.complete(together, replace(preset.search, out_interval=0))
            completed = blend(last.generated, together, preset.blend)
        for photo, found, head in zip(photos, frames, self.heads[told], strict=True):
            faces_here = completed[: len(found)]
            yield self.completer.finish(photo, found, grain, preset.search.seed, head)(faces_here).pixels
            completed = completed[len(found) :]


# ---------------------------------------------------------------------------------- their measures


@dataclass
class Measured:
    """What all methods reached with one kind of mask."""

    values: dict[str, list[tuple[float, ...]]] = field(default_factory=lambda: defaultdict(list))
    """The MEASURES of each photo, by the methods' names."""
    displacements: list[float] = field(default_factory=list)
    """How far the found frames are from the true ones, in 64ths of their side; NaN if the face was not found."""
    shown: dict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    """Thumbnails of the first photos, by title: true, masked, and the methods' names."""

    def show(self, title: str, pixels: np.ndarray) -> None:
        """Adds a photo to those shown, unless there are ROWS."""
        if len(self.shown[title]) < ROWS:
            self.shown[title].append(thumbnail(pixels))


def measure(batches: Iterable[Sequence[Damaged]], methods: Sequence[Method], completer: PhotoCompleter) -> Measured:
    """Completes the photos by the methods and measures the results."""
    measured = Measured()
    for batch in batches:
        for each in batch:
            measured.displacements.append(each.found.displacement(each.true) if each.found else np.nan)
            measured.show("true", each.photo.pixels)
            measured.show("masked", each.photo.masked())
        photos = DamagedPhotos(completer, batch)
        for method in methods:
            for each, completed in zip(batch, method.run(photos), strict=True):
                values = (*closeness_in_hole(completed, each.photo), grain_share(completed, each.photo))
                measured.values[method.name].append(values)
                measured.show(method.name, completed)
    return measured


def closeness_in_hole(completed: np.ndarray, photo: Photo) -> tuple[float, float]:
    """PSNR in dB and SSIM in the hole, at the photo's resolution; the SSIM of a tiny hole is not a number."""
    part = photo.around_hole(MARGIN)
    pair, known = (completed[part][None], photo.pixels[part][None]), photo.known[part][None]
    if min(known.shape[1:]) < WINDOW:
        return psnr(*pair, ~known)[0], np.nan
    _, in_hole, _, similar, _ = closeness(*pair, known)[:, 0]
    return in_hole, similar


def grain_share(completed: np.ndarray, photo: Photo) -> float:
    """The power above half of the Nyquist frequency in the hole, as a share of that around it."""
    part = photo.around_hole(REACH)
    known = photo.known[part]
    around = sharp_power(photo.pixels[part], known)
    return sharp_power(completed[part], ~known) / around if around else np.nan


def add_rows(report: Report, kind: str, measured: Measured) -> None:
    """Adds a row for each method to the table, and prints it."""
    displacements = np.array(measured.displacements)
    found = np.isfinite(displacements).mean()
    median, most = np.nanquantile(displacements, (0.5, 0.9)) if found else (np.nan, np.nan)
    displaced = f"displaced by {median:.2f} 64ths of the frame (90 %: {most:.2f})"
    say(f"{kind}: {found:.1%} of {len(displacements)} faces found, {displaced}")
    for method, values in measured.values.items():
        means, errors = mean_and_error(np.array(values).T)
        of_each = zip(("PSNR", "SSIM", "grain"), means, errors, (2, 3, 3), strict=True)
        say(f"{method:14}" + "".join(f"  {name} {mean:.{n}f} +- {error:.{n}f}" for name, mean, error, n in of_each))
        report.add(kind, method, len(values), *np.stack([means, errors], 1).ravel(), found, median, most)
