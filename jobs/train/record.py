"""run.json: a training run's identity, and the settings and pictures that it was last trained with."""

import json
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from outputs import Outputs
from utils import UserError

FILE = "run.json"


@dataclass(frozen=True)
class Record:
    """A run and how it was last trained."""

    run: str  # its identity
    origin: int = 0  # the step that epochs are counted from, as in `DCGAN.train`
    batches: int = 0  # steps in an epoch; 0 if the run has not begun
    settings: dict[str, Any] = field(default_factory=dict)  # the options that determine a step, by their flags
    names: Sequence[str] = ()  # the pictures in order, relative to their folder
    learned: int = 0  # steps that the model of --init was trained for

    @classmethod
    def new(cls, learned: int = 0) -> "Record":
        """The record of a run that has not begun."""
        return cls(uuid.uuid4().hex, learned=learned)

    @classmethod
    def load(cls, directory: Path) -> "Record | None":
        """The record in a checkpoint directory, or None. Raises UserError if it is damaged."""
        path = directory / FILE
        try:
            record = cls(**_latest(json.loads(path.read_text())))
            numbers, texts = (record.origin, record.batches, record.learned), (record.run, *record.names)
            if not all(isinstance(n, int) for n in numbers) or not all(isinstance(text, str) for text in texts):
                raise ValueError
            return replace(record, settings=dict(record.settings))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, LookupError, RecursionError):
            raise UserError(
                f"{path} is damaged: restore it from a copy, or delete it and choose another --log_dir and --sample_dir"
            ) from None

    def save(self, outputs: Outputs) -> None:
        """Writes run.json into the checkpoint directory."""
        outputs.write(FILE, lambda path: path.write_text(json.dumps(vars(self), indent=1) + "\n"))

    def continued(
        self, step: int, settings: dict[str, Any], names: Sequence[str], batches: int
    ) -> tuple["Record", list[str]]:
        """The record of the run that continues after `step`, and the changes as texts.

        If the number of steps in an epoch has changed, the run continues at the same share of its epoch.
        """
        now = replace(self, settings=settings, names=names, batches=batches)
        if not self.batches:
            return now, []
        changes = [
            f"--{name} was {_shown(self.settings.get(name))}, is {_shown(value)}"
            for name, value in settings.items()
            if self.settings.get(name) != value
        ]
        if list(names) != list(self.names):
            before, after = set(self.names), set(names)
            changes.append(f"pictures added: {len(after - before)}, removed: {len(before - after)}")
        # The record is that of later steps if their checkpoints are lost.
        position = max(0, step - self.origin) * batches // self.batches
        return replace(now, origin=step - position), changes

    def knows_none(self, names: Iterable[str]) -> bool:
        """Whether no picture has the file name of one that the run was trained with."""
        known = {os.path.basename(name) for name in self.names}
        return bool(known) and known.isdisjoint(map(os.path.basename, names))


def _latest(record: dict[str, Any]) -> dict[str, Any]:
    """The fields of a record. Earlier versions wrote a history, `stretches`; the last one has the latest settings."""
    if "stretches" not in record:
        return record
    kept = {name: record[name] for name in ("run", "names")}
    for last in record["stretches"][-1:]:
        kept |= {name: last[name] for name in ("origin", "batches", "settings")}
    return kept


def _shown(value: Any) -> str:
    return "not set" if value is None else str(value)
