"""Measures completions of whole photos with a hole in a face: how well it is found, and how well completed."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from completion.models import open_model
from dcgan.options import DeviceOptions, Preset
from faces.compositing import carried_back, hidden_by, in_frames
from faces.detector import FaceFinder, displacement, face_transform, predictor_path
from faces.finding import LANDMARKS, Fill, damaged_faces
from images.blending import blend
from images.files import load_each, read_picture, save_picture
from images.incomplete import HIDDEN, Incomplete
from images.metrics import WINDOW, psnr
from images.sheets import ROWS, framed, on_white, thumbnail, titled
from jobs.complete.photo_reader import quick_fill
from jobs.evaluate.aligned import chosen_pictures, closeness, mean_and_error, paper_mask, usable
from jobs.evaluate.arguments import PHOTO_MASKS, EvaluateOptions
from jobs.evaluate.methods import METHODS
from utils import Outputs, Progress, UserError, say, write_rows

if TYPE_CHECKING:
    from model import DCGAN

FAR = 16  # 64ths of the frame's side: a face displaced by more is not the one that was to be found
MARGIN = 8  # pixels around the hole that SSIM's windows look at
# In the model's frame, (left, top, right, bottom) in shares of its side.
BOXES = {"eyes": (0.06, 0.03, 0.94, 0.34), "mouth": (0.19, 0.59, 0.81, 0.94)}
TABLE = "photos.csv"
COLUMNS = ["mask", "method", "photos", "psnr_hole", "psnr_hole_error", "ssim_hole", "ssim_hole_error"]
FOUND_COLUMNS = ["found", "displacement_median", "displacement_90"]


@dataclass(frozen=True)
class Damaged:
    """A photo with a hole in its face."""

    photo: np.ndarray
    """uint8 [H, W, 3], whole."""
    known: np.ndarray
    """bool [H, W]."""
    true: np.ndarray
    """[2, 3]: the transform of the undamaged photo's face."""
    found: np.ndarray | None
    """[2, 3]: that found in the damaged one, if it is the same face."""
    displacement: float
    """Mean distance of a face's place in the frame from the true one, in 64ths of its side; nan if not found."""


def evaluate_photos(options: EvaluateOptions, devices: DeviceOptions) -> None:
    """Prints the table, and writes it and a picture a mask into `out_dir`; UserError if there is nothing to measure."""
    methods = [method.name for method in usable(options)]
    kinds = options.masks or PHOTO_MASKS
    drawn = [f"photos_{kind}.png" for kind in kinds]
    with chosen_pictures(options, TABLE, *drawn) as (outputs, paths):
        dcgan = open_model(options.checkpoint_dir, precision=devices.of_search, photos=True)
        say(f"measured by {len(paths)} photos")
        finder, fill = FaceFinder(str(predictor_path(None))), quick_fill(dcgan)

        def damaged(number: int, kind: str) -> Damaged:
            return damage(paths[number], mask_of(kind, dcgan.image_size, options.seed + number), finder, fill)

        table: list[list] = [[*COLUMNS, *FOUND_COLUMNS]]
        for kind in kinds:
            of_kind = functools.partial(damaged, kind=kind)
            table += measure_mask(kind, methods, dcgan, of_kind, len(paths), options, outputs)
            outputs.write(TABLE, functools.partial(write_rows, rows=table))
        say("look at " + ", ".join(str(options.out_dir / name) for name in (TABLE, *drawn)))


def measure_mask(
    kind: str,
    methods: Sequence[str],
    dcgan: "DCGAN",
    damaged: Callable[[int], Damaged],
    photos: int,
    options: EvaluateOptions,
    outputs: Outputs,
) -> list[list]:
    """The table's rows for one kind of mask; prints them, and writes a picture of the first photos.

    damaged: makes each photo, by its number below `photos`, with its hole.
    """
    measured: dict[str, list] = {method: [] for method in methods}
    displacements: list[float] = []
    columns: list[list[np.ndarray]] = []
    progress = Progress(photos, "photos")
    for first in range(0, photos, options.batch_size):
        numbers = range(first, min(first + options.batch_size, photos))
        batch = list(load_each({number: number for number in numbers}, damaged).values())
        if not batch:
            continue
        displacements += [each.displacement for each in batch]
        shown = batch[:ROWS] if not columns else []
        masked = (np.where(each.known[..., None], each.photo, np.uint8(HIDDEN)) for each in shown)
        columns += [[thumbnail(each.photo) for each in shown], list(map(thumbnail, masked))] if shown else []
        for method in methods:
            column: list[np.ndarray] = []
            photos_of_method = METHODS[method].run(DamagedPhotos(dcgan, batch))
            for photo, each in zip(photos_of_method, batch, strict=True):
                measured[method].append(closeness_in_hole(photo, each))
                column += [thumbnail(photo)] if len(column) < len(shown) else []
            columns += [column] if shown else []
        progress.update(numbers[-1] + 1, kind)
    if not displacements:
        raise UserError(
            f"no face is found in the photos of {options.dataset}: name photos of faces seen from the front"
        )
    titles = ["true", "masked", *methods]
    sheet = titled(framed(on_white([each for row in zip(*columns, strict=True) for each in row]), len(columns)), titles)
    outputs.write(f"photos_{kind}.png", lambda path: save_picture(path, sheet))
    return table_of(kind, measured, np.array(displacements))


