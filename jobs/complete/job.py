"""Completes pictures: finds out which batches are missing, completes one after the other, and has them written."""

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from completion.models import open_model
from dcgan.options import RATES, DeviceOptions, SearchOptions
from dcgan.workers import ALONE, Worker
from images.blending import blend
from images.files import check_folder, find_pictures, load_each, read_picture
from images.incomplete import Face, Incomplete
from images.mask_files import MaskedReader
from images.mask_options import MaskOptions
from images.masks import WITHOUT_HOLE
from jobs.complete.arguments import CompleteOptions, PhotoOptions
from jobs.complete.results import Batch, Outcome, Results, note, written
from jobs.stopping import stop_signals
from utils import Progress, UserError, WrongCommand, digest, only_writer, say, some

if TYPE_CHECKING:
    from jobs.complete.photo_reader import PhotoReader
    from model import DCGAN, SearchStep

LOOKS = 64  # for faces, in pictures that had to be fitted; a look takes up to a third of a second


def complete(
    files: CompleteOptions, photos: PhotoOptions, masks: MaskOptions, search: SearchOptions, devices: DeviceOptions
) -> int | None:
    """Completes the pictures that an earlier call has not, and says where they are.

    Of the workers of a cluster each completes its share of the batches, into the same folder; frames are the chief's.
    128 and the signal's number if one stopped it before its end, once what there was is written. UserError if a picture
    cannot be completed, once the others are.
    """
    if search.lr and search.approach not in RATES:
        say(f"--lr has no effect on --approach {search.approach}")
    worker = Worker.of_cluster()
    with only_writer(files.out_dir / f".worker{worker.index}" if worker.index else files.out_dir):
        imgs = listed(files.imgs, files.out_dir, masks)
        if photos.points and len(imgs) > 1:
            raise WrongCommand(f"--points are those of one photo, and there are {len(imgs)}: complete it alone")
        check_named(photos, masks)
        batches = -(-len(imgs) // files.batch_size) if files.all_frames else 1
        framed = batches if search.out_interval and not worker.index else 0
        results = Results(files.out_dir, imgs, search.iterations, search.out_interval, framed)
        dcgan = open_model(files.checkpoint_dir, files.img_size, masks.lowres, devices.of_search, photos.photo)
        reader = open_reader(photos, masks, dcgan, search.seed)
        job = Completion(dcgan, search, files.blend, reader, results)
        received: list[int] = []
        with in_background(job.write) as write:  # the next batch is searched meanwhile
            for batch in job.missing(imgs, files.batch_size, worker):
                with stop_signals() as received:
                    outcome = job.complete(batch, received)
                    write(batch, outcome)
                if received:
                    break
        if received and not job.finished:
            job.report_stop(batch, outcome)
            return 128 + received[0]
        job.report(imgs)
    return None


@contextmanager
def in_background(work: Callable[..., None]) -> Iterator[Callable[..., None]]:
    """A function that has `work` done beside what follows, once what it was called for before is done.

    At the end all is done. What `work` raises is raised by the next call, or at the end.
    """
    earlier: Future[None] = Future()
    earlier.set_result(None)

    def begin(*args: Any) -> None:
        nonlocal earlier
        earlier.result()
        earlier = worker.submit(work, *args)

    with ThreadPoolExecutor(1) as worker:
        yield begin
        earlier.result()


def listed(named: Sequence[Path], out: Path, masks: MaskOptions) -> list[Path]:
    """The pictures named, and those in the folders named, but for masks and what completions wrote into `out`.

    UserError if there are none, or none of the files named is there.
    """
    imgs = []
    others = written(out) | {os.path.realpath(path) for path in (masks.file, masks.folder) if path}
    for path in named:
        if os.path.isdir(path):
            try:
                imgs += [each for each in find_pictures(path) if not _is_of(others, each, path)]
            except UserError as error:
                say(f"left out: {error}")
        elif path.name != "alignment.csv":  # aligned/* names align.py's, too
            imgs.append(path)
    if not imgs:
        raise UserError("there is no picture to complete: name pictures, or a folder of them")
    if not any(map(os.path.isfile, imgs)):
        rest = f", nor any other of the {len(imgs)} named" if len(imgs) > 1 else ""
        raise UserError(f"no file or folder {imgs[0]}{rest}: name pictures, or a folder of them")
    return imgs


def check_named(photos: PhotoOptions, masks: MaskOptions) -> None:
    """UserError if what the options name is not there: told before TensorFlow is loaded, which takes seconds."""
    if photos.photo and masks.kind in WITHOUT_HOLE:
        raise WrongCommand(f"--maskType {masks.kind} is for aligned pictures, without --photo: name another")
    if masks.folder:
        check_folder(masks.folder, "masks")
    if masks.file and not masks.file.is_file():
        raise UserError(f"no mask {masks.file}: name a picture, white where pixels are known and black in the hole")
    if photos.alignment and not photos.alignment.is_file():
        raise UserError(f"no file {photos.alignment}: name the alignment.csv that align.py wrote for the photos")


def _is_of(others: Set[str], path: Path, folder: Path) -> bool:
    """Whether a picture found in `folder` is one of the `others`, or lies in one that is a folder below."""
    real, top = Path(os.path.realpath(path)), os.path.realpath(folder)
    return any(str(each) in others and str(each) != top for each in (real, *real.parents))


def open_reader(photos: PhotoOptions, masks: MaskOptions, dcgan: "DCGAN", seed: int) -> "MaskedReader | PhotoReader":
    """What reads aligned pictures or photos for the model; UserError if the options name what cannot be used."""
    if not photos.photo:
        return MaskedReader(masks, dcgan.image_size, dcgan.c_dim, seed)
    from jobs.complete.photo_reader import PhotoReader

    return PhotoReader(photos, masks, dcgan, seed)


class Completion:
    """The work of one call, in three steps: which batches are missing, complete one, write it."""

    def __init__(
        self,
        dcgan: "DCGAN",
        search: SearchOptions,
        blending: str,
        reader: "MaskedReader | PhotoReader",
        results: Results,
    ):
        self.dcgan, self.search, self.blending, self.reader, self.results = dcgan, search, blending, reader, results
        self.progress = Progress(0, "iterations")
        self.tally: Counter[str] = Counter()
        self.faceless: list[Path] = []

    @property
    def finished(self) -> bool:
        """Whether every batch has been searched to its end, or was passed as an earlier call had."""
        return self.progress.done == self.progress.total

    def missing(self, imgs: Sequence[Path], batch_size: int, worker: Worker = ALONE) -> Iterator[Batch]:
        """The batches of which something is missing, but for those of other workers."""
        weights = [*self.dcgan.generator.get_weights(), *self.dcgan.discriminator.get_weights()]
        search = dataclasses.replace(self.search, out_interval=0)
        how = digest(*weights, self.dcgan.precision, search, self.reader.lowres, self.blending)
        numbers = self._with_masks(imgs)
        parts = [numbers[first : first + batch_size] for first in range(0, len(numbers), batch_size)]
        self.progress.total = len(parts[worker.index :: worker.count]) * self.search.iterations
        nth = 1
        for place, part in enumerate(parts):
            if place % worker.count != worker.index:
                self.tally["of others"] += len(part)
                nth += 1
                continue
            loaded = load_each({number: imgs[number] for number in part}, self.reader.read)
            # Faces are looked for only if something is missing; photos without one are out then.
            if loaded and not self.results.has(nth, _notes(how, loaded)):
                loaded = self.reader.with_faces(loaded)
            if loaded and not self.results.has(nth, _notes(how, loaded)):
                self._look_for_faces([each.path for each in loaded.values() if each.fitted])
                yield self._batch(nth, loaded, _notes(how, loaded))
            else:
                self.progress.skip(self.search.iterations)
                self.tally["kept"] += len(loaded)
            nth += bool(loaded)

    def _with_masks(self, imgs: Sequence[Path]) -> list[int]:
        """The numbers of the pictures that have a mask; says which have none."""
        numbers = [number for number, path in enumerate(imgs) if self.reader.has_mask(path)]
        without = [imgs[number] for number in sorted(set(range(len(imgs))) - set(numbers))]
        if without:
            say(f"left out: {some(without)} without a mask of the same name in {self.reader.options.folder}")
        return numbers

    def _look_for_faces(self, fitted: Sequence[Path]) -> None:
        """Notes which of the first pictures that had to be fitted are photos whose faces are to be found first."""
        from faces.detector import face_fills

        for path in fitted[: LOOKS - self.tally["looked"]]:
            self.tally["looked"] += 1
            if face_fills(read_picture(path)) is False:
                self.faceless.append(path)

    def _batch(self, nth: int, loaded: Mapping[int, Any], notes: Mapping[int, str]) -> Batch:
        self.tally["fitted"] += sum(each.fitted for each in loaded.values())
        parts = [each.incomplete for each in loaded.values()]
        ids = [Face(number, k) for number, part in zip(loaded, parts, strict=True) for k in range(len(part))]
        return Batch(nth, loaded, notes, Incomplete.joined(parts, self.reader.lowres, ids))

    def complete(self, batch: Batch, received: Sequence[int]) -> Outcome:
        """Searches, until a signal is `received`, and blends; has the frames recorded if the batch is to have some."""
        frames = self.results.frames(batch)
        search = self.search if frames else dataclasses.replace(self.search, out_interval=0)
        before = self.progress.done
        state: SearchStep
        for state in self.dcgan.complete(batch.incomplete, search, lambda: bool(received)):
            if frames:
                frames.record(state)
            self.progress.update(before + state.iteration, f"loss {np.mean(state.losses[:, 2]):.4g}")
        blended = blend(state.generated, batch.incomplete, self.blending)
        if frames:
            frames.finish(state.completed, blended, self.results.sheet_note(batch.notes, state.iteration))
        found = np.isfinite(state.losses[:, 2])
        return Outcome(blended, state.restarts, found, state.iteration)

    def write(self, batch: Batch, outcome: Outcome) -> None:
        """Writes the results."""
        self.tally["completed"] += self.results.write(batch, outcome, self.reader.final)

    def report(self, imgs: Sequence[Path]) -> None:
        """Says what has become of the pictures; UserError if not all are completed."""
        tally, pictures = self.tally, len(imgs) - self.tally["of others"]
        if tally["fitted"]:
            say(f"cropped to a square and resized to the model's size: {tally['fitted']} of {pictures} pictures")
        self._name_photos()
        if tally["kept"]:
            say(f"{tally['kept']} of {pictures} pictures were completed by an earlier call with the same options")
        done = tally["completed"] + tally["kept"]
        if pictures and not done:
            raise UserError("none of the pictures can be completed, see above")
        self.results.show(self.search.iterations)
        if done < pictures:
            raise UserError(
                f"{pictures - done} of {pictures} pictures are left out, see above; the others are completed"
            )

    def report_stop(self, batch: Batch, outcome: Outcome) -> None:
        """Says what a call leaves that was stopped in a batch."""
        self.progress.skip(self.progress.total - self.progress.done)
        self._name_photos()
        # The frames named are those of the first batch; a later one has none, or some of its own.
        self.results.show(outcome.iteration if batch.nth == 1 else self.search.iterations)
        if outcome.iteration < self.search.iterations:
            say(
                f"stopped after {outcome.iteration} of {self.search.iterations} iterations, unfinished: "
                f"{some(batch.paths)}; the same call does what is unfinished again"
            )
        else:
            say("stopped; the same call goes on from there")

    def _name_photos(self) -> None:
        """Says which pictures are photos, whose faces had to be found, and how that is done."""
        if self.faceless:
            say(f"no face fills {some(self.faceless)}: complete the faces in it by --photo")


def _notes(how: str, loaded: Mapping[int, Any]) -> dict[int, str]:
    return {number: note(how, number, *each.made_of) for number, each in loaded.items()}
