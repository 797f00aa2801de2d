"""What a completion does to its folder: whose files it replaces, what counts as done, what an interruption leaves."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT, blobs, write_pictures
from PIL import Image

from completion.options import PhotoOptions
from dcgan.options import DeviceOptions, SearchOptions
from images.mask_options import MaskOptions
from jobs.complete import frames as frames_module
from jobs.complete.arguments import CompleteOptions
from jobs.complete.job import complete
from jobs.complete.plan import listed
from jobs.stopping import stop_signals
from model import DCGAN
from outputs import Outputs
from utils import UserError

SEARCH = SearchOptions(n_iter=6, refine=0, out_interval=2, approach="adam", start="random")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, five pictures in `faces`, and in `done` what completing them has left."""
    folder = tmp_path_factory.mktemp("results")
    DCGAN(image_size=16, gf_dim=4, df_dim=4, z_dim=8).save(folder / "model")
    write_pictures(folder / "faces", blobs(5, 16))
    assert call(folder, "done") is None
    return folder


def call(folder, out, *imgs, search=SEARCH, mask_folder=None, **files):
    imgs = imgs or (folder / "faces",)
    options = CompleteOptions(imgs, checkpoint_dir=folder / "model", out_dir=folder / out, batch_size=3, **files)
    return complete(options, PhotoOptions(), MaskOptions(folder=mask_folder), search, DeviceOptions("float32"))


def contents(out):
    """The files, without the list of what was written and the lock."""
    files = [path for path in out.rglob("[!.]*") if path.is_file()]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def pixels(path):
    return np.asarray(Image.open(path))


@pytest.mark.parametrize(
    "name", ["before.png", "sheet.png", "completion.gif", "completed/0004.png", "logs/hats_00.log", "final/002.png"]
)
def test_what_another_wrote_is_not_replaced(folder, name):
    out = folder / "others"
    (out / name).parent.mkdir(parents=True)
    Image.new("RGB", (9, 9), (1, 2, 3)).save(out / name, format="PNG")
    before = contents(out)
    with pytest.raises(UserError, match=rf"{name} was not written by this program, .* choose another --outDir"):
        call(folder, "others")
    assert contents(out) == before
    shutil.rmtree(out)


def test_a_folder_that_becomes_a_link_during_the_search_keeps_the_results_behind_it(folder, monkeypatch):
    """Even if they are completions of the same pictures: they belong to another folder."""
    shutil.copytree(folder / "done", folder / "kept")
    before = contents(folder / "kept")
    record = frames_module.Frames.record

    def swapped(self, state):
        record(self, state)
        final = folder / "swapped" / "final"
        if not final.exists():
            final.symlink_to(folder / "kept" / "final")

    monkeypatch.setattr(frames_module.Frames, "record", swapped)
    with pytest.raises(UserError, match=r"swapped/final/000.png is reached by a symbolic link"):
        call(folder, "swapped", search=replace(SEARCH, n_iter=7))
    assert contents(folder / "kept") == before


def test_what_another_wrote_beside_the_results_stays(folder):
    out = folder / "beside"
    mine = ["sheet_3.png", "completed/7.png", "hats_imgs/2016.png", "final/mine.png", "before.txt"]
    for name in mine:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(b"mine")
    call(folder, "beside")
    call(folder, "beside", folder / "faces" / "000.png", search=SearchOptions(n_iter=1, refine=0))
    assert all((out / name).read_bytes() == b"mine" for name in mine)
    assert sorted(path.name for path in (out / "completed").iterdir()) == ["0000.png", "0001.png", "7.png"]
    assert len(list((out / "final").iterdir())) == 6


@pytest.mark.parametrize("name", ["final", "completed", "logs/hats_01.log", "final/001.png"])
def test_a_pipe_in_the_way_is_not_waited_for(folder, name):
    pipe = folder / "pipe" / name
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    with pytest.raises(UserError, match=f"{name} was not written"):
        call(folder, "pipe")
    assert pipe.is_fifo()
    shutil.rmtree(folder / "pipe")


def test_an_empty_result_is_done_again(folder):
    """As a power failure may leave it."""
    cut = folder / "done" / "final" / "003.png"
    whole = cut.read_bytes()
    cut.write_bytes(b"")
    call(folder, "done")
    assert cut.read_bytes() == whole


def interrupt(monkeypatch, iteration, number=signal.SIGINT):
    """The frames of this iteration are noted while the signal arrives."""
    record = frames_module.Frames.record

    def interrupted(self, state):
        record(self, state)
        if state.iteration == iteration:
            signal.raise_signal(number)

    monkeypatch.setattr(frames_module.Frames, "record", interrupted)


