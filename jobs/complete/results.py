"""The folder that completions are written into: a result a picture, and frames of how it came about.

Every picture written there carries a note. It begins with a mark: what has none is not ours, and stays as it is. If the
picture is finished, its note goes on with what it was made of and how, so that the same call does only what is missing.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from images.files import PictureError, read_note, save_picture, unique_names
from images.incomplete import Incomplete
from images.mask_files import Final
from images.sheets import ROWS, framed, on_white, titled
from utils import UserError, digest, say

if TYPE_CHECKING:
    from jobs.complete.frames import Frames

MARK = "complete.py of dcgan-completion"
UNFINISHED = f"{MARK}: unfinished"
PHOTO_TITLES = ("before", "masked", "completed")
# The files that a completion writes, but for its results in final/. Logs hold no note: they are ours by their names.
FRAME_FOLDERS = ("hats_imgs", "completed", "logs")
FRAME_FILE = re.compile(
    r"((before|masked|sheet|photos|completion|(hats_imgs|completed)/(?P<iteration>\d{4,}))(?P<suffix>(_\d+)?)\.(png|gif))"
    r"|logs/hats_\d+(_\d+)?\.log|logs/events\.out\.tfevents\..*\.completion(?P<suffix_of_events>(_\d+)?)"
)


def suffix(nth: int) -> str:
    """Of the names of the frames of a call's batch number `nth`."""
    return f"_{nth}" if nth > 1 else ""


@dataclass(frozen=True)
class Batch:
    """Pictures that are searched side by side."""

    nth: int
    """1 and up, among the batches of a call."""
    loaded: Mapping[int, Any]
    """The pictures as the reader has loaded them, by their numbers among all of the call."""
    notes: Mapping[int, str]
    """By `note`: what each result is made of, and how."""
    incomplete: Incomplete
    """[N]: the pictures, or the faces of photos."""

    @property
    def paths(self) -> list[Path]:
        """Where the pictures come from."""
        return [each.path for each in self.loaded.values()]


@dataclass(frozen=True)
class Outcome:
    """What the search and blending have made of a batch."""

    blended: np.ndarray
    """uint8 [N, H, W, C], the results."""
    restarts: np.ndarray
    """[N]: how often each picture's search began anew."""
    found: np.ndarray
    """bool [N]: whether a z was found; without one there is no result."""
    iteration: int
    """How far the search has come."""


