"""run.json: what has changed when a run goes on, and how its epochs are counted then."""

import json
import random
from pathlib import Path

import pytest

from jobs.train.record import Record
from outputs import Outputs
from utils import UserError

SETTINGS = {"batch_size": 4, "seed": 0, "train_size": None}
NAMES = [f"{i}.png" for i in range(20)]


def begun(batches: int = 5) -> Record:
    record, changes = Record.new().continued(0, SETTINGS, NAMES, batches)
    assert not changes
    return record


def test_nothing_has_changed():
    record = begun()
    assert record.continued(0, SETTINGS, NAMES, 5) == (record, [])
    assert record.continued(7, SETTINGS, NAMES, 5) == (record, [])
    assert Record.new().run != record.run


def test_what_has_changed_is_named():
    record, changes = begun().continued(7, {**SETTINGS, "seed": 3, "train_size": 18}, [*NAMES[3:], "new/x.png"], 4)
    assert changes == ["--seed was 0, is 3", "--train_size was not set, is 18", "pictures added: 1, removed: 3"]
    assert record.continued(9, record.settings, record.names, 4) == (record, [])


def test_a_record_of_an_earlier_version(tmp_path):
    first = {"step": 0, "origin": 0, "batches": 9, "pictures": 36, "digest": "a", "settings": {}}
    last = {"step": 40, "origin": 10, "batches": 5, "pictures": 20, "digest": "b", "settings": SETTINGS}
    earlier = {"run": "r", "folders": ["logs"], "stretches": [first, last], "names": NAMES}
    (tmp_path / "run.json").write_text(json.dumps(earlier))
    assert Record.load(tmp_path) == Record("r", origin=10, batches=5, settings=SETTINGS, names=NAMES)
    (tmp_path / "run.json").write_text(json.dumps(earlier | {"stretches": []}))
    assert Record.load(tmp_path) == Record("r", names=NAMES)


def test_epochs_go_on_where_they_stood():
    """Whatever the changes: each step takes its share of an epoch, and no change takes more than a step back."""
    rng = random.Random(0)
    record, step, batches, passes, lost = begun(), 0, 5, 0.0, 0.0
    for seed in range(1, 200):
        trained = rng.randrange(30)
        step, passes = step + trained, passes + trained / batches
        batches = rng.choice([1, 2, 5, 7, 300])
        record, changes = record.continued(step, {**SETTINGS, "seed": seed}, NAMES, batches)
        lost += 1 / batches
        assert changes
        assert passes - lost - 1e-9 <= (step - record.origin) / batches <= passes + 1e-9


def test_a_finished_epoch_stays_finished():
    record, _ = begun(5).continued(15, {**SETTINGS, "batch_size": 1}, NAMES, 20)
    assert (15 - record.origin, record.batches) == (3 * 20, 20)


def test_an_earlier_checkpoint_than_the_record():
    """Epochs never count backwards, although the checkpoints of the steps that the record tells of are lost."""
    record, _ = begun(5).continued(1000, SETTINGS, NAMES, 1)
    earlier, changes = record.continued(7, SETTINGS, NAMES, 1)
    assert not changes and earlier.origin == 7


def test_pictures_of_which_none_is_known():
    record = begun()
    assert record.knows_none(["x.png", "a/y.png"])
    assert not record.knows_none(["x.png", "moved/3.png"])
    assert not Record.new().knows_none(["x.png"])


def test_saved_and_loaded(tmp_path):
    record, _ = begun().continued(3, {**SETTINGS, "seed": 1}, ["line\nbreak.png", "x\udcff.png"], 1)
    record.save(Outputs(tmp_path / "ck"))
    assert Record.load(tmp_path / "ck") == record
    assert Record.load(tmp_path) is None


@pytest.mark.parametrize(
    "change", [{"run": 1}, {"names": None}, {"names": [1]}, {"origin": "0"}, {"batches": None}, {"settings": 3}]
)
def test_a_damaged_record(tmp_path: Path, change: dict):
    begun().save(Outputs(tmp_path))
    path = tmp_path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=r"run\.json is damaged: restore it"):
        Record.load(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "[" * 200000, '{"x": 1}', "\0"])
def test_a_record_that_is_none(tmp_path: Path, text: str):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        Record.load(tmp_path)