def test_an_interrupted_batch_is_written_as_far_as_it_came(folder, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        interrupt(patch, 2, signal.SIGTERM)
        assert call(folder, "stopped") == 128 + signal.SIGTERM
    assert "after 3 of 6 iterations for 3 pictures (000.png, 001.png, 002.png)" in capsys.readouterr().out
    out, hole = folder / "stopped", np.s_[4:12, 4:12]
    assert sorted(path.name for path in (out / "final").iterdir()) == ["000.png", "001.png", "002.png"]
    assert sorted(path.name for path in (out / "completed").iterdir()) == ["0000.png", "0002.png", "0003.png"]
    assert {"sheet.png", "completion.gif"} <= set(os.listdir(out))
    shorter = SearchOptions(n_iter=3, lr_decay="none", approach="adam", start="random")
    call(folder, "shorter", search=shorter)
    with monkeypatch.context() as patch:
        interrupt(patch, 2)
        longer = SearchOptions(n_iter=9, lr_decay="none", approach="adam", start="random", out_interval=9)
        assert call(folder, "longer", search=longer) == 130
    for name in ("000.png", "002.png"):  # the same z, whether the search was to end there or not
        stopped, asked = (pixels(folder / run / "final" / name)[hole] for run in ("longer", "shorter"))
        np.testing.assert_array_equal(stopped, asked)

    assert call(folder, "stopped") is None
    for name, expected in contents(folder / "done" / "final").items():
        assert (out / "final" / name).read_bytes() == expected


def test_what_is_finished_is_not_replaced_by_what_is_not(folder, monkeypatch):
    shutil.copytree(folder / "done", folder / "again")
    finals = folder / "again" / "final"
    (finals / "002.png").unlink()
    with monkeypatch.context() as patch:
        interrupt(patch, 0)
        assert call(folder, "again") == 130
    expected = contents(folder / "done" / "final")
    changed = {name for name, data in contents(finals).items() if data != expected[name]}
    assert changed == {"002.png"}


def test_finished_results_in_another_format_are_not_replaced_by_unfinished_ones(folder, monkeypatch):
    shutil.copytree(folder / "done", folder / "format")
    finals, expected = folder / "format" / "final", contents(folder / "done" / "final")
    (finals / "002.png").unlink()
    with monkeypatch.context() as patch:
        interrupt(patch, 0)
        assert call(folder, "format", format="webp") == 130
    found = contents(finals)
    assert found.pop("002.webp") and found == {name: data for name, data in expected.items() if name != "002.png"}
    assert call(folder, "format", format="webp") is None
    assert {path.with_suffix(".png").name for path in finals.glob("*.webp")} == expected.keys()
    assert len(list(finals.iterdir())) == len(expected)
    for name in expected:
        made, other = (pixels(path) for path in (finals / f"{name[:3]}.webp", folder / "done" / "final" / name))
        np.testing.assert_array_equal(made, other)


def test_a_second_signal_is_obeyed(folder, monkeypatch):
    times = iter([10.0, 10.5, 11.5])
    monkeypatch.setattr("jobs.stopping.time.monotonic", lambda: next(times))

    with pytest.raises(KeyboardInterrupt), stop_signals() as received:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # at once: `timeout` sends it to a process and to its group
        assert len(received) == 2
        signal.raise_signal(signal.SIGINT)


def test_a_folder_is_taken_like_its_pictures_but_for_results_in_it(folder, capsys):
    shutil.copytree(folder / "faces", folder / "mixed" / "more")
    (folder / "mixed" / "empty").mkdir()
    for _ in range(2):
        args = (folder / "mixed", folder / "mixed" / "empty", folder / "mixed" / "more" / "000.png")
        call(folder, "mixed/out", *args)
        assert "no pictures in" in capsys.readouterr().out
        finals = sorted(path.name for path in (folder / "mixed" / "out" / "final").iterdir())
        assert finals == ["001.png", "002.png", "003.png", "004.png", "more__000.png", "more__000__2.png"]
    with pytest.raises(UserError, match="there is no picture"):
        call(folder, "nothing", folder / "mixed" / "empty")


def test_one_line_for_many_without_a_mask(folder, capsys):
    (folder / "masks").mkdir()
    for name in ("001.png", "003.png"):
        Image.fromarray(np.eye(16, dtype=np.uint8) * 255).save(folder / "masks" / name)
    with pytest.raises(UserError, match="skipped 3 of 5 pictures"):
        call(folder, "masked", mask_folder=folder / "masks")
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "skipped" in line] == [
        f"skipped: 3 pictures (000.png, 002.png, 004.png) without a mask of the same name in {folder / 'masks'}"
    ]
    assert sorted(path.name for path in (folder / "masked" / "final").iterdir()) == ["001.png", "003.png"]
    assert {"hats_01.log", "hats_03.log"} <= set(os.listdir(folder / "masked" / "logs"))


