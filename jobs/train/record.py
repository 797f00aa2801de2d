"""run.json: a training run's identity, folders, settings and pictures."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from utils import Outputs, UserError, check_readable

FILE = "run.json"
EARLIER = {"precision": "float32", "local_norm": False, "g_updates": 2}  # settings that old records do not contain


@dataclass(frozen=True)
class Stretch:
    """Consecutive steps with the same settings and pictures."""

    step: int  # steps done when it began
    origin: int  # the step that its epochs are counted from, as in `DCGAN.train`
    batches: int  # steps in an epoch
    pictures: int
    digest: str  # of the pictures' names
    settings: dict[str, Any]  # the options that determine a step, by their names on the command line


@dataclass(frozen=True)
class Record:
    """The history of a run."""

    run: str  # its identity
    folders: Sequence[str]  # all folders that it has written into, relative to its checkpoints
    stretches: Sequence[Stretch]  # oldest first; none if the run has not begun or its history is unknown
    names: Sequence[str]  # the pictures of the latest stretch in order, relative to their folder

    @classmethod
    def new(cls) -> "Record":
        """The record of a run that has not begun."""
        return cls(uuid.uuid4().hex, (), (), ())

    @classmethod
    def load(cls, directory: Path) -> "Record | None":
        """The record in a checkpoint directory, or None. Raises UserError if it is damaged."""
        path = directory / FILE
        try:
            check_readable(path)
            record = json.loads(path.read_text())
            stretches = [Stretch(**stretch) for stretch in record["stretches"]]
            texts = [record["run"], *record["folders"], *record["names"]]
            if not all(isinstance(text, str) for text in texts):
                raise ValueError
            return cls(record["run"], record["folders"], stretches, record["names"])
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, LookupError, RecursionError):
            raise UserError(
                f"{path} is damaged: restore it from a copy, or delete it and choose another --log_dir and --sample_dir"
            ) from None

    def save(self, outputs: Outputs) -> None:
        """Writes run.json into the checkpoint directory."""
        text = json.dumps(vars(self) | {"stretches": [vars(stretch) for stretch in self.stretches]}, indent=1)
        outputs.write(FILE, lambda path: path.write_text(text + "\n"))

    def going_on(
        self, step: int, settings: dict[str, Any], names: Sequence[str], batches: int
    ) -> tuple["Record", list[str]]:
        """The record of the run that continues after `step`, and the changes as texts.

        If the number of steps in an epoch has changed, the new stretch begins at the same share of its epoch.
        """
        now = Stretch(step, 0, batches, len(names), _digest(names), settings)
        # A stretch that begins here or later left nothing: it was not trained, or its checkpoints are lost.
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
        """The changes of settings and pictures as texts. names: the pictures of now."""
        settings = EARLIER | before.settings
        changes = [
            f"--{name} was {_shown(settings[name])}, is {_shown(value)}"
            for name, value in now.settings.items()
            if settings.get(name, value) != value
        ]
        if before.digest == now.digest:
            return changes
        if before.digest != _digest(self.names):  # self.names are those of later steps, which are lost
            return [*changes, f"other pictures ({before.pictures} before, {now.pictures} now)"]
        earlier, later = set(self.names), set(names)
        return [*changes, f"{len(later - earlier)} pictures added, {len(earlier - later)} removed"]

    def knows_none(self, names: Iterable[str]) -> bool:
        """Whether no picture has the file name of one that the run was trained with."""
        known = {os.path.basename(name) for name in self.names}
        return bool(known) and known.isdisjoint(map(os.path.basename, names))

    def places(self, directory: Path) -> list[Path]:
        """The absolute paths of its folders. directory: that of its checkpoints."""
        return [(directory.resolve() / folder).resolve() for folder in self.folders]

    def writing(self, folders: Iterable[Path], directory: Path) -> "Record":
        """The record with these folders added. directory: that of its checkpoints."""
        places = {*self.places(directory), *(folder.resolve() for folder in folders)}
        return replace(self, folders=sorted(_relative(place, directory.resolve()) for place in places))


def _relative(folder: Path, directory: Path) -> str:
    """The folder's path relative to the directory, which stays valid when both are moved."""
    with suppress(ValueError):  # on two drives
        return Path(os.path.relpath(folder, directory)).as_posix()
    return folder.as_posix()


def _shown(value: Any) -> str:
    return "not set" if value is None else str(value)


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256(os.fsencode("\0".join(names))).hexdigest()
