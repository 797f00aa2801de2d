"""The folder that completions are written into: a result a picture, and frames of how it came about.

What is written carries what it was made of and how, so that the same call again does only what is missing.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pictures.files import read_note, save_picture, unique_names
from pictures.incomplete import Incomplete
from utils import UserError, say

if TYPE_CHECKING:
    from jobs.frames import Frames

# The files that a completion writes, but for its results in final/.
FRAME_FILE = re.compile(
    r"((before|masked|completion|sheet|(hats_imgs|completed)/\d+)(?P<suffix>(_\d+)?)\.(png|gif))"
    r"|logs/hats_\d+\.log|logs/events\.out\.tfevents\..*\.completion(?P<suffix_of_events>(_\d+)?)"
)


@dataclass(frozen=True)
class Batch:
    """Pictures that are searched side by side."""

    nth: int
    """1 and up, among the batches of a call."""
    paths: Sequence[Path]
    """[N], where the pictures come from."""
    incomplete: Incomplete
    notes: Sequence[str]
    """[N], what each result is made of, and how."""

    @property
    def suffix(self) -> str:
        """Of the names of the batch's frames."""
        return f"_{self.nth}" if self.nth > 1 else ""


@dataclass(frozen=True)
class Outcome:
    """What the search and blending have made of a batch."""

    completed: np.ndarray
    """uint8 [N, H, W, C]: G(z) in the hole as it is."""
    blended: np.ndarray
    """uint8 [N, H, W, C], the results."""
    restarts: np.ndarray
    """[N]: how often each picture's search began anew."""
    found: np.ndarray
    """bool [N]: whether a z was found; without one there is no result."""


class Results:
    """What one call leaves in its folder, and what an earlier one has left there."""

    def __init__(self, out: Path, imgs: Sequence[Path], interval: int, every_batch: bool):
        """Frames are to come every `interval` iterations, or none for 0, of `every_batch` or of the first alone.

        UserError if one of the `imgs` is a result itself.
        """
        self.out, self.interval, self.every_batch = out, interval, every_batch
        self.finals = [out / "final" / f"{name}.png" for name in unique_names(imgs)]
        self.call = digest(list(imgs), interval, every_batch)
        results = {os.path.realpath(path) for path in (*self._earlier_frames(), *out.glob("final/*"))}
        for path in imgs:
            if os.path.realpath(path) in results:
                raise UserError(f"{path} lies where the results are written: name another --outDir")

    def has(self, batch: Batch) -> bool:
        """Whether all is there already that the batch is to leave."""
        notes = {self.finals[number]: note for number, note in zip(batch.incomplete.numbers, batch.notes, strict=True)}
        if self._framed(batch):
            notes[self.out / f"sheet{batch.suffix}.png"] = self._frames_note(batch)
        return all(read_note(path) == note for path, note in notes.items())

    def frames(self, batch: Batch) -> "Frames | None":
        """What records the frames of the batch, in place of those of an earlier call; None if it is to have none."""
        if batch.nth == 1:
            self._remove(self._earlier_frames())
        if not self._framed(batch):
            return None
        from jobs.frames import Frames

        self._remove(self._earlier_frames(batch.suffix))
        self._remove(self.out / "logs" / f"hats_{number:02d}.log" for number in batch.incomplete.numbers)
        return Frames(self.out, batch.suffix, self._frames_note(batch), batch.incomplete)

    def write(self, batch: Batch, outcome: Outcome) -> int:
        """Writes the results; how many there are. Says which searches began anew."""
        for i, number in enumerate(batch.incomplete.numbers):
            if outcome.restarts[i]:
                in_vain = "" if outcome.found[i] else ", in vain: it is left out"
                times = f"its search began anew {outcome.restarts[i]} times{in_vain}"
                say(f"{batch.paths[i]}: the loss was not finite, {times}")
            if outcome.found[i]:
                save_picture(self.finals[number], outcome.blended[i], batch.notes[i])
        return int(outcome.found.sum())

    def show(self, n_iter: int) -> None:
        """Says where to look at what `n_iter` iterations have left."""
        if self.interval:
            names = ("sheet.png", "completion.gif", "before.png", "masked.png", f"completed/{n_iter:04d}.png")
            print("look at " + ", ".join(f"{self.out}/{name}" for name in names))
        print(f"completed pictures: {self.out}/final")

    def _framed(self, batch: Batch) -> bool:
        return bool(self.interval) and (batch.nth == 1 or self.every_batch)

    def _frames_note(self, batch: Batch) -> str:
        return digest(self.call, batch.notes)

    def _earlier_frames(self, suffix: str | None = None) -> list[Path]:
        """What an earlier completion left, but for `final` and only for the batch of that `suffix`, if given."""
        paths = [*self.out.glob("*"), *self.out.glob("*/*")]
        owned = ((path, FRAME_FILE.fullmatch(path.relative_to(self.out).as_posix())) for path in paths)
        return [
            path
            for path, match in owned
            if match and (suffix is None or suffix in (match["suffix"], match["suffix_of_events"]))
        ]

    @staticmethod
    def _remove(paths) -> None:
        for path in paths:
            path.unlink(missing_ok=True)


def digest(*parts: Any) -> str:
    """A short text that differs if a part differs. The parts are arrays and what has a faithful repr."""
    as_bytes = (part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode() for part in parts)
    return hashlib.sha256(b"".join(as_bytes)).hexdigest()