def test_masks_below_the_pictures_are_no_pictures(folder, capsys):
    pictures = folder / "with_masks"
    shutil.copytree(folder / "faces", pictures)
    shutil.copytree(folder / "faces", pictures / "masks")
    options, none = MaskOptions(folder=pictures / "masks"), Outputs(folder / "none")
    listed_names = [path.relative_to(pictures) for path in listed([pictures], none, options)]
    assert listed_names == sorted(path.relative_to(folder / "faces") for path in (folder / "faces").iterdir())
    options = MaskOptions(file=pictures / "000.png")
    assert pictures / "000.png" not in listed([pictures], none, options)
    assert len(listed([pictures], none, MaskOptions(folder=pictures))) == 2 * len(listed_names)


def test_signals_that_the_caller_ignores_stay_ignored(monkeypatch):
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with stop_signals() as received:
            signal.raise_signal(signal.SIGTERM)
            assert received == [] and signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, handler)


def test_importing_a_job_changes_no_signal():
    code = "import signal, jobs.complete.job, jobs.train.trainer, jobs.align, jobs.evaluate.aligned\n"
    code += "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    code += "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# ------------------------------------------------------------------------------------------ tries


def test_each_try_has_a_folder_and_the_best_guesses_are_those_of_a_call_without_tries(folder):
    assert call(folder, "tries", tries=3) is None
    out, hole = folder / "tries", np.s_[4:12, 4:12]
    assert contents(out / "final") == contents(folder / "done" / "final")
    assert {path.name for path in out.iterdir() if path.name.startswith("final")} == {"final", "final_2", "final_3"}
    for name in contents(folder / "done" / "final"):
        tries = [pixels(out / place / name) for place in ("final", "final_2", "final_3")]
        given = pixels(folder / "faces" / name)
        columns = [np.array(given), *tries]
        columns[0][hole] = 128
        sheet = pixels(out / "tries" / name)
        for i, column in enumerate(columns):
            shown = sheet[-132:-4, 4 + 132 * i :][:, :128]
            np.testing.assert_array_equal(shown, column.repeat(8, axis=0).repeat(8, axis=1))
        for i, one in enumerate(tries):
            assert all((one[hole] != other[hole]).any() for other in tries[:i])
            changed = (one != given).any(axis=2)
            changed[hole] = False
            assert not changed.any()


def test_alternatives_that_are_missing_are_done_again_and_do_not_depend_on_their_number(folder):
    call(folder, "more", tries=2)
    before = contents(folder / "more")
    (folder / "more" / "final_2" / "003.png").unlink()
    (folder / "more" / "tries" / "001.png").unlink()
    call(folder, "more", tries=2)
    assert contents(folder / "more").keys() == before.keys()
    assert contents(folder / "more" / "final_2") == {
        name.partition("/")[2]: data for name, data in before.items() if name.startswith("final_2/")
    }
    call(folder, "more", tries=3)
    after = contents(folder / "more")
    of_finals = [name for name in before if name.startswith("final")]
    assert len(of_finals) == 10 and all(after[name] == before[name] for name in of_finals)
    times = {path: path.stat().st_mtime_ns for path in (folder / "more").rglob("*.png")}
    call(folder, "more", tries=3)
    finals = [path for path in times if path.parent.name.startswith(("final", "tries"))]
    assert len(finals) == 20 and all(path.stat().st_mtime_ns == times[path] for path in finals)


@pytest.mark.parametrize("name", ["final_2/000.png", "tries/004.png"])
def test_what_another_wrote_is_not_replaced_by_a_try(folder, name):
    out = folder / "mine"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_bytes(b"mine")
    with pytest.raises(UserError, match=f"{name} was not written by this program"):
        call(folder, "mine", tries=2)
    assert contents(out) == {name: b"mine"}
    shutil.rmtree(out)


def test_alternatives_of_an_earlier_call_go_when_a_picture_is_completed_anew(folder):
    call(folder, "fewer", tries=3)
    call(folder, "fewer", tries=2, search=replace(SEARCH, seed=5))
    places = {path.relative_to(folder / "fewer").parts[0] for path in (folder / "fewer").rglob("003.png")}
    assert places == {"final", "final_2", "tries"}
    call(folder, "fewer", search=replace(SEARCH, seed=6))
    assert {path.parent.name for path in (folder / "fewer").rglob("003.png")} == {"final"}
