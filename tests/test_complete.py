"""complete.py as a command: what it leaves, independence of the call, and bad calls."""

import importlib
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, assert_fails, assert_works, blobs, run_script, write_pictures
from PIL import Image

from completion.options import PhotoOptions
from dcgan.options import PRESETS, DeviceOptions, SearchOptions
from images.mask_options import MaskOptions
from images.sheets import BORDER, TITLE
from jobs.complete.arguments import CompleteOptions

PLAIN = ("--blend", "none", "--start", "random", "--refine", 0, "--lam", 0.1)


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
        "--allFrames",
        *PLAIN,
    )
    assert_works(result)
    Image.new("L", (9, 4)).save(folder / "wide.png")
    Image.new("L", (4, 4), 255).save(folder / "white.png")
    for name in ("damaged", "other", "void"):
        shutil.copytree(folder / "model", folder / name)
    for path in (folder / "damaged").glob("dcgan-*.data*"):
        path.write_bytes(b"short")
    for path in (folder / "void").glob("dcgan-*"):
        path.unlink()
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
        assert gif.n_frames == 6  # masked, the frames, and the results
    # Eight pictures eight times as large, four columns, with borders of four.
    assert pixels(out / "sheet.png").shape == (8 * 132 + 4 + TITLE + 2 * BORDER, 4 * 132 + 4, 3)
    assert (pixels(out / "sheet.png")[:4] == 255).all()


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
    assert [event.step for event in events.Tensors("loss_2")] == list(range(6))
    first = [np.loadtxt(logs / f"hats_{i:02d}.log")[0, 1] for i in range(8)]
    assert tf.make_ndarray(curve[0].tensor_proto) == pytest.approx(np.mean(first), rel=1e-5)


def test_a_second_call_replaces_the_first_ones_frames_and_keeps_what_is_not_its_own(folder):
    again = folder / "again"
    shutil.copytree(folder / "out", again)
    for name in ("before_mine.png", "logs/events.out.tfevents.1.training", "completed/mine.png"):
        (again / name).touch()
    assert_works(complete(folder, folder / "test" / "000.png", "--nIter", 1, "--refine", 0, "--outDir", "again"))
    assert sorted(p.name for p in (again / "completed").iterdir()) == ["0000.png", "0001.png", "mine.png"]
    assert {p.name for p in again.glob("[!.]*.*")} == {
        "before.png",
        "before_mine.png",
        "masked.png",
        "sheet.png",
        "completion.gif",
    }
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
    for seed, out in ((0, "s0"), (0, "s1"), (1, "s2")):
        args = ["--nIter", 2, "--start", "random", "--seed", seed, "--outDir", out]
        assert_works(complete(folder, folder / "test" / "000.png", *args))
        logs.append((folder / out / "logs" / "hats_00.log").read_text())
    assert logs[0] == logs[1] != logs[2]


def options_of(monkeypatch, argv):
    """What complete.py makes of its arguments."""
    monkeypatch.setattr("jobs.complete.job.complete", lambda *options: received.extend(options))
    received: list = []
    importlib.import_module("complete").main(shlex.split(argv))
    return tuple(received)


def test_every_option_reaches_the_search(monkeypatch):
    argv = (
        "x.png y.png --checkpointDir c --imgSize 16 --outDir o --tries 3 --format jpg --quality 90 --batchSize 2"
        " --allFrames --blend none --approach pgd"
        " --start random --lr 2 --lrDecay none --beta1 .3 --beta2 .4 --eps 5 --momentum .6"
        " --nIter 7 --lam 8 --outInterval 9 --seed 10 --hmcBeta 11 --hmcEps 12 --hmcL 13 --hmcAnneal 14"
        " --contextWindow 15 --contextFloor 17 --zPenalty 16 --zLength 19 --maskType random --randomShare .18"
        " --refine 4 --refineIter 21 --refinePenalty 22 --precision mixed"
    )
    assert options_of(monkeypatch, argv) == (
        CompleteOptions((Path("x.png"), Path("y.png")), Path("c"), 16, Path("o"), 3, "jpg", 90, 2, True, "none"),
        PhotoOptions(),
        MaskOptions("random", random_share=0.18),
        SearchOptions(
            *("pgd", "random", 7, 2, "none", 0.3, 0.4, 5, 0.6, 11, 12, 13, 14, 15, 17, 8, 16, 19, 4, 21, 22, 9, 10)
        ),
        DeviceOptions("mixed"),
    )
    assert options_of(monkeypatch, "x.png --maskType center --centerScale .3")[2] == MaskOptions(
        "center", center_scale=0.3
    )
    for kind, flag, field in (("grid", "--gridStep", "grid_step"), ("lowres", "--lowresBlock", "lowres_block")):
        masks = options_of(monkeypatch, f"x.png --maskType {kind} {flag} 5")[2]
        assert masks == MaskOptions(kind, **{field: 5})
        with pytest.raises(SystemExit):
            options_of(monkeypatch, f"x.png --maskType random {flag} 5")
    for flag, masks in (
        ("--maskFile", MaskOptions(file=Path("m"), invert=True)),
        ("--maskDir", MaskOptions(folder=Path("m"), invert=True)),
    ):
        assert options_of(monkeypatch, f"x.png {flag} m --invertMask")[2] == masks
    for argv, photos in (
        ("--photo", PhotoOptions(True)),
        ("--aligned", PhotoOptions(aligned=True)),
        ("--alignment a", PhotoOptions(alignment=Path("a"))),
        ("--photo --points '-1,2.5 3,4 5,6'", PhotoOptions(True, points=((-1, 2.5), (3, 4), (5, 6)))),
    ):
        assert options_of(monkeypatch, f"x.png {argv}")[1] == photos


