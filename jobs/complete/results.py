"""The folder that completions are written into: a result for each picture, and frames that show the search.

The list of the folder has a note for each result: what the result depends on. So the same call only completes what is
missing.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from completion.batches import Batch, Final, Outcome
from images.decoding import PictureError
from images.files import save_picture, unique_names
from images.incomplete import Face
from images.saving import save_photo
from images.sheets import ROWS, named_table, on_white, table
from jobs.complete.arguments import FORMATS, MOST_TRIES
from outputs import Outputs
from utils import UserError, digest, say, say_once

UNFINISHED = "unfinished"
FRAMES = "frames"  # begins the notes of all frames
PHOTO_TITLES = ("before", "masked", "completed")


class Results:
    """The results and frames of one call."""

    def __init__(
        self,
        outputs: Outputs,
        imgs: Sequence[Path],
        iterations: int,
        interval: int,
        framed: int,
        tries: int = 1,
        format: str = FORMATS[0],
        quality: int | None = None,
    ):
        """framed: the number of batches with a sheet and frames, one every `interval` iterations; 0 for no frames.

        tries: completions of each picture. format, quality: of the results, as in `CompleteOptions`.
        UserError if one of the `imgs` is an earlier result, or if a foreign file has a name that will be needed.
        """
        self.outputs, self.iterations, self.framed, self.interval = outputs, iterations, framed, interval
        self.tries, self.names = tries, unique_names(imgs)
        self.format, self.quality = format, quality
        self.call = digest(list(imgs), interval, framed)
        earlier = {os.path.realpath(outputs.folder / name) for name in outputs.names()}
        for path in imgs:
            if os.path.realpath(path) in earlier:
                raise UserError(f"{path} is a result in the output folder: choose another --outDir")
        outputs.check(*(name for number in range(len(imgs)) for name in self._expected(number, "")))
        shown = [*range(0, iterations, interval), iterations] if interval else []
        grids = [f"{folder}/{i:04d}" for folder in ("hats_imgs", "completed") for i in shown]
        for end in map(suffix, range(1, framed + 1)):
            outputs.check(*(f"{name}{end}.png" for name in ("before", "masked", "sheet", "photos", *grids)))
            outputs.check(f"completion{end}.gif")
        if framed and interval:
            outputs.check(*(log_name(Face(number)) for number in range(len(imgs))))

    def has(self, batch: Batch) -> bool:
        """Whether all results of the finished batch exist, made from the same inputs."""
        expected: dict[str, str] = {}
        for number, note in batch.notes.items():
            expected |= self._expected(number, note)
        if batch.nth <= self.framed and batch.has_faces:
            expected[f"sheet{suffix(batch.nth)}.png"] = self.sheet_note(batch, self.iterations)
        return self._are_there(expected)

    def _expected(self, number: int, note: str) -> dict[str, str]:
        """The notes of the finished files of a picture, by their names."""
        name, of_file = self.names[number], digest(note, self.format, self.quality)
        finals = {f"{final_folder(attempt)}/{name}.{self.format}": of_file for attempt in range(self.tries)}
        return finals | ({f"tries/{name}.png": digest(note, self.tries)} if self.tries > 1 else {})

    def make_room(self, batch: Batch) -> bool:
        """Deletes frames of earlier calls. Returns whether the batch will have a sheet and frames."""
        outputs = self.outputs
        outputs.remove(*outputs.names(FRAMES if batch.nth == 1 else frames_note(batch.nth)))
        framed = batch.nth <= self.framed
        if framed:
            outputs.remove(*map(log_name, batch.best_guesses.ids))
        return framed

    def write_sheet(self, batch: Batch, completed: np.ndarray, blended: np.ndarray, iteration: int) -> None:
        """Writes the sheet of a batch, a row for each picture. Its note says that all frames exist: call it last."""
        shown = batch.best_guesses[:ROWS]
        rows = np.stack([shown.pictures, shown.shown(), *(each[: len(shown)] for each in (completed, blended))], axis=1)
        sheet = table(rows.reshape(-1, *rows.shape[2:]), ["before", "masked", "completed", "blended"])
        save = partial(save_picture, pixels=sheet)
        self.outputs.write(f"sheet{suffix(batch.nth)}.png", save, self.sheet_note(batch, iteration))

    def sheet_note(self, batch: Batch, iteration: int) -> str:
        """The note of a batch's sheet once the search has come to this iteration."""
        made_of = digest(self.call, list(batch.notes.values())) if iteration == self.iterations else UNFINISHED
        return frames_note(batch.nth) + made_of

    def has_of(self, number: int, note: str) -> bool:
        """Whether all results of a finished picture exist with this note."""
        return self._are_there(self._expected(number, note))

    def _are_there(self, expected: Mapping[str, str]) -> bool:
        return all(self.outputs.note(name) == note for name, note in expected.items())

    def write(self, batch: Batch, outcome: Outcome) -> int:
        """Writes the results and returns how many there are. Reports which searches were restarted.

        Finished results are not replaced by unfinished ones.
        """
        finished = outcome.iteration == self.iterations
        shown: dict[str, Sequence[np.ndarray]] = {}
        written = 0
        for number, loaded in batch.loaded.items():
            tries = [self._found(batch, outcome, number, attempt) for attempt in range(self.tries)]
            if tries[0] is None:
                continue
            notes = self._expected(number, batch.notes[number])
            if not finished:
                notes = dict.fromkeys(notes, UNFINISHED)
            if finished or all(self.outputs.note(name) in (None, UNFINISHED) for name in _possible(notes)):
                try:
                    row = self._write_tries(notes, tries, partial(self._finals, batch, loaded))
                except PictureError as error:  # a photo is read once more
                    say(f"skipped: {error}")
                    continue
                if row and len(shown) < ROWS:
                    shown[loaded.path.name] = row
            written += 1
        if shown and batch.nth <= self.framed:
            sheet = named_table(on_white([*chain.from_iterable(shown.values())]), PHOTO_TITLES, list(shown))
            name = f"photos{suffix(batch.nth)}.png"
            self.outputs.write(name, partial(save_picture, pixels=sheet), frames_note(batch.nth))
        return written

    def _found(self, batch: Batch, outcome: Outcome, number: int, attempt: int) -> np.ndarray | None:
        """uint8 [k, H, W, C]: the faces of a picture by one attempt; None if a loss never became finite."""
        rows = batch.rows(number, attempt)
        found, restarts = outcome.found[rows].all(), outcome.restarts[rows].sum()
        if restarts:
            what = f"try {attempt + 1}" if attempt else "the picture"
            without_result = "" if found else f"; it never became finite, so {what} is skipped"
            path = batch.loaded[number].path
            say(f"{path}: the loss was not finite (restarts: {restarts}){without_result}")
        return outcome.blended[rows] if found else None

    def _finals(self, batch: Batch, loaded: Any, tries: Sequence[np.ndarray]) -> Iterator[Final]:
        """The results of a picture. PictureError if it cannot be read again."""
        for made in batch.group.reader.finals(loaded, tries):
            if made.photo.stored.reduced:
                say_once(f"{loaded.path} has more than 8 bits for each channel; the result has 8")
            yield made

    def _write_tries(
        self,
        notes: Mapping[str, str],
        tries: Sequence[np.ndarray | None],
        finals: Callable[[Sequence[np.ndarray]], Iterator[Final]],
    ) -> Sequence[np.ndarray]:
        """Writes a result for each try, and the sheet of several; returns the best guess' row of photos.png.

        notes: by the names of the files, as `_expected` gives them. finals: makes results of the completed faces.
        """
        row: Sequence[np.ndarray] = ()
        sheet: dict[str, np.ndarray] = {}
        results = finals([faces for faces in tries if faces is not None])
        for (name, note), faces in zip(notes.items(), tries, strict=False):  # the sheet is the last of several files
            if faces is not None:
                made = next(results)
                self.outputs.write(name, partial(save_photo, photo=made.photo, quality=self.quality), note)
                row = row or made.row
                sheet |= {"masked": made.close_up[0], Path(name).parts[0]: made.close_up[1]}
        if len(tries) > 1:
            name, note = [*notes.items()][-1]
            pixels = table(np.stack([*sheet.values()]), [*sheet])
            self.outputs.write(name, partial(save_picture, pixels=pixels), note)
        self.outputs.remove(*(each for each in _possible(notes) if each not in notes))  # of an earlier call
        return row

    def show(self, iteration: int) -> None:
        """Reports where the results and the frames of this iteration are."""
        out = self.outputs.folder
        if self.framed:
            frames = (f"{folder}/{iteration:04d}.png" for folder in ("hats_imgs", "completed"))
            names = ("photos.png", "sheet.png", "completion.gif", "before.png", "masked.png", *frames)
            say("look at " + ", ".join(f"{out}/{name}" for name in names if (out / name).exists()))
        say(f"completed pictures: {out}/final")
        if self.tries > 1:
            others = ", ".join(f"{out}/{final_folder(attempt)}" for attempt in range(1, self.tries))
            say(f"alternatives: {others}; side by side: {out}/tries")


def suffix(nth: int) -> str:
    """Ends the names of the frames of batch number `nth`."""
    return f"_{nth}" if nth > 1 else ""


def final_folder(attempt: int) -> str:
    """The folder of the results of an attempt: final, final_2, ..."""
    return f"final{suffix(attempt + 1)}"


def frames_note(nth: int) -> str:
    """The note of the frames of batch number `nth`, and the beginning of its sheet's note."""
    return f"{FRAMES} of batch {nth}: "


def log_name(face: Face) -> str:
    """The log of a search: logs/hats_02.log for photo 2, logs/hats_02_2.log for its second face."""
    return f"logs/hats_{face.photo:02d}{f'_{face.index + 1}' if face.index else ''}.log"


def _possible(notes: Mapping[str, str]) -> list[str]:
    """The names of all results that a call with any --tries and --format may write for the same picture."""
    name = Path(next(iter(notes))).stem
    finals = (f"{final_folder(attempt)}/{name}.{end}" for attempt in range(MOST_TRIES) for end in FORMATS)
    return [*finals, f"tries/{name}.png"]
