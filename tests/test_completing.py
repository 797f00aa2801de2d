"""Which batches are missing, complete one, write it: by hand-made cases, with a model that is none."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from queue import Queue
from time import sleep
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import ROOT, blobs, write_pictures

from completion.aligned_reader import AlignedReader, Loaded
from completion.batches import Group, Recipe
from completion.given_masks import GivenMasks
from completion.groups import whole_photos
from dcgan.options import NetworkOptions, SearchOptions
from dcgan.workers import ALONE, Worker
from images import decoding
from images.decoding import read_picture
from images.files import save_picture
from images.mask_options import MaskOptions
from images.photo import Photo
from jobs.complete.job import Completion
from jobs.complete.plan import Plan
from jobs.complete.results import UNFINISHED, Batch, Outcome, Results
from outputs import Outputs
from utils import UserError, digest

SEARCH = SearchOptions(n_iter=3, refine=0, out_interval=0)
HOLE = np.zeros((8, 8), bool)
HOLE[2:6, 2:6] = True


class Model:
    """Searches by counting: G(z) after iteration i is i all over, of which picture number 13 is never any."""

    precision = "float32"

    def __init__(self, weight=1.0):
        network = SimpleNamespace(get_weights=lambda: [np.array([weight])])
        self.generator = self.discriminator = network
        self.asked: list = []

    def complete(self, incomplete, search, stopped):
        self.asked.append((incomplete, search))
        for i in range(search.n_iter + 1):
            lost = np.array([face.photo == 13 for face in incomplete.ids])
            losses = np.where(lost[:, None], np.inf, np.full((len(incomplete), 3), 10.0 - i))
            generated = np.full_like(incomplete.pictures, i)
            yield SimpleNamespace(
                iteration=i,
                losses=losses,
                restarts=7 * lost,
                generated=generated,
                completed=incomplete.filled(generated),
            )
            if stopped():
                return


class Frames:
    """Remembers what it is told."""

    def __init__(self):
        self.recorded: list = []
        self.finished: tuple = ()

    def record(self, state):
        self.recorded.append(state.iteration)

    def finish(self, *pictures):
        self.finished = pictures


@pytest.fixture
def imgs(tmp_path):
    return write_pictures(tmp_path / "in", blobs(5, 8))


def job_of(
    tmp_path, imgs, batch_size=2, search=SEARCH, blending="none", masks=None, model=None, framed=0, worker=ALONE
):
    reader = AlignedReader(GivenMasks(masks or MaskOptions()), NetworkOptions(8), search.seed)
    results = Results(Outputs(tmp_path / "out"), imgs, search.n_iter, search.out_interval, framed)
    dcgan = model or Model()
    group = Group(range(len(imgs)), Recipe(dcgan, search, blending), reader)
    return Completion(Plan([group], imgs, results, batch_size, worker))


def missing(tmp_path, imgs, batch_size=2, **otherwise):
    """The numbers of the pictures in each batch that is missing."""
    return numbers(job_of(tmp_path, imgs, batch_size, **otherwise).plan.missing())


def numbers(batches):
    return [tuple(face.photo for face in batch.incomplete.ids) for batch in batches]


def finish(job, batches):
    for batch in batches:
        job.write(batch, job.complete(batch, []))


def batch_of(job, imgs, numbers):
    ((group, _), *_) = job.plan.parts
    loaded = {
        number: Loaded(path, Photo(read_picture(path), ~HOLE), False)
        for number, path in zip(numbers, imgs, strict=True)
    }
    return Batch(1, group, loaded)


# ---------------------------------------------------------------------------------------- missing


def test_at_first_every_batch_is_missing(tmp_path, imgs):
    job = job_of(tmp_path, imgs)
    batches = list(job.plan.missing())
    assert numbers(batches) == [(0, 1), (2, 3), (4,)]
    assert [batch.nth for batch in batches] == [1, 2, 3]
    assert [list(batch.paths) for batch in batches] == [imgs[:2], imgs[2:4], imgs[4:]]
    for i, path in enumerate(imgs):
        incomplete = batches[i // 2].incomplete
        np.testing.assert_array_equal(incomplete.pictures[i % 2], read_picture(path))
        np.testing.assert_array_equal(incomplete.masks[i % 2], ~HOLE)
    assert (job.progress.total, job.plan.tally.total()) == (9, 0)


def test_the_next_batch_is_read_while_one_is_used(tmp_path, imgs, monkeypatch):
    job = job_of(tmp_path, imgs)
    reader, reads = job.plan.parts[0][0].reader, Queue()
    read = reader.read
    monkeypatch.setattr(reader, "read", lambda path: reads.put(path) or read(path))
    batches = job.plan.missing()
    next(batches)
    assert sorted(reads.get(timeout=60) for _ in range(4)) == imgs[:4]
    assert reads.empty()
    batches.close()


def test_pictures_that_cannot_be_read_are_named_and_keep_their_numbers(tmp_path, imgs, capsys):
    for i in (0, 2, 3):
        imgs[i].write_text("no picture")
    job = job_of(tmp_path, imgs)
    batches = list(job.plan.missing())
    assert numbers(batches) == [(1,), (4,)]
    assert [batch.nth for batch in batches] == [1, 2]  # a batch without a picture does not count
    assert capsys.readouterr().out.count("skipped: cannot read the picture") == 3
    assert job.progress.total == 6


def test_pictures_of_another_size_are_fitted_and_counted(tmp_path):
    imgs = write_pictures(tmp_path / "in", blobs(2, 16)) + write_pictures(tmp_path / "more", blobs(1, 8))
    plan = job_of(tmp_path, imgs, 3).plan
    assert [batch.incomplete.pictures.shape for batch in plan.missing()] == [(3, 8, 8, 3)]
    assert plan.tally["fitted"] == 2


def test_what_an_earlier_call_has_written_is_missing_no_more(tmp_path, imgs):
    first = job_of(tmp_path, imgs)
    for batch in first.plan.missing():
        assert first.progress.done < first.progress.total
        finish(first, [batch])
    assert (first.plan.tally["completed"], first.progress.done, first.progress.total) == (5, 9, 9)
    assert missing(tmp_path, imgs) == []
    (tmp_path / "out" / "final" / "002.png").unlink()
    again = job_of(tmp_path, imgs)
    assert numbers(again.plan.missing()) == [(2, 3)]
    assert (again.plan.tally["kept"], again.progress.total) == (3, 3)


def test_what_is_missing_does_not_depend_on_how_it_was_batched(tmp_path, imgs):
    first = job_of(tmp_path, imgs)
    finish(first, first.plan.missing())
    assert missing(tmp_path, imgs, 4) == []


def test_workers_share_the_batches(tmp_path, imgs, capsys):
    for index, share in ((0, [(0, 1), (4,)]), (1, [(2, 3)]), (0, []), (1, [])):
        job = job_of(tmp_path, imgs, worker=Worker(index, 2))
        batches = list(job.plan.missing())
        assert numbers(batches) == share
        assert [batch.nth for batch in batches] == [1 + numbers[0] // 2 for numbers in share]
        finish(job, batches)
        job.report()
    assert "skipped" not in capsys.readouterr().out
    job = job_of(tmp_path, imgs, 5, worker=Worker(1, 2))
    assert numbers(job.plan.missing()) == []
    job.report()  # without a share there is nothing to complain of


@pytest.mark.parametrize(
    "otherwise",
    [
        {"blending": "tension"},
        {"model": Model(weight=2.0)},
        {"search": replace(SEARCH, lam=0.2)},
        {"search": replace(SEARCH, seed=1)},
        {"masks": MaskOptions(kind="center", center_scale=0.3)},
        {"masks": MaskOptions(kind="lowres", lowres_block=4)},
    ],
)
def test_what_was_made_otherwise_is_missing(tmp_path, imgs, otherwise):
    first = job_of(tmp_path, imgs, 5)
    finish(first, first.plan.missing())
    assert missing(tmp_path, imgs, 5, **otherwise) == [tuple(range(5))]


def test_a_picture_that_has_changed_or_moved_is_missing(tmp_path, imgs):
    first = job_of(tmp_path, imgs)
    finish(first, first.plan.missing())
    save_picture(imgs[3], read_picture(imgs[0]))
    assert missing(tmp_path, imgs, 1) == [(3,)]
    moved = [imgs[1], imgs[0], *imgs[2:]]
    assert missing(tmp_path, moved, 1) == [(0,), (1,), (3,)]


def test_a_batch_whose_sheet_is_missing_or_another_calls_is_missing(tmp_path, imgs):
    first = job_of(tmp_path, imgs)
    finish(first, first.plan.missing())
    framed = replace(SEARCH, out_interval=2)
    assert missing(tmp_path, imgs, search=framed, framed=1) == [(0, 1)]
    every = job_of(tmp_path, imgs, search=framed, framed=3)
    batches = list(every.plan.missing())
    assert numbers(batches) == [(0, 1), (2, 3), (4,)]
    assert not any(every.results.has(batch) for batch in batches)


# --------------------------------------------------------------------------------------- complete


def test_the_last_state_of_the_search_is_blended(tmp_path, imgs):
    job = job_of(tmp_path, imgs, blending="none")
    outcome = job.complete(batch := batch_of(job, imgs, range(5)), [])
    assert (outcome.blended[:, HOLE] == 3).all()
    np.testing.assert_array_equal(outcome.blended[:, ~HOLE], batch.incomplete.pictures[:, ~HOLE])
    assert outcome.found.all() and not outcome.restarts.any()
    assert job.progress.done == 3
    job.complete(batch, [])
    assert job.progress.done == 6


def test_a_signal_ends_the_search_with_the_state_reached(tmp_path, imgs):
    job = job_of(tmp_path, imgs)
    batch = batch_of(job, imgs, range(5))
    outcome = job.complete(batch, [15])
    assert outcome.iteration == 0 and (outcome.blended[:, HOLE] == 0).all()
    job.write(batch, outcome)
    assert Outputs(tmp_path / "out").note("final/000.png") == UNFINISHED
    assert not job.results.has(batch)


def test_a_signal_while_heads_are_searched_leaves_unfinished_results(tmp_path, imgs, monkeypatch):
    job = job_of(tmp_path, imgs)

    def with_heads(reader, loaded, stopped):
        assert not stopped()
        signal.raise_signal(signal.SIGINT)
        assert stopped()
        return loaded

    monkeypatch.setattr(AlignedReader, "with_heads", with_heads)
    assert job.run() == 128 + signal.SIGINT
    assert Outputs(tmp_path / "out").note("final/000.png") == UNFINISHED


def test_blending_is_as_named(tmp_path, imgs):
    job = job_of(tmp_path, imgs, blending="tension")
    batch = batch_of(job, imgs, range(5))
    outcome = job.complete(batch, [])
    assert (outcome.blended[:, HOLE] > 3).mean() > 0.9  # as bright as what is around
    np.testing.assert_array_equal(outcome.blended[:, ~HOLE], batch.incomplete.pictures[:, ~HOLE])


def test_a_loss_that_is_not_finite_is_no_find(tmp_path, imgs):
    job = job_of(tmp_path, imgs)
    outcome = job.complete(batch_of(job, imgs[:3], (12, 13, 14)), [])
    assert outcome.found.tolist() == [True, False, True]
    assert outcome.restarts.tolist() == [0, 7, 0]


@pytest.mark.parametrize(("framed", "interval"), [(1, 2), (1, 0), (0, 2)])
def test_a_batch_has_a_sheet_and_frames_unless_the_interval_is_0(tmp_path, imgs, framed, interval):
    frames = Frames()
    search = replace(SEARCH, out_interval=interval)
    job = job_of(tmp_path, imgs, search=search, framed=framed)
    job.frames = lambda batch: frames  # type: ignore[assignment]
    batch = batch_of(job, imgs, range(5))
    outcome = job.complete(batch, [])
    recorded = framed and interval
    assert batch.group.recipe.dcgan.asked[0][1] == (search if recorded else replace(search, out_interval=0))
    assert frames.recorded == (list(range(4)) if recorded else [])
    assert frames.finished == ((outcome.blended,) if recorded else ())
    assert Outputs(tmp_path / "out").note("sheet.png") == (job.results.sheet_note(batch, 3) if framed else None)


# ------------------------------------------------------------------------------------------ write


def test_results_carry_their_notes_and_what_was_not_found_is_left_out(tmp_path, imgs, capsys):
    blended = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    outcome = Outcome(blended, np.array([0, 2, 9]), np.array([True, True, False]), 3)
    job = job_of(tmp_path, imgs)
    batch = batch_of(job, imgs[:3], (1, 3, 4))
    job.write(batch, outcome)
    final = tmp_path / "out" / "final"
    assert sorted(path.name for path in final.iterdir()) == ["001.png", "003.png"]
    for i, number in enumerate((1, 3)):
        expected = np.where(HOLE[..., None], blended[i], read_picture(imgs[i]))
        np.testing.assert_array_equal(read_picture(final / f"00{number}.png"), expected)
        assert Outputs(tmp_path / "out").note(f"final/00{number}.png") == digest(batch.notes[number], "png", None)
    assert job.plan.tally["completed"] == 2
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"{imgs[1]}: the loss was not finite (restarts: 2)",
        f"{imgs[2]}: the loss was not finite (restarts: 9); it never became finite, so the picture is skipped",
    ]


def test_what_is_finished_is_not_replaced_by_what_is_not(tmp_path, imgs):
    finish(job := job_of(tmp_path, imgs, 5), job.plan.missing())
    final = tmp_path / "out" / "final" / "000.png"
    before = final.read_bytes()
    otherwise = job_of(tmp_path, imgs, 5, replace(SEARCH, n_iter=9))
    (batch,) = otherwise.plan.missing()
    otherwise.write(batch, otherwise.complete(batch, [15]))
    assert final.read_bytes() == before
    otherwise.write(batch, otherwise.complete(batch, []))
    assert final.read_bytes() != before


def test_results_are_not_taken_for_pictures(tmp_path, imgs):
    job = job_of(tmp_path, imgs)
    finish(job, job.plan.missing())
    with pytest.raises(UserError, match=r"000.png is a result in the output folder"):
        job_of(tmp_path, [tmp_path / "out" / "final" / "000.png"])


@pytest.mark.parametrize(
    ("tally", "error"),
    [
        ({"completed": 3, "kept": 2}, ""),
        ({"completed": 3}, "skipped 2 of 5 pictures"),
        ({}, "no picture was completed"),
    ],
)
def test_the_report_adds_up(tmp_path, imgs, capsys, tally, error):
    job = job_of(tmp_path, imgs)
    job.plan.tally.update(tally)
    if error:
        with pytest.raises(UserError, match=error):
            job.report()
    else:
        job.report()
    said = capsys.readouterr().out
    assert ("earlier call with the same options: 2 of 5 pictures" in said) == ("kept" in tally)
    assert (f"completed pictures: {tmp_path}/out/final" in said) == bool(tally)


def test_large_pictures_are_read_one_at_a_time(tmp_path, imgs, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 5)
    inside, most = [], []

    def counted(read, path):
        inside.append(path)
        sleep(0.02)
        most.append(len(inside))
        inside.remove(path)
        return read(path)

    for large in (1, 10**6):
        monkeypatch.setattr(decoding, "LARGE", large)
        job, masks = job_of(tmp_path / str(large), imgs, 5), GivenMasks(MaskOptions())
        reader = job.plan.parts[0][0].reader
        for owner, name in ((reader, "read"), (masks, "photo")):
            monkeypatch.setattr(owner, name, partial(counted, getattr(owner, name)))
        for work in (lambda: list(job.plan.missing()), lambda: whole_photos(imgs, 64, masks)):  # noqa: B023
            most.clear()
            work()
            assert len(most) == 5 and (max(most) == 1) == (large == 1)


def test_none_of_this_needs_tensorflow(tmp_path):
    """The other tests of this file, where TensorFlow and Keras cannot be imported."""
    for package in ("tensorflow", "keras"):
        (tmp_path / f"{package}.py").write_text("raise ImportError('not needed')")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "not tensorflow"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("count", [2, 5])
def test_an_error_of_writing_ends_the_work(tmp_path, imgs, count):
    """At the next batch or at the end."""
    job = job_of(tmp_path, imgs[:count])
    job.write = Mock(side_effect=UserError("no room"))
    with pytest.raises(UserError, match="no room"):
        job.run()
    assert job.write.call_count == 1
