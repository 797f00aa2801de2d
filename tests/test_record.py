"""run.json: what has changed when a run goes on, and how its epochs are counted then."""

import json
import random
import shutil
from pathlib import Path

import pytest

from jobs.train.record import Record
from utils import Outputs, UserError

SETTINGS = {"batch_size": 4, "seed": 0, "train_size": None}
NAMES = [f"{i}.png" for i in range(20)]


def begun(batches: int = 5) -> Record:
    record, changes = Record.new().going_on(0, SETTINGS, NAMES, batches)
    assert not changes
    return record


def test_nothing_has_changed():
    record = begun()
    assert record.going_on(0, SETTINGS, NAMES, 5) == (record, [])
    assert record.going_on(7, SETTINGS, NAMES, 5) == (record, [])
    assert Record.new().run != record.run


def test_what_has_changed_is_named():
    record, changes = begun().going_on(7, {**SETTINGS, "seed": 3, "train_size": 18}, [*NAMES[3:], "new/x.png"], 4)
    assert changes == ["--seed was 0, is 3", "--train_size was not set, is 18", "1 pictures added, 3 removed"]
    assert record.going_on(9, record.stretches[-1].settings, record.names, 4) == (record, [])
    # Checkpoints after step 6 are lost: those before know the pictures' names no more.
    assert record.going_on(6, SETTINGS, NAMES, 5) == (begun_as(record), [])
    assert record.going_on(6, SETTINGS, NAMES[1:], 4)[1] == ["other pictures (20 before, 19 now)"]


def test_what_a_record_is_older_than_is_known():
    changes = begun().going_on(7, {**SETTINGS, "precision": "mixed", "local_norm": False}, NAMES, 5)[1]
    assert changes == ["--precision was float32, is mixed"]


def begun_as(record: Record) -> Record:
    return Record(record.run, record.folders, list(record.stretches[:1]), NAMES)


def test_a_stretch_without_a_step_is_forgotten():
    record, _ = begun().going_on(7, {**SETTINGS, "seed": 3}, NAMES, 5)
    assert record.going_on(7, SETTINGS, NAMES, 5) == (begun_as(record), [])
    assert record.going_on(7, {**SETTINGS, "seed": 4}, NAMES, 5)[1] == ["--seed was 0, is 4"]


def test_epochs_go_on_where_they_stood():
    """Whatever the changes: each step takes its share of an epoch, and no change takes more than a step back."""
    rng = random.Random(0)
    record, step, batches, passes, lost = begun(), 0, 5, 0.0, 0.0
    for seed in range(1, 200):
        trained = rng.randrange(30)
        step, passes = step + trained, passes + trained / batches
        batches = rng.choice([1, 2, 5, 7, 300])
        record, changes = record.going_on(step, {**SETTINGS, "seed": seed}, NAMES, batches)
        lost += 1 / batches
        stretch = record.stretches[-1]
        assert changes and stretch.step == step
        assert passes - lost - 1e-9 <= (step - stretch.origin) / batches <= passes + 1e-9


def test_a_finished_epoch_stays_finished():
    record, _ = begun(5).going_on(15, {**SETTINGS, "batch_size": 1}, NAMES, 20)
    assert (15 - record.stretches[-1].origin, record.stretches[-1].batches) == (3 * 20, 20)


def test_pictures_of_which_none_is_known():
    record = begun()
    assert record.knows_none(["x.png", "a/y.png"])
    assert not record.knows_none(["x.png", "moved/3.png"])
    assert not Record.new().knows_none(["x.png"])


def test_saved_and_loaded_and_moved(tmp_path):
    checkpoints, samples = tmp_path / "a" / "ck", tmp_path / "a" / "samples"
    samples.mkdir(parents=True)
    record, _ = begun().going_on(3, {**SETTINGS, "seed": 1}, ["line\nbreak.png", "x\udcff.png"], 1)
    record.writing([samples, checkpoints], checkpoints).save(Outputs(checkpoints))
    shutil.move(tmp_path / "a", tmp_path / "b")
    loaded = Record.load(tmp_path / "b" / "ck")
    assert loaded and (loaded.run, loaded.stretches, loaded.names) == (record.run, record.stretches, record.names)
    assert loaded.places(tmp_path / "b" / "ck") == [tmp_path / "b" / "samples", tmp_path / "b" / "ck"][::-1]
    assert loaded.writing([tmp_path / "b" / "samples"], tmp_path / "b" / "ck") == loaded
    assert Record.load(tmp_path) is None


@pytest.mark.parametrize(
    "change",
    [
        {"run": 1},
        {"names": None},
        {"names": [1]},
        {"stretches": [{}]},
        {"stretches": [{"step": "0"}]},
        {"stretches": 3},
        {"folders": [None]},
    ],
)
def test_a_damaged_record(tmp_path: Path, change: dict):
    begun().save(Outputs(tmp_path))
    path = tmp_path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=r"run\.json is damaged: restore it"):
        Record.load(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "[" * 200000, '{"run": "x"}', "\0"])
def test_a_record_that_is_none(tmp_path: Path, text: str):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        Record.load(tmp_path)
