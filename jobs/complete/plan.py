"""Plans a completion: which pictures there are, and which batches of them are missing in the results."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from completion.batches import Batch, Group
from completion.options import PhotoOptions
from dcgan.workers import ALONE, Worker
from images.decoding import in_turn
from images.files import check_folder, find_pictures, load_each
from images.mask_folder import without_masks
from images.mask_options import WITHOUT_HOLE, MaskOptions
from images.saving import check_side
from jobs.complete.arguments import CompleteOptions
from jobs.complete.results import Results
from outputs import Outputs
from utils import Progress, UserError, WrongCommand, say, some


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
            real = Path(os.path.realpath(path))
            below = left_out - set(map(str, (real, *real.parents)))
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
    if masks.folder:
        imgs = without_masks(imgs, masks.folder)
    if not any(map(os.path.isfile, imgs)):
        rest = f", nor any other of the {len(imgs)} named" if len(imgs) > 1 else ""
        raise UserError(f"no file or folder {imgs[0]}{rest}: name pictures or a folder of them")
    return imgs


def check_named(files: CompleteOptions, photos: PhotoOptions, masks: MaskOptions) -> None:
    """Raises UserError if the options name files that do not exist. Runs before TensorFlow, which takes seconds."""
    if photos.photo and masks.kind in WITHOUT_HOLE:
        raise WrongCommand(f"--maskType {masks.kind} is for aligned pictures: remove --photo or choose another type")
    if masks.keep_alpha and files.format == "jpg":
        raise WrongCommand("--keepAlpha needs --format png or webp: JPEG has no transparency")
    if masks.folder:
        check_folder(masks.folder, "masks")
    if masks.file and not masks.file.is_file():
        raise UserError(f"no mask {masks.file}: name a picture, white where pixels are known and black in the hole")
    if photos.alignment and not photos.alignment.is_file():
        raise UserError(f"no file {photos.alignment}: name the alignment.csv that align.py wrote for the photos")


class Plan:
    """The batches of one call: reads their pictures and finds out which results are missing."""

    def __init__(
        self, groups: Sequence[Group], imgs: Sequence[Path], results: Results, batch_size: int, worker: Worker = ALONE
    ):
        """Reports the pictures without a mask."""
        self.imgs, self.results, self.worker = imgs, results, worker
        masks = groups[0].reader.masks
        without = {number for number, path in enumerate(imgs) if not masks.has(path)}
        if without:
            named = some([imgs[number] for number in sorted(without)])
            say(f"skipped: {named} without a mask of the same name in {masks.options.folder}")
        self.parts: list[tuple[Group, list[int]]] = []
        for group in groups:
            numbers = [number for number in group.numbers if number not in without]
            self.parts += [(group, numbers[i : i + batch_size]) for i in range(0, len(numbers), batch_size)]
        self.progress = Progress(len(self.parts[worker.index :: worker.count]) * results.iterations, "iterations")
        self.tally: Counter[str] = Counter()

    def missing(self) -> Iterator[Batch]:
        """Yields this worker's batches with missing results. Their pictures are read while the one before is used."""
        mine = self.parts[self.worker.index :: self.worker.count]
        self.tally["of others"] = sum(len(part) for _, part in self.parts) - sum(len(part) for _, part in mine)
        empty = 0  # batches of this worker without a readable picture, which do not count
        threads = ThreadPoolExecutor(os.cpu_count())
        try:
            reading = [self._read(threads, *part) for part in mine[:1]]
            for i, (group, _) in enumerate(mine):
                nth = self.worker.index + i * self.worker.count + 1 - empty
                batch = Batch(nth, group, load_each(reading.pop(), Future.result))
                if not self.results.has(batch):
                    group.reader.masks.describe(batch.loaded.values())
                    batch = Batch(nth, group, group.reader.with_faces(dict(batch.loaded)))  # some photos may drop out
                empty += not batch.loaded
                reading = [self._read(threads, *part) for part in mine[i + 1 : i + 2]]
                if self.results.has(batch):
                    self.progress.skip(self.results.iterations)
                    self.tally["kept"] += len(batch.loaded)
                else:
                    self.tally["fitted"] += sum(each.fitted for each in batch.loaded.values())
                    yield batch
        finally:
            threads.shutdown(cancel_futures=True)

    def _read(self, threads: ThreadPoolExecutor, group: Group, numbers: Sequence[int]) -> dict[int, Future]:
        """Starts to read pictures, and to look for faces in those without a result."""

        def read(number: int) -> Any:
            path = self.imgs[number]
            with in_turn(path):
                loaded = group.reader.read(path)
                check_side(path, loaded.shape, self.results.format)
                done = self.results.has_of(number, group.note(number, loaded))
                return loaded if done else group.reader.looked_at(loaded)

        return {number: threads.submit(read, number) for number in numbers}
