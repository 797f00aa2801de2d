"""Who a training run is, where it writes and what it was trained with: run.json, beside its checkpoints."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from utils import UserError, check_readable, write_atomic

FILE = "run.json"
EARLIER = {"precision": "float32", "local_norm": False, "g_updates": 2}  # what was so before records told of it


@dataclass(frozen=True)
class Stretch:
    """Steps that were trained with the same settings on the same pictures."""

    step: int
    """Steps done when it began."""
    origin: int
    """The step that its epochs are counted from, as `DCGAN.train` takes it."""
    batches: int
    """Steps an epoch."""
    pictures: int
    digest: str
    """Of the pictures' names."""
    settings: dict[str, Any]
    """The options that a step follows from, by their names on the command line."""


@dataclass(frozen=True)
class Record:
    """What is known of a run when it goes on."""

    run: str
    """Its identity."""
    folders: Sequence[str]
    """All that it has written into, seen from that of its checkpoints."""
    stretches: Sequence[Stretch]
    """Oldest first; none of a run that has not begun or that nothing is known of."""
    names: Sequence[str]
    """Of the pictures of the last stretch, seen from their folder, in their order."""

    @classmethod
    def new(cls) -> "Record":
        """That of a run that is yet to begin."""
        return cls(uuid.uuid4().hex, (), (), ())

    @classmethod
    def load(cls, directory: Path) -> "Record | None":
        """That in a directory of checkpoints, if there is one; UserError if it is damaged."""
        path = directory / FILE
        try:
            check_readable(path)
            record = json.loads(path.read_text())
            stretches = [Stretch(**stretch) for stretch in record["stretches"]]
            counts = [n for s in stretches for n in (s.step, s.origin, s.batches, s.pictures)]
            texts = [record["run"], *record["folders"], *record["names"]]
            fits = all(type(n) is int for n in counts) and all(type(text) is str for text in texts)
            if not fits or any(s.batches < 1 or not isinstance(s.settings, dict) for s in stretches):
                raise ValueError
            return cls(record["run"], record["folders"], stretches, record["names"])
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, LookupError, RecursionError):
            raise UserError(
                f"{path} is damaged: restore it from a copy, or remove it and name another --log_dir and --sample_dir"
            ) from None

    def save(self, directory: Path) -> None:
        """Writes it, whole or not at all."""
        text = json.dumps(vars(self) | {"stretches": [vars(stretch) for stretch in self.stretches]}, indent=1)
        write_atomic(directory / FILE, lambda partial: partial.write_text(text + "\n"))

    def going_on(
        self, step: int, settings: dict[str, Any], names: Sequence[str], batches: int
    ) -> tuple["Record", list[str]]:
        """The record of the run that goes on so after `step`, and what has changed since it last was trained.

        Where the steps an epoch have changed, the new stretch begins at the same share of its epoch.
        """
        now = Stretch(step, 0, batches, len(names), _digest(names), settings)
        # Of a stretch that begins here or later nothing is left: it was not trained, or its checkpoints are lost.
        stretches = [stretch for stretch in self.stretches if stretch.step < step] or list(self.stretches[:1])
        if not stretches:
            return replace(self, stretches=[now], names=names), []
        before = stretches[-1]
        changes = self._changes(before, now, names)
        if changes:
            position = (step - before.origin) * batches // before.batches
            stretches.append(replace(now, origin=step - position))
        return replace(self, stretches=stretches, names=names), changes

    def _changes(self, before: Stretch, now: Stretch, names: Sequence[str]) -> list[str]:
        settings = EARLIER | before.settings
        changes = [
            f"--{name} was {_shown(settings[name])}, is {_shown(value)}"
            for name, value in now.settings.items()
            if settings.get(name, value) != value
        ]
        if before.digest == now.digest:
            return changes
        if before.digest != _digest(self.names):
            return [*changes, f"the pictures were {before.pictures} others"]
        earlier, later = set(self.names), set(names)
        return [*changes, f"{len(later - earlier)} pictures added, {len(earlier - later)} gone"]

    def knows_none(self, names: Iterable[str]) -> bool:
        """Whether not one of the pictures has the file name of one that the run was trained with."""
        known = {os.path.basename(name) for name in self.names}
        return bool(known) and known.isdisjoint(map(os.path.basename, names))

    def places(self, directory: Path) -> list[Path]:
        """Where its folders are. directory: that of its checkpoints."""
        return [(directory.resolve() / folder).resolve() for folder in self.folders]

    def writing(self, folders: Iterable[Path], directory: Path) -> "Record":
        """The record of the run that writes into these folders, too. directory: that of its checkpoints."""
        places = {*self.places(directory), *(folder.resolve() for folder in folders)}
        return replace(self, folders=sorted(_seen_from(directory.resolve(), place) for place in places))


def _seen_from(directory: Path, folder: Path) -> str:
    """The folder's path from the directory on, which stays when both are moved; both are whole paths."""
    with suppress(ValueError):  # on two drives
        return Path(os.path.relpath(folder, directory)).as_posix()
    return folder.as_posix()


def _shown(value: Any) -> str:
    return "not named" if value is None else str(value)


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256(os.fsencode("\0".join(names))).hexdigest()