class Results:
    """What one call leaves in its folder, and what an earlier one has left there."""

    def __init__(self, out: Path, imgs: Sequence[Path], iterations: int, interval: int, framed: int):
        """So many batches are `framed`: they have frames every `interval` of so many `iterations`.

        UserError if one of the `imgs` is a result itself, or if another's file stands where one is to be written.
        """
        self.out, self.iterations, self.framed = out, iterations, framed
        self.finals = [out / "final" / f"{name}.png" for name in unique_names(imgs)]
        self.call = digest(list(imgs), interval, framed)
        earlier = written(out)
        for path in imgs:
            if os.path.realpath(path) in earlier:
                raise UserError(f"{path} lies where the results are written: name another --outDir")
        for path in self._in_the_way():
            raise UserError(f"{path} was not written by complete.py: name another --outDir")

    def _in_the_way(self) -> Iterator[Path]:
        """What stands where this call writes and is not ours. A file that is empty holds nothing to lose."""
        for name in ("final", *(FRAME_FOLDERS if self.framed else ())):
            if os.path.lexists(self.out / name) and not (self.out / name).is_dir():
                yield self.out / name
        suffixes = {None, *(suffix(nth) for nth in range(1, self.framed + 1))}
        frames = (
            path
            for path, match in _named_like_frames(self.out)
            if self.framed
            and match["suffix"] in suffixes
            and match["suffix_of_events"] is None
            and int(match["iteration"] or 0) <= self.iterations
        )
        for path in (*self.finals, *frames):
            empty = path.is_file() and not path.stat().st_size
            if os.path.lexists(path) and not _is_ours(path) and not empty:
                yield path

    def has(self, nth: int, notes: Mapping[int, str]) -> bool:
        """Whether all is there already that batch number `nth`, of these notes, is to leave."""
        expected = {self.finals[number]: note for number, note in notes.items()}
        if nth <= self.framed:
            expected[self.out / f"sheet{suffix(nth)}.png"] = self.sheet_note(notes, self.iterations)
        return all(read_note(path) == note for path, note in expected.items())

    def frames(self, batch: Batch) -> "Frames | None":
        """What records the frames of the batch, in place of those of an earlier call; None if it is to have none."""
        if batch.nth == 1:
            _remove(_frames(self.out))
        if batch.nth > self.framed:
            return None
        from jobs.complete.frames import Frames, log_name

        _remove(_frames(self.out, suffix(batch.nth)))
        _remove(self.out / "logs" / log_name(face) for face in batch.incomplete.ids)
        return Frames(self.out, suffix(batch.nth), batch.incomplete, MARK)

    def sheet_note(self, notes: Mapping[int, str], iteration: int) -> str:
        """The note of the sheet that ends the frames of a batch with these notes, at this iteration."""
        return note(self.call, list(notes.values())) if iteration == self.iterations else UNFINISHED

    def write(self, batch: Batch, outcome: Outcome, final: Callable[[Any, np.ndarray], Final]) -> int:
        """Writes the results, how many it returns, each as `final` makes it of the picture and its faces [k, H, W, C].

        Says which searches began anew. What was finished by an earlier call is not replaced by what is not.
        """
        finished = outcome.iteration == self.iterations
        shown: list[np.ndarray] = []
        written = 0
        for number, loaded in batch.loaded.items():
            faces = [i for i, face in enumerate(batch.incomplete.ids) if face.photo == number]
            found, restarts = outcome.found[faces].all(), outcome.restarts[faces].sum()
            if restarts:
                in_vain = "" if found else ", in vain: it is left out"
                say(f"{loaded.path}: the loss was not finite, its search began anew {restarts} times{in_vain}")
            if not found:
                continue
            if finished or read_note(self.finals[number]) in (None, UNFINISHED):
                try:
                    made = final(loaded, outcome.blended[faces])
                except PictureError as error:  # a photo is read once more
                    say(f"left out: {error}")
                    continue
                save_picture(
                    self.finals[number], made.pixels, batch.notes[number] if finished else UNFINISHED, made.profile
                )
                shown += made.row if len(shown) < ROWS * len(PHOTO_TITLES) else ()
            written += 1
        if shown and batch.nth <= self.framed:
            sheet = framed(on_white(shown), columns=len(PHOTO_TITLES))
            save_picture(self.out / f"photos{suffix(batch.nth)}.png", titled(sheet, PHOTO_TITLES), MARK)
        return written

    def show(self, iteration: int) -> None:
        """Says where to look at what is left after so many iterations."""
        if self.framed:
            frames = (f"{folder}/{iteration:04d}.png" for folder in ("hats_imgs", "completed"))
            names = ("photos.png", "sheet.png", "completion.gif", "before.png", "masked.png", *frames)
            say("look at " + ", ".join(f"{self.out}/{name}" for name in names if (self.out / name).exists()))
        say(f"completed pictures: {self.out}/final")


def written(out: Path) -> set[str]:
    """The real paths of what earlier calls have written into `out`, and of all in its `final`."""
    return {os.path.realpath(path) for path in (*_frames(out), *out.glob("final/*"))}


def note(*parts: Any) -> str:
    """The note of what is made of the `parts`."""
    return f"{MARK}: {digest(*parts)}"


def _named_like_frames(out: Path) -> list[tuple[Path, re.Match]]:
    paths = [*out.glob("*"), *out.glob("*/*")]
    matches = ((path, FRAME_FILE.fullmatch(path.relative_to(out).as_posix())) for path in paths)
    return [(path, match) for path, match in matches if match]


def _is_ours(path: Path) -> bool:
    """Whether a completion wrote this file, whose name would fit."""
    if path.parent.name == "logs":
        return path.is_file()
    return (read_note(path, damaged=True) or "").startswith(MARK)


def _frames(out: Path, of_suffix: str | None = None) -> list[Path]:
    """What earlier completions left in `out`, but for `final` and only for the batch of that suffix, if given."""
    return [
        path
        for path, match in _named_like_frames(out)
        if (of_suffix is None or of_suffix in (match["suffix"], match["suffix_of_events"])) and _is_ours(path)
    ]


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
