"""complete.py as a command: what it leaves, independence of the call, and bad calls."""

import importlib
import shutil
import sys

import numpy as np
import pytest
from conftest import assert_fails, assert_works, blobs, run_script, write_pictures
from PIL import Image

from cli import options_of
from options import SearchOptions


def complete(cwd, *args):
    return run_script("complete.py", *args, "--checkpointDir", cwd / "model", cwd=cwd)


def pixels(path):
    return np.asarray(Image.open(path))


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    """A model and ten pictures, and what completing them leaves, in batches of eight."""
    folder = tmp_path_factory.mktemp("complete")
    shutil.copytree(trained / "checkpoints", folder / "model")
    write_pictures(folder / "test", blobs(10, 16, seed=1))
    result = complete(
        folder,
        *sorted((folder / "test").iterdir()),
        "--nIter",
        5,
        "--outInterval",
        2,
        "--batchSize",
        8,
        "--outDir",
        "out",
    )
    assert_works(result)
    for name in ("damaged", "other", "void"):
        shutil.copytree(folder / "model", folder / name)
    next((folder / "damaged").glob("dcgan-10.data*")).write_bytes(b"short")
    (folder / "void" / "checkpoint").write_text("")
    config = (folder / "other" / "config.json").read_text()
    (folder / "other" / "config.json").write_text(config.replace('"z_dim": 100', '"z_dim": 50'))
    assert "out/completion.gif" in result.stdout and "out/final" in result.stdout
    return folder


def test_frames_and_finals(folder):
    out = folder / "out"
    frames = [f"{i:04d}{batch}.png" for i in (0, 2, 4, 5) for batch in ("", "_2")]
    assert sorted(p.name for p in (out / "hats_imgs").iterdir()) == sorted(frames)
    assert sorted(p.name for p in (out / "completed").iterdir()) == sorted(frames)
    assert sorted(p.name for p in (out / "final").iterdir()) == [f"{i:03d}.png" for i in range(10)]
    assert pixels(out / "before.png").shape == pixels(out / "completed" / "0005.png").shape == (16, 8 * 16, 3)
    assert pixels(out / "before_2.png").shape == pixels(out / "hats_imgs" / "0000_2.png").shape == (16, 2 * 16, 3)
    with Image.open(out / "completion.gif") as gif:
        assert gif.n_frames == 4


def test_known_pixels_are_the_inputs_and_the_hole_is_the_generators(folder):
    out = folder / "out"
    hole = np.zeros((16, 16), bool)
    hole[4:12, 4:12] = True
    hats = pixels(out / "hats_imgs" / "0005.png")
    for i in range(8):
        picture, final = pixels(folder / "test" / f"{i:03d}.png"), pixels(out / "final" / f"{i:03d}.png")
        np.testing.assert_array_equal(final[~hole], picture[~hole])
        np.testing.assert_array_equal(final[hole], hats[:, 16 * i : 16 * i + 16][hole])
        masked = pixels(out / "masked.png")[:, 16 * i : 16 * i + 16]
        np.testing.assert_array_equal(masked[~hole], picture[~hole])
        assert (masked[hole] == 128).all()


def test_logs(folder):
    logs = folder / "out" / "logs"
    assert sorted(p.name for p in logs.glob("hats_*")) == [f"hats_{i:02d}.log" for i in range(10)]
    rows = np.loadtxt(logs / "hats_09.log")
    assert rows.shape == (4, 2 + 100)
    assert rows[:, 0].tolist() == [0, 2, 4, 5]
    assert rows[-1, 1] < rows[0, 1]
    assert abs(rows[:, 2:]).max() <= 1

    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs), {"tensors": 0})
    events.Reload()
    names = [n + b for n in ("contextual_loss", "loss", "perceptual_loss") for b in ("", "_2")]
    assert sorted(events.Tags()["tensors"]) == sorted(names)
    curve = events.Tensors("loss")
    assert [event.step for event in curve] == list(range(6))
    first = [np.loadtxt(logs / f"hats_{i:02d}.log")[0, 1] for i in range(8)]
    assert tf.make_ndarray(curve[0].tensor_proto) == pytest.approx(np.mean(first), rel=1e-5)


def test_a_second_call_replaces_the_first_ones_frames_and_keeps_what_is_not_its_own(folder):
    again = folder / "again"
    shutil.copytree(folder / "out", again)
    for name in ("before_mine.png", "logs/events.out.tfevents.1.training", "completed/mine.png"):
        (again / name).touch()
    assert_works(complete(folder, folder / "test" / "000.png", "--nIter", 1, "--outDir", "again"))
    assert sorted(p.name for p in (again / "completed").iterdir()) == ["0000.png", "0001.png", "mine.png"]
    assert {p.name for p in again.glob("*.*")} == {"before.png", "before_mine.png", "masked.png", "completion.gif"}
    logs = sorted(p.name for p in (again / "logs").iterdir())
    assert logs[1].endswith(".completion") and logs[::2] == ["events.out.tfevents.1.training", "hats_00.log"]
    assert len(list((again / "final").iterdir())) == 10


def test_pictures_among_the_results_are_refused(folder):
    for name in ("final/000.png", "completed/0005.png", "before.png"):
        result = complete(folder, folder / "out" / name, "--outDir", folder / "out")
        assert_fails(result, 1, name, "another --outDir")
        assert (folder / "out" / name).exists()