def table_of(kind: str, measured: dict[str, list], displacements: np.ndarray) -> list[list]:
    """The table's rows, printed: [n, 2] PSNR in dB and SSIM of each method, and how far off the faces were found."""
    found = np.isfinite(displacements).mean()
    median, most = np.nanquantile(displacements, (0.5, 0.9)) if found else (np.nan, np.nan)
    displaced = f"displaced by {median:.2f} 64ths of the frame (90 %: {most:.2f})"
    say(f"{kind}: {found:.1%} of {len(displacements)} faces found, {displaced}")
    rows = []
    for method, values in measured.items():
        means, errors = mean_and_error(np.array(values).T)
        say(f"{method:14} PSNR {means[0]:.2f} +- {errors[0]:.2f}  SSIM {means[1]:.3f} +- {errors[1]:.3f}")
        numbers = (means[0], errors[0], means[1], errors[1], found, median, most)
        rows.append([kind, method, len(values), *(f"{number:.5g}" for number in numbers)])
    return rows


def mask_of(kind: str, size: int, seed: int) -> np.ndarray:
    """One of the paper's masks or a BOX, bool [size, size], 1 where a pixel is known."""
    if kind not in BOXES:
        return paper_mask(kind, size, seed)
    left, top, right, bottom = (round(share * size) for share in BOXES[kind])
    mask = np.ones((size, size), bool)
    mask[top:bottom, left:right] = False
    return mask


def damage(path: Path, mask: np.ndarray, finder: FaceFinder, fill: Fill) -> Damaged:
    """The photo with the `mask`, bool [size, size], laid over its largest face; UserError if none is found.

    fill: as for `damaged_faces`.
    """
    photo = read_picture(path)
    faces = finder.faces(photo)
    if not faces:
        raise UserError(f"no face in {path}")
    true = face_transform(finder.landmarks(photo, faces[0]), LANDMARKS, len(mask))
    known = ~hidden_by(photo.shape[:2], mask, [true])
    if known.all() or not known.any():
        raise UserError(f"the face of {path} lies outside the photo")
    found = damaged_faces(finder, photo, known, len(mask), fill)
    distances = [displacement(transform, true, len(mask)) for transform in found]
    nearest = int(np.argmin(distances)) if found and min(distances) <= FAR else None
    if nearest is None:
        return Damaged(photo, known, true, None, np.nan)
    return Damaged(photo, known, true, found[nearest], distances[nearest])


class DamagedPhotos:
    """A batch of damaged photos, for a Method."""

    def __init__(self, dcgan: "DCGAN", batch: Sequence[Damaged]):
        self.dcgan, self.batch = dcgan, batch

    def by_filling(self, fill: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
        """Completes the photos one by one."""
        for each in self.batch:
            yield fill(np.where(each.known[..., None], each.photo, np.uint8(HIDDEN)), each.known)

    def by_search(self, preset: Preset, told: bool = False) -> Iterator[np.ndarray]:
        """Completes the photos by the model; by the spline alone where the face was not found.

        told: the true places of the faces are used instead of those found.
        """
        size, c_dim = self.dcgan.image_size, self.dcgan.c_dim
        transforms = [each.true if told else each.found for each in self.batch]
        parts = [
            in_frames(each.photo, each.known, [transform], size, c_dim)
            for each, transform in zip(self.batch, transforms, strict=True)
            if transform is not None
        ]
        completed: Iterable[np.ndarray] = ()
        if parts:
            incomplete = Incomplete.joined(parts)
            *_, last = self.dcgan.complete(incomplete, replace(preset.search, out_interval=0))
            completed = blend(last.generated, incomplete, preset.blend)
        faces = iter(completed)
        for each, transform in zip(self.batch, transforms, strict=True):
            chosen = [] if transform is None else [transform]
            face = np.zeros((0, size, size, 3), np.uint8) if transform is None else next(faces)[None]
            yield carried_back(each.photo, each.known, chosen, face)


def closeness_in_hole(completed: np.ndarray, damaged: Damaged) -> tuple[float, float]:
    """PSNR in dB and SSIM, in the hole, at the photo's resolution."""
    hole = ~damaged.known
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    top, left = max(0, rows[0] - MARGIN), max(0, columns[0] - MARGIN)
    part = np.s_[top : rows[-1] + MARGIN + 1, left : columns[-1] + MARGIN + 1]
    pair = completed[part][None], damaged.photo[part][None]
    if min(hole[part].shape) < WINDOW:
        return psnr(*pair, hole[part][None])[0], np.nan
    _, in_hole, _, similar, _ = closeness(*pair, damaged.known[part][None])[:, 0]
    return in_hole, similar
