"""Completes pictures: finds out which batches are missing, completes one after the other, and has them written."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dcgan.options import RATES, SearchOptions
from jobs.options import CompleteOptions
from jobs.results import Batch, Outcome, Results, digest
from pictures.blending import blend
from pictures.files import load_each
from pictures.incomplete import Incomplete
from pictures.options import MaskOptions
from pictures.reading import Loaded, MaskedReader
from utils import Progress, UserError, only_writer

if TYPE_CHECKING:
    from model import DCGAN, SearchStep


def complete(files: CompleteOptions, masks: MaskOptions, search: SearchOptions) -> None:
    """Completes the pictures that an earlier call has not, and says where they are.

    UserError if a picture cannot be completed, once the others are.
    """
    if search.lr and search.approach not in RATES:
        print(f"--lr has no effect on --approach {search.approach}")
    imgs = [path for path in files.imgs if path.name != "alignment.csv"]  # aligned/* names align.py's, too
    with only_writer(files.out_dir):
        results = Results(files.out_dir, imgs, search.out_interval, files.all_frames)
        dcgan = open_model(files.checkpoint_dir, files.img_size, masks.lowres)
        reader = MaskedReader(masks, dcgan.image_size, dcgan.c_dim, search.seed)
        job = Completion(dcgan, search, files.blend, reader, results)
        for batch in job.missing(imgs, files.batch_size):
            job.write(batch, job.complete(batch))
        job.report(len(imgs))


def open_model(named: Path, size: int | None, lowres: int) -> "DCGAN":
    """The model to complete with; UserError if there is none, or none for these options."""
    from dcgan.checkpoints import model_directory
    from model import DCGAN

    directory = model_directory(named)
    dcgan = DCGAN.load(directory)
    if size and size != dcgan.image_size:
        raise UserError(f"the model in {directory} is for --imgSize {dcgan.image_size}, not {size}")
    if lowres and dcgan.image_size % lowres:
        raise UserError(f"--lowresBlock {lowres} does not divide the model's {dcgan.image_size} pixels: try 4 or 8")
    print(f"model: {directory}, trained for {int(dcgan.step)} steps")
    return dcgan


class Completion:
    """The work of one call, in three steps: which batches are missing, complete one, write it."""

    def __init__(self, dcgan: "DCGAN", search: SearchOptions, blending: str, reader: MaskedReader, results: Results):
        self.dcgan, self.search, self.blending, self.reader, self.results = dcgan, search, blending, reader, results
        self.progress = Progress(0, "iterations")
        self.tally: Counter[str] = Counter()

    def missing(self, imgs: Sequence[Path], batch_size: int) -> Iterator[Batch]:
        """The batches of which something is missing."""
        weights = [*self.dcgan.generator.get_weights(), *self.dcgan.discriminator.get_weights()]
        how = digest(*weights, dataclasses.replace(self.search, out_interval=0), self.reader.lowres, self.blending)
        firsts = range(0, len(imgs), batch_size)
        self.progress.total = len(firsts) * self.search.n_iter
        nth = 1
        for first in firsts:
            loaded = load_each(imgs[first : first + batch_size], self.reader.read, first)
            batch = self._batch(nth, loaded, how) if loaded else None
            if batch and not self.results.has(batch):
                yield batch
            else:
                self.progress.skip(self.search.n_iter)
                self.tally["kept"] += len(loaded)
            nth += bool(loaded)

    def _batch(self, nth: int, loaded: dict[int, Loaded], how: str) -> Batch:
        self.tally["fitted"] += sum(each.fitted for each in loaded.values())
        pictures = np.stack([each.picture for each in loaded.values()])
        masks = np.stack([each.mask for each in loaded.values()])
        notes = [digest(how, number, each.picture, each.mask) for number, each in loaded.items()]
        paths = [each.path for each in loaded.values()]
        return Batch(nth, paths, Incomplete(pictures, masks, self.reader.lowres, tuple(loaded)), notes)

    def complete(self, batch: Batch) -> Outcome:
        """Searches and blends; has the frames recorded if the batch is to have some."""
        frames = self.results.frames(batch)
        search = self.search if frames else dataclasses.replace(self.search, out_interval=0)
        before = self.progress.done
        state: SearchStep
        for state in self.dcgan.complete(batch.incomplete, search):
            if frames:
                frames.record(state)
            self.progress.update(before + state.iteration, f"loss {np.mean(state.losses[:, 2]):.4g}")
        blended = blend(state.generated, batch.incomplete, self.blending)
        if frames:
            frames.finish(state.completed, blended)
        return Outcome(state.completed, blended, state.restarts, np.isfinite(state.losses[:, 2]))

    def write(self, batch: Batch, outcome: Outcome) -> None:
        """Writes the results."""
        self.tally["completed"] += self.results.write(batch, outcome)

    def report(self, pictures: int) -> None:
        """Says what has become of so many pictures; UserError if not all are completed."""
        tally = self.tally
        if tally["fitted"]:
            print(f"cropped to a square and resized to the model's size: {tally['fitted']} of {pictures} pictures")
        if tally["kept"]:
            print(f"{tally['kept']} of {pictures} pictures were completed by an earlier call with the same options")
        done = tally["completed"] + tally["kept"]
        if not done:
            raise UserError("none of the pictures can be completed, see above")
        self.results.show(self.search.n_iter)
        if done < pictures:
            raise UserError(
                f"{pictures - done} of {pictures} pictures are left out, see above; the others are completed"
            )
