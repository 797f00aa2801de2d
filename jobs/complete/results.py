"""The folder that completions are written into: a result for each picture, and frames that show the search.

The list of the folder has a note for each result: what the result depends on. So the same call only completes what is
missing.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from images.decoding import PictureError
from images.files import save_picture, unique_names
from images.incomplete import Face
from images.sheets import ROWS, named_table, on_white, table
from jobs.complete.batches import Batch, Final, Outcome
from utils import Outputs, UserError, digest, say

UNFINISHED = "unfinished"
FRAMES = "frames"  # begins the notes of all frames
PHOTO_TITLES = ("before", "masked", "completed")


class Results:
    """The results and frames of one call."""

    def __init__(self, outputs: Outputs, imgs: Sequence[Path], iterations: int, interval: int, framed: int):
        """framed: the number of batches with a sheet and frames, one every `interval` iterations; 0 for no frames.

        UserError if one of the `imgs` is an earlier result, or if a foreign file has a name that will be needed.
        """
        self.outputs, self.iterations, self.framed, self.interval = outputs, iterations, framed, interval
        self.finals = [f"final/{name}.png" for name in unique_names(imgs)]
        self.call = digest(list(imgs), interval, framed)
        earlier = {os.path.realpath(outputs.folder / name) for name in outputs.names()}
        for path in imgs:
            if os.path.realpath(path) in earlier:
                raise UserError(f"{path} is a result in the output folder: choose another --outDir")
        outputs.check(*self.finals)
        shown = [*range(0, iterations, interval), iterations] if interval else []
        grids = [f"{folder}/{i:04d}" for folder in ("hats_imgs", "completed") for i in shown]
        for end in map(suffix, range(1, framed + 1)):
            outputs.check(*(f"{name}{end}.png" for name in ("before", "masked", "sheet", "photos", *grids)))
            outputs.check(f"completion{end}.gif")
        if framed and interval:
            outputs.check(*(log_name(Face(number)) for number in range(len(imgs))))

    def has(self, batch: Batch) -> bool:
        """Whether everything exists that the finished batch leaves, made from what its notes say."""
        expected = {self.finals[number]: note for number, note in batch.notes.items()}
        if batch.nth <= self.framed and batch.has_faces:
            expected[f"sheet{suffix(batch.nth)}.png"] = self.sheet_note(batch, self.iterations)
        return all(self.outputs.note(name) == note for name, note in expected.items())

    def make_room(self, batch: Batch) -> bool:
        """Deletes frames of earlier calls. Returns whether the batch will have a sheet and frames."""
        outputs = self.outputs
        outputs.remove(*outputs.names(FRAMES if batch.nth == 1 else frames_note(batch.nth)))
        framed = batch.nth <= self.framed
        if framed:
            outputs.remove(*map(log_name, batch.incomplete.ids))
        return framed

    def write_sheet(self, batch: Batch, completed: np.ndarray, blended: np.ndarray, iteration: int) -> None:
        """Writes the sheet of a batch, with a row for each picture. Its frames must exist: it marks their end."""
        pictures = batch.incomplete.pictures, batch.incomplete.shown(), completed, blended
        rows = np.stack(pictures, axis=1)[:ROWS]
        sheet = table(rows.reshape(-1, *rows.shape[2:]), ["before", "masked", "completed", "blended"])
        save = partial(save_picture, pixels=sheet)
        self.outputs.write(f"sheet{suffix(batch.nth)}.png", save, self.sheet_note(batch, iteration))

    def sheet_note(self, batch: Batch, iteration: int) -> str:
        """The note of a batch's sheet once the search has come to this iteration."""
        made_of = digest(self.call, list(batch.notes.values())) if iteration == self.iterations else UNFINISHED
        return frames_note(batch.nth) + made_of

    def write(self, batch: Batch, outcome: Outcome, final: Callable[[Any, np.ndarray], Final]) -> int:
        """Writes the results and returns how many there are. Reports which searches were restarted.

        final: makes a result of a picture as it was loaded and its completed faces, uint8 [k, H, W, C]. A finished
        result is not replaced by an unfinished one.
        """
        finished = outcome.iteration == self.iterations
        shown: dict[str, Sequence[np.ndarray]] = {}
        written = 0
        for number, loaded in batch.loaded.items():
            faces = [i for i, face in enumerate(batch.incomplete.ids) if face.photo == number]
            found, restarts = outcome.found[faces].all(), outcome.restarts[faces].sum()
            if restarts:
                without_result = "" if found else "; it never became finite, so the picture is skipped"
                say(
                    f"{loaded.path}: the loss was not finite, the search was restarted {restarts} times{without_result}"
                )
            if not found:
                continue
            if finished or self.outputs.note(self.finals[number]) in (None, UNFINISHED):
                try:
                    made = final(loaded, outcome.blended[faces])
                except PictureError as error:  # a photo is read once more
                    say(f"skipped: {error}")
                    continue
                save = partial(save_picture, pixels=made.pixels, profile=made.profile)
                self.outputs.write(self.finals[number], save, batch.notes[number] if finished else UNFINISHED)
                if made.row and len(shown) < ROWS:
                    shown[loaded.path.name] = made.row
            written += 1
        if shown and batch.nth <= self.framed:
            sheet = named_table(on_white([*chain.from_iterable(shown.values())]), PHOTO_TITLES, list(shown))
            name = f"photos{suffix(batch.nth)}.png"
            self.outputs.write(name, partial(save_picture, pixels=sheet), frames_note(batch.nth))
        return written

    def show(self, iteration: int) -> None:
        """Reports where the results and the frames of this iteration are."""
        out = self.outputs.folder
        if self.framed:
            frames = (f"{folder}/{iteration:04d}.png" for folder in ("hats_imgs", "completed"))
            names = ("photos.png", "sheet.png", "completion.gif", "before.png", "masked.png", *frames)
            say("look at " + ", ".join(f"{out}/{name}" for name in names if (out / name).exists()))
        say(f"completed pictures: {out}/final")


def suffix(nth: int) -> str:
    """Ends the names of the frames of batch number `nth`."""
    return f"_{nth}" if nth > 1 else ""


def frames_note(nth: int) -> str:
    """The note of the frames of batch number `nth`, and the beginning of its sheet's note."""
    return f"{FRAMES} of batch {nth}: "


def log_name(face: Face) -> str:
    """The log of a search: logs/hats_02.log for photo 2, logs/hats_02_2.log for its second face."""
    return f"logs/hats_{face.photo:02d}{f'_{face.index + 1}' if face.index else ''}.log"