def test_the_seed_decides(folder):
    logs = []
    for seed in (0, 0, 1):
        complete(folder, folder / "test" / "000.png", "--nIter", 2, "--seed", seed)
        logs.append((folder / "completions" / "logs" / "hats_00.log").read_text())
    assert logs[0] == logs[1] != logs[2]


def test_every_option_reaches_the_search(monkeypatch):
    command = "complete.py x.png --approach pgd --lr 2 --beta1 .3 --beta2 .4 --eps 5 --momentum .6 --nIter 7 --lam 8"
    monkeypatch.setattr(sys, "argv", [*command.split(), "--outInterval", "9", "--seed", "10"])
    args = importlib.import_module("complete").parse_args()
    assert options_of(args, SearchOptions) == SearchOptions(
        approach="pgd", lr=2, beta1=0.3, beta2=0.4, eps=5, momentum=0.6, n_iter=7, lam=8, out_interval=9, seed=10
    )


def test_pgd_and_the_size_of_the_hole(folder):
    args = ["--nIter", 3, "--approach", "pgd", "--lr", 1e-4, "--centerScale", 0.125, "--outDir", "pgd"]
    assert_works(complete(folder, folder / "test" / "000.png", *args))
    rows = np.loadtxt(folder / "pgd" / "logs" / "hats_00.log")
    assert rows[-1, 1] < rows[0, 1]
    assert (pixels(folder / "pgd" / "masked.png") == 128).all(-1).sum() == 12 * 12


@pytest.mark.parametrize("kind", ["random", "left", "full", "grid", "lowres"])
def test_mask_types(folder, kind):
    result = complete(folder, folder / "test" / "000.png", "--nIter", 1, "--maskType", kind, "--outDir", kind)
    assert_works(result)
    picture, final = pixels(folder / "test" / "000.png"), pixels(folder / kind / "final" / "000.png")
    same = (picture == final).all(-1).mean()
    expected = {"random": 0.8, "left": 0.5, "full": 1, "grid": 1 / 16, "lowres": 0}[kind]
    assert same == pytest.approx(expected, abs=0.12)


def test_a_damaged_picture_is_named_and_the_others_are_completed(folder, tmp_path):
    (folder / "damaged.png").write_bytes(b"\x89PNG\r\n")
    Image.fromarray(blobs(1, 24)[0]).convert("RGBA").save(folder / "large.png")
    result = complete(folder, "damaged.png", "large.png", "missing.png", "--nIter", 1, "--outDir", tmp_path)
    assert_fails(result, 1, "2 of 3 pictures cannot be read", "the others are completed")
    assert "damaged.png" in result.stdout and "missing.png" in result.stdout
    assert "large.png was cropped" in result.stdout
    assert [p.name for p in (tmp_path / "final").iterdir()] == ["large.png"]


def test_a_picture_does_not_depend_on_batches_or_damaged_neighbours(folder):
    (folder / "damaged.png").write_bytes(b"\x89PNG\r\n")
    paths = sorted((folder / "test").iterdir())
    paths[4] = folder / "damaged.png"
    assert_fails(complete(folder, *paths, "--nIter", 5, "--batchSize", 3, "--outDir", "threes"), 1, "1 of 10")
    for i in {*range(10)} - {4}:
        name = f"hats_{i:02d}.log"
        ours, theirs = (np.loadtxt(folder / out / "logs" / name)[[0, -1]] for out in ("threes", "out"))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4, err_msg=name)


def test_two_pictures_of_one_name_are_both_kept(folder, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(folder / "test" / "000.png", tmp_path / name)
    complete(folder, tmp_path / "a" / "000.png", tmp_path / "b" / "000.png", "--nIter", 1, "--outDir", tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out" / "final").iterdir()) == ["a__000.png", "b__000.png"]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ([], 2, ["IMG"]),
        (["test/000.png", "--maskType", "middle"], 2, ["middle", "center"]),
        (["test/000.png", "--imgSize", 64], 1, ["--imgSize 16", "not 64"]),
        (["test/000.png", "--imgSize", 20], 2, ["power of two"]),
        (["test/000.png", "--nIter", 0], 2, ["--nIter"]),
        (["test/000.png", "--centerScale", 0.6], 2, ["--centerScale"]),
        (["test/000.png", "--beta1", 1], 2, ["--beta1", "below 1"]),
        (["test/000.png", "--checkpointDir", "damaged"], 1, ["damaged", "restore"]),
        (["test/000.png", "--checkpointDir", "other"], 1, ["other", "config.json"]),
        (["test/000.png", "--checkpointDir", "void"], 1, ["checkpoint in void"]),
        (["test/000.png", "--checkpointDir", "test"], 1, ["no model in test"]),
        (["test/000.png", "--outDir", "test/000.png"], 1, ["test/000.png"]),
    ],
)
def test_bad_calls(folder, args, code, words):
    if "--checkpointDir" not in args:
        args = [*args, "--checkpointDir", folder / "model"]
    assert_fails(run_script("complete.py", *args, cwd=folder), code, *words)


def test_no_readable_picture(folder):
    result = complete(folder, "missing.png", "--outDir", "none")
    assert_fails(result, 1, "none of the pictures")
    assert not list((folder / "none").rglob("*.png"))
