"""Plans a completion: which pictures there are, and which batches of them are missing in the results."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan.options import SearchOptions
from dcgan.workers import ALONE, Worker
from images.decoding import read_picture
from images.files import check_folder, find_pictures, load_each
from images.incomplete import Face, Incomplete
from images.mask_files import has_mask
from images.mask_options import MaskOptions
from images.masks import WITHOUT_HOLE
from jobs.complete.arguments import PhotoOptions
from jobs.complete.results import Batch, Results
from utils import Outputs, Progress, UserError, WrongCommand, digest, say, some

if TYPE_CHECKING:
    from jobs.complete.aligned_reader import AlignedReader
    from jobs.complete.photo_reader import PhotoReader
    from model import DCGAN

LOOKS = 64  # face detections in pictures that were cropped; each takes up to a third of a second


def listed(named: Sequence[Path], outputs: Outputs, masks: MaskOptions) -> list[Path]:
    """The pictures that are named, and those in the folders that are named, without masks and earlier results.

    UserError if there are none, or if none of the named files exists.
    """
    imgs = []
    others = [
        *(outputs.folder / name for name in outputs.names()),
        *(path for path in (masks.file, masks.folder) if path),
    ]
    left_out = set(map(os.path.realpath, others))
    for path in named:
        if os.path.isdir(path):
            below = left_out - {os.path.realpath(path)}
            try:
                for each in find_pictures(path):
                    real = Path(os.path.realpath(each))
                    if below.isdisjoint(map(str, (real, *real.parents))):
                        imgs.append(each)
            except UserError as error:
                say(f"skipped: {error}")
        elif path.name != "alignment.csv":  # aligned/* names the table of align.py, too
            imgs.append(path)
    if not imgs:
        raise UserError("there is no picture to complete: name pictures or a folder of them")
    if not any(map(os.path.isfile, imgs)):
        rest = f", nor any other of the {len(imgs)} named" if len(imgs) > 1 else ""
        raise UserError(f"no file or folder {imgs[0]}{rest}: name pictures or a folder of them")
    return imgs


def check_named(photos: PhotoOptions, masks: MaskOptions) -> None:
    """Raises UserError if the options name files that do not exist. Runs before TensorFlow, which takes seconds."""
    if photos.photo and masks.kind in WITHOUT_HOLE:
        raise WrongCommand(f"--maskType {masks.kind} is for aligned pictures: remove --photo or choose another type")
    if masks.folder:
        check_folder(masks.folder, "masks")
    if masks.file and not masks.file.is_file():
        raise UserError(f"no mask {masks.file}: name a picture, white where pixels are known and black in the hole")
    if photos.alignment and not photos.alignment.is_file():
        raise UserError(f"no file {photos.alignment}: name the alignment.csv that align.py wrote for the photos")


@dataclass(frozen=True)
class Recipe:
    """How pictures are completed."""

    dcgan: "DCGAN"
    search: SearchOptions
    blending: str

    def digest(self, lowres: int) -> str:
        """Identifies all that a result depends on, besides its picture."""
        weights = [*self.dcgan.generator.get_weights(), *self.dcgan.discriminator.get_weights()]
        return digest(*weights, self.dcgan.precision, replace(self.search, out_interval=0), self.blending, lowres)


class Plan:
    """The batches of one call: reads their pictures and finds out which results are missing."""

    def __init__(
        self,
        recipe: Recipe,
        imgs: Sequence[Path],
        reader: "AlignedReader | PhotoReader",
        results: Results,
        batch_size: int,
        worker: Worker = ALONE,
    ):
        """Reports the pictures without a mask."""
        self.imgs, self.reader, self.results, self.worker = imgs, reader, results, worker
        with_mask = [has_mask(reader.options, path) for path in imgs]
        numbers = [number for number, has in enumerate(with_mask) if has]
        if len(numbers) < len(imgs):
            without = [path for path, has in zip(imgs, with_mask, strict=True) if not has]
            say(f"skipped: {some(without)} without a mask of the same name in {reader.options.folder}")
        self.parts = [numbers[first : first + batch_size] for first in range(0, len(numbers), batch_size)]
        self.how = recipe.digest(reader.options.lowres)
        self.progress = Progress(len(self.parts[worker.index :: worker.count]) * results.iterations, "iterations")
        self.tally: Counter[str] = Counter()
        self.faceless: list[Path] = []

    def missing(self) -> Iterator[Batch]:
        """Yields this worker's batches with missing results."""
        nth = 1  # batches without a readable picture do not count, except those of other workers
        for place, part in enumerate(self.parts):
            if place % self.worker.count != self.worker.index:
                self.tally["of others"] += len(part)
                nth += 1
                continue
            loaded = load_each({number: self.imgs[number] for number in part}, self.reader.read)
            if self._is_missing(nth, loaded):
                loaded = self.reader.with_faces(loaded)  # photos without a face drop out
            if self._is_missing(nth, loaded):
                self._look_for_faces([each.path for each in loaded.values() if each.fitted])
                yield self._batch(nth, loaded)
            else:
                self.progress.skip(self.results.iterations)
                self.tally["kept"] += len(loaded)
            nth += bool(loaded)

    def _is_missing(self, nth: int, loaded: Mapping[int, Any]) -> bool:
        return bool(loaded) and not self.results.has(nth, self._notes(loaded))

    def _notes(self, loaded: Mapping[int, Any]) -> dict[int, str]:
        """A digest of what each result depends on, by the pictures' numbers."""
        return {number: digest(self.how, number, *each.made_of) for number, each in loaded.items()}

    def _look_for_faces(self, fitted: Sequence[Path]) -> None:
        """Remembers which of the first cropped pictures are photos whose faces must be located first."""
        from faces.detector import face_fills

        for path in fitted[: LOOKS - self.tally["looked"]]:
            self.tally["looked"] += 1
            if face_fills(read_picture(path)) is False:
                self.faceless.append(path)

    def _batch(self, nth: int, loaded: Mapping[int, Any]) -> Batch:
        self.tally["fitted"] += sum(each.fitted for each in loaded.values())
        parts = [each.incomplete for each in loaded.values()]
        ids = [Face(number, k) for number, part in zip(loaded, parts, strict=True) for k in range(len(part))]
        return Batch(nth, loaded, self._notes(loaded), Incomplete.joined(parts, self.reader.options.lowres, ids))