def test_presets_are_the_flags_of_the_documentation(monkeypatch):
    """And a flag beside a preset overrides it."""
    listed = re.findall(r"\| `--preset (\w+)` .*\| `(--.*)` \|", (ROOT / "docs" / "completion.md").read_text())
    assert {"default", *dict(listed)} == PRESETS.keys()
    for name, flags in (("default", ""), *listed):
        by_name = options_of(monkeypatch, f"x.png --preset {name} --seed 3")
        assert by_name == options_of(monkeypatch, f"x.png {flags} --seed 3")
        assert by_name[3] == replace(PRESETS[name].search, seed=3)
        beside = options_of(monkeypatch, f"x.png --nIter 9 --blend poisson --preset {name}")
        assert beside == options_of(monkeypatch, f"x.png {flags} --nIter 9 --blend poisson")


def test_the_step_size_of_a_preset_is_not_for_approaches_without_one(monkeypatch):
    """So nobody is told that an --lr that they did not give has no effect."""
    for approach, given, lr in (("lbfgs", "", None), ("pgd", "", 0.01), ("lbfgs", "--lr 0.02", 0.02)):
        search = options_of(monkeypatch, f"x.png --preset post --approach {approach} {given}")[3]
        assert (search.approach, search.lr) == (approach, lr)


def test_pgd_and_the_size_of_the_hole(folder):
    args = ["--nIter", 3, "--approach", "pgd", "--lr", 1e-3, "--refine", 0, "--centerScale", 0.125, "--outDir", "pgd"]
    assert_works(complete(folder, folder / "test" / "000.png", *args))
    rows = np.loadtxt(folder / "pgd" / "logs" / "hats_00.log")
    assert rows[-1, 1] < rows[0, 1]
    assert (pixels(folder / "pgd" / "masked.png") == 128).all(-1).sum() == 12 * 12


@pytest.mark.parametrize("kind", ["random", "left", "full", "grid", "lowres"])
def test_mask_types(folder, kind):
    args = ["--nIter", 1, "--maskType", kind, "--outDir", kind, *PLAIN]
    result = complete(folder, folder / "test" / "000.png", *args)
    assert_works(result)
    picture, final = pixels(folder / "test" / "000.png"), pixels(folder / kind / "final" / "000.png")
    same = (picture == final).all(-1).mean()
    expected = {"random": 0.8, "left": 0.5, "full": 1, "grid": 1 / 16, "lowres": 0}[kind]
    assert same == pytest.approx(expected, abs=0.12)


def test_a_damaged_picture_is_named_and_the_others_are_completed(folder, tmp_path):
    (folder / "damaged.png").write_bytes(b"\x89PNG\r\n")
    Image.fromarray(blobs(1, 24)[0]).convert("RGBA").save(folder / "large.png")
    result = complete(folder, "damaged.png", "large.png", "missing.png", "--nIter", 1, "--outDir", tmp_path)
    assert_fails(result, 1, "skipped 2 of 3 pictures", "completed the others")
    assert "damaged.png" in result.stdout and "missing.png" in result.stdout
    assert "model's size: 1 of 3 pictures" in result.stdout
    assert [p.name for p in (tmp_path / "final").iterdir()] == ["large.png"]


def test_a_picture_does_not_depend_on_batches_or_damaged_neighbours(folder):
    (folder / "damaged.png").write_bytes(b"\x89PNG\r\n")
    paths = sorted((folder / "test").iterdir())
    paths[4] = folder / "damaged.png"
    assert_fails(
        complete(folder, *paths, "--nIter", 5, "--batchSize", 3, "--outDir", "threes", "--allFrames", *PLAIN),
        1,
        "1 of 10",
    )
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


def test_blending_changes_the_hole_alone(folder, tmp_path):
    finals = {}
    for kind in ("none", "poisson", "tension"):
        args = ["--nIter", 3, "--refine", 0, "--outInterval", 0, "--blend", kind, "--outDir", tmp_path / kind]
        assert_works(complete(folder, folder / "test" / "000.png", *args))
        assert {path.name for path in (tmp_path / kind).rglob("[!.]*.*")} == {"000.png", "sheet.png"}  # no frames
        finals[kind] = pixels(tmp_path / kind / "final" / "000.png").astype(int)
    picture = pixels(folder / "test" / "000.png")
    step = {}
    for kind, final in finals.items():
        np.testing.assert_array_equal(final[:4], picture[:4])
        step[kind] = abs(final[4, 4:12] - final[3, 4:12]).mean()  # over the hole's upper edge
    assert max(step["poisson"], step["tension"]) < step["none"] / 2


def test_mask_pictures(folder, tmp_path):
    mask = np.full((32, 32), 255, np.uint8)
    mask[8:20, 2:14] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(255 - mask).save(tmp_path / "turned.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "000.bmp")
    erased = Image.open(folder / "test" / "000.png").convert("RGBA")
    erased.putalpha(Image.fromarray(mask).resize((16, 16), Image.Resampling.NEAREST))
    (tmp_path / "erased").mkdir()
    erased.save(tmp_path / "erased" / "000.png")
    plain = folder / "test" / "000.png"
    finals = []
    for i, args in enumerate(
        (
            [plain, "--maskFile", tmp_path / "mask.png"],
            [plain, "--maskFile", tmp_path / "turned.png", "--invertMask"],
            [plain, "--maskDir", tmp_path / "masks"],
            [tmp_path / "erased" / "000.png"],
        )
    ):
        out = tmp_path / f"out{i}"
        assert_works(complete(folder, *args, "--nIter", 1, "--outDir", out))
        finals.append(pixels(out / "final" / "000.png"))
        assert ((pixels(out / "masked.png") == 128).all(-1) == (mask[::2, ::2] == 0)).all()
    for final in finals[1:]:
        np.testing.assert_array_equal(final, finals[0])


def test_a_picture_without_a_mask_is_named_and_the_others_are_completed(folder, tmp_path):
    for name in ("000", "001"):
        shutil.copy(folder / "test" / f"{name}.png", tmp_path)
    (tmp_path / "masks").mkdir()
    Image.new("L", (8, 8), 255).save(tmp_path / "masks" / "001.png")
    half = np.tile(np.repeat([0, 255], 4), (8, 1)).astype(np.uint8)
    Image.fromarray(half).save(tmp_path / "masks" / "002.png")
    shutil.copy(folder / "test" / "002.png", tmp_path)
    pictures = [tmp_path / f"00{i}.png" for i in range(3)]
    result = complete(folder, *pictures, "--maskDir", tmp_path / "masks", "--nIter", 1, "--outDir", tmp_path / "out")
    assert_fails(result, 1, "2 of 3")
    assert "000.png without a mask of the same name in" in result.stdout and "001.png hides nothing" in result.stdout
    assert [p.name for p in (tmp_path / "out" / "final").iterdir()] == ["002.png"]


def test_many_pictures_stopped_and_started_again(folder, tmp_path):
    """The first batch has frames; what is done is not done again, what is missing or made otherwise is."""
    pictures, out = sorted((folder / "test").iterdir()), tmp_path / "out"

    def call(*args):
        result = complete(folder, *pictures, "--batchSize", 4, "--nIter", 2, "--outDir", out, *args)
        assert_works(result)
        times = {path.name: path.stat().st_mtime_ns for path in (out / "final").iterdir()}
        assert sorted(times) == [path.name for path in pictures]
        return result.stdout, times

    first_says, first = call()
    assert "earlier call" not in first_says
    assert [p.name for p in out.glob("before*")] == ["before.png"]
    (out / "final" / "005.png").unlink()
    frames = (out / "completion.gif").stat().st_mtime_ns
    second_says, second = call()
    assert "earlier call with the same options: 6 of 10 pictures" in second_says
    assert {name for name in first if first[name] != second[name]} == {f"00{i}.png" for i in range(4, 8)}
    assert (out / "completion.gif").stat().st_mtime_ns == frames
    third_says, third = call("--blend", "none")
    assert "earlier call" not in third_says
    assert not {name for name in third if third[name] == second[name]}
    assert "10 of 10" in call("--blend", "none")[0]


def test_frames_are_those_of_the_last_call(folder, tmp_path):
    """One picture, another, and the first again, whose result still lies in final."""
    out, seen = tmp_path / "out", []
    for name in ("000.png", "001.png", "000.png"):
        assert_works(complete(folder, folder / "test" / name, "--nIter", 1, "--outDir", out))
        seen.append(pixels(out / "before.png"))
    np.testing.assert_array_equal(seen[0], seen[2])
    assert (seen[0] != seen[1]).any()
    # Of fewer pictures than before nothing is left of the others; an unreadable first batch does not cost the frames.
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n")
    pictures = [tmp_path / "damaged.png", *(folder / "test" / f"00{i}.png" for i in range(3))]
    args = ["--nIter", 1, "--batchSize", 1, "--outDir", out]
    assert_fails(complete(folder, *pictures, "--allFrames", *args), 1, "1 of 4")
    assert {p.name for p in out.glob("sheet*")} == {"sheet.png", "sheet_2.png", "sheet_3.png"}
    assert_fails(complete(folder, *pictures[:3], *args), 1, "1 of 3")
    assert {p.name for p in out.glob("sheet*")} == {"sheet.png"}
    assert [p.name for p in (out / "logs").glob("hats*")] == ["hats_01.log"]


def test_grey_pictures(folder, tmp_path):
    write_pictures(tmp_path / "faces", blobs(6, 16))
    args = ["--dataset", "faces", "--epoch", 1, "--batch_size", 2, "--image_size", 16, "--c_dim", 1]
    assert_works(run_script("train-dcgan.py", *args, cwd=tmp_path))
    pictures = sorted((tmp_path / "faces").iterdir())
    args = ["--nIter", 1, "--checkpointDir", "checkpoints"]
    assert_works(run_script("complete.py", *pictures, *args, cwd=tmp_path))
    assert pixels(tmp_path / "completions" / "final" / "000.png").shape == (16, 16)
    args = ["faces", "--faces", 2, "--methods", "default", "telea", "navier-stokes", "--checkpointDir", "checkpoints"]
    assert_works(run_script("evaluate.py", *args, cwd=tmp_path))


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["test/000.png", "--randomShare", 0.8], 2, ["--maskType random"]),
        (["test/000.png", "--centerScale", 0.3, "--maskType", "left"], 2, ["--maskType center"]),
        (["test/000.png", "--invertMask", "--maskType", "left"], 2, ["--invertMask needs --maskFile"]),
        (["test/000.png", "--growMask", 1, "--maskType", "full"], 2, ["--growMask needs a hole"]),
        (["test/000.png", "--growMask", -1], 2, ["--growMask", "at least 0"]),
        (["test/000.png", "--holeColor", "green"], 2, ["green is not a color: write it as 00ff00"]),
        (["test/000.png", "--holeColor", "#00ff00"], 1, ["no picture was completed"]),
        (["test/000.png", "--contextWindow", 1], 2, ["--contextWindow", "odd"]),
        ([], 2, ["IMG"]),
        (["test/000.png", "--maskFile", "a.png", "--maskType", "left"], 2, ["--maskFile", "exclude each other"]),
        (["test/000.png", "--maskFile", "missing.png"], 1, ["missing.png"]),
        (["test/000.png", "--maskFile", "wide.png"], 1, ["wide.png is 9x4", "square"]),
        (["test/000.png", "--maskFile", "white.png"], 1, ["white.png hides nothing"]),
        (["test/000.png", "--maskFile", "white.png", "--invertMask"], 1, ["white.png hides everything"]),
        (["test/000.png", "--maskDir", "missing"], 1, ["no folder missing"]),
        (["test/000.png", "--maskType", "lowres", "--lowresBlock", 5], 1, ["--lowresBlock 5", "16"]),
        (["test/000.png", "--centerScale", 0.5], 1, ["center hides nothing"]),
        (["test/000.png", "--randomShare", 1], 2, ["--randomShare"]),
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
        (["test/000.png", "--outDir", "test/000.png"], 1, ["test/000.png is not a folder"]),
    ],
)
def test_bad_calls(folder, args, code, words):
    if "--checkpointDir" not in args:
        args = [*args, "--checkpointDir", folder / "model"]
    assert_fails(run_script("complete.py", *args, cwd=folder), code, *words)


def test_no_readable_picture(folder):
    (folder / "text.png").write_text("no picture")
    result = complete(folder, "text.png", "missing.png", "--outDir", "none", "--lr", 0.01)
    assert "--lr 0.01 has no effect with --approach lbfgs" in result.stdout
    assert_fails(result, 1, "no picture was completed")
    assert not list((folder / "none").rglob("*.png"))
