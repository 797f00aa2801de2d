"""Training that goes on: what is its own, what has changed since, where it stops, and what it says."""

import csv
import importlib
import json
import os
import shutil
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import blobs, write_pictures

from dcgan import checkpoints, devices
from dcgan.directories import learned
from dcgan.options import DeviceOptions, TrainOptions
from jobs.train.arguments import RunOptions
from jobs.train.job import train
from jobs.train.log import TrainingLog
from kernels.tensorflow import tf
from model import DCGAN, TrainStep
from outputs import Outputs, only_writer
from utils import UserError, WrongCommand

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")
SMALL = {"image_size": 8, "gf_dim": 4, "df_dim": 4}


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    """To compile a step takes longer than these few."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with 21 pictures in `faces`, and what an epoch of training has left beside it."""
    folder = tmp_path_factory.mktemp("trained")
    write_pictures(folder / "faces", blobs(21, 8))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        go(1, SMALL)
    return folder


@pytest.fixture
def here(trained, tmp_path, monkeypatch) -> Path:
    """A copy of `trained`, in which the test works."""
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def go(epochs, named=None, batch_size=4, seed=0, **run):
    options = TrainOptions(epochs=epochs, batch_size=batch_size, seed=seed)
    return train(RunOptions(**{"dataset": Path("faces"), **run}), named or {}, options, DeviceOptions("float32"))


@contextmanager
def stopped(after: int):
    """Trainings in here are stopped by SIGTERM when they have done so many steps, and at most one more."""
    train_all = DCGAN.train

    def stopping(self, *args):
        if after == int(self.step):
            os.kill(os.getpid(), signal.SIGTERM)
        for state in train_all(self, *args):
            yield state
            if state.step == after:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DCGAN, "train", stopping)
        yield


def column(name, path="logs/losses.csv"):
    with open(path, newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def contents(*folders):
    files = [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in files}


def test_training_begins_with_what_it_is(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    go(1, SMALL, checkpoint_dir=Path("a"), sample_dir=Path("b"), log_dir=Path("c"))
    dcgan = DCGAN.load("a")
    g, d = (sum(weights.size for weights in net.get_weights()) for net in (dcgan.generator, dcgan.discriminator))
    statistics = 2 * 4  # a mean and a variance for each channel of G's one batch normalization, which are not learned
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "21 pictures of 8x8 in color; steps in an epoch: 5, unused pictures in an epoch: 1; "
        f"trainable weights: {g - statistics:,} in G, {d:,} in D"
    )
    assert lines[1].startswith("warning: 21 pictures are few") and "--init" in lines[1]


def test_sizes_need_not_be_named_again(here, capsys):
    go(2)
    assert column("epoch") == ["0"] * 5 + ["1"] * 5
    out = capsys.readouterr().out
    assert "resumed from checkpoints at step 5" in out and "changed" not in out
    with pytest.raises(UserError, match="has --gf_dim 4, not 8"):
        go(3, {"gf_dim": 8})
    with pytest.raises(UserError, match="has --image_size 8, not 16"):
        go(3, {"image_size": 16})
    elsewhere = {name: here / name for name in ("checkpoint_dir", "sample_dir", "log_dir")}
    go(1, {"z_dim": 100}, init=here / "checkpoints", **elsewhere)
    assert DCGAN.load(here / "checkpoint_dir").options == DCGAN.load("checkpoints").options
    assert learned(here / "checkpoint_dir") == 5 + learned(here / "checkpoints") == 5 + 10
    go(2, **elsewhere)
    assert learned(here / "checkpoint_dir") == 10 + 10
    with pytest.raises(WrongCommand, match="gf_dim has 2 numbers"):
        go(1, {"gf_dim": (4, 4), "image_size": 8}, **dict.fromkeys(elsewhere, here / "new"))


def test_help_says_the_defaults_that_a_model_replaces(capsys):
    with pytest.raises(SystemExit):
        importlib.import_module("train-dcgan").main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "number of elements of z (default: the model's value; 100 for a new model)" in shown


def test_what_has_changed_is_said_and_epochs_are_counted_rightly(here, capsys):
    """One epoch in batches of 4, half of the second too; the rest in batches of 2, with more pictures."""
    with stopped(after=8):
        assert go(2) == 128 + signal.SIGTERM
    steps = len(column("step"))
    assert steps in (8, 9)
    write_pictures(here / "faces" / "more", blobs(9, 8, seed=1))
    capsys.readouterr()
    go(3, batch_size=2)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("changed")]
    (line,) = said
    assert line.startswith(f"changed at step {steps}: --batch_size was 4, is 2, pictures added: 9, removed: 0;")
    epochs = column("epoch")
    done = (steps - 5) / 5  # of the second epoch
    assert epochs[:steps] == ["0"] * 5 + ["1"] * (steps - 5)
    assert epochs[steps:].count("1") == round((1 - done) * 15) and epochs[steps:].count("2") == 15
    before = contents(here)
    go(3, batch_size=2)
    assert (
        "--epoch 3 is reached already: choose a larger --epoch to continue" in capsys.readouterr().out
        and contents(here) == before
    )


def test_quite_other_pictures_are_refused(here):
    for path in (here / "faces").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    before = contents(here)
    with pytest.raises(UserError, match=r"faces has none of the pictures .* --init checkpoints"):
        go(9)
    assert contents(here) == before


def test_logs_and_samples_of_another_run_are_left_alone(here):
    second = {"checkpoint_dir": Path("second"), "log_dir": Path("logs2"), "sample_dir": Path("samples2")}
    go(1, SMALL, **second)
    before = contents("logs", "samples")
    third = {name: Path(f"{name}3") for name in second}
    for folders in (second, third):
        for name, taken in (("log_dir", "logs"), ("sample_dir", "samples")):
            with pytest.raises(UserError, match=f"of another run: choose another --{name}"):
                go(9, SMALL, **folders | {name: Path(taken)})
    assert contents("logs", "samples") == before
    assert not any(folder.exists() for folder in third.values())


USERS = ["checkpoints/config.json", "checkpoints/checkpoint", "checkpoints/run.json"]
USERS += ["logs/losses.csv", "logs/validation.csv", "samples/train_00_0005.png", "checkpoints/best/validation.json"]


@pytest.mark.parametrize("name", USERS)
def test_a_file_of_the_user_is_not_replaced(tmp_path, monkeypatch, name):
    write_pictures(tmp_path / "faces", blobs(4, 16))
    write_pictures(tmp_path / "others", blobs(2, 16))
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(parents=True)
    Path(name).write_text("mine")
    with pytest.raises(UserError, match=f"{Path(name).parent}.*was not"):
        go(1, SMALL | {"image_size": 16}, validation=Path("others"))
    assert Path(name).read_text() == "mine"


def test_a_sample_that_the_user_has_changed_is_not_replaced(here):
    with stopped(after=8):
        go(2, sample_interval=7, checkpoint_interval=100)
    sample = Path("samples/train_01_0005.png")
    sample.write_text("mine")
    with pytest.raises(UserError, match=r"train_01_0005\.png was not written by this program.*: move it away"):
        go(2)
    assert sample.read_text() == "mine"


def test_the_losses_of_a_run_of_an_earlier_version_go_on(here):
    run = json.loads(Path("checkpoints/run.json").read_text())["run"]
    Outputs(Path("logs")).adopt("losses.csv", f"{run} 5")
    go(2)
    assert column("step") == [str(step) for step in range(1, 11)]


def test_a_run_killed_before_it_could_mark_its_logs_goes_on(here):
    shutil.rmtree("logs")
    shutil.rmtree("samples")
    go(2)
    assert column("step") == [str(step) for step in range(6, 11)]


def test_what_runs_write_below_the_pictures_is_none_of_them(here, capsys):
    shutil.rmtree("logs")
    os.chdir("faces")
    dot = {"dataset": Path("."), "checkpoint_dir": here / "checkpoints"}
    go(2, **dot)
    assert Path("samples/train_01_0005.png").exists()
    Path("linked").symlink_to("samples")
    capsys.readouterr()
    go(3, **dot)
    out = capsys.readouterr().out
    assert "21 pictures of 8x8" in out and "changed" not in out
    assert "skipped pictures in the output folder" in out and "/samples: 1" in out
    with pytest.raises(UserError, match="choose another --sample_dir"):
        go(4, sample_dir=here / "faces", **dot)


@pytest.mark.parametrize("name", ["log_dir", "sample_dir", "checkpoint_dir"])
def test_a_folder_in_which_another_process_writes(here, name):
    with only_writer(here / "taken"), pytest.raises(UserError, match="another process writes into taken"):
        go(2, **{name: Path("taken")})
    (here / "file").touch()
    with pytest.raises(UserError, match="file is not a folder"):
        go(2, **{name: Path("file")})


def test_one_folder_for_all(tmp_path, monkeypatch):
    write_pictures(tmp_path / "faces", blobs(4, 8))
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("all")
    for epochs, log_dir in ((1, "all"), (2, "link")):
        go(epochs, SMALL, checkpoint_dir=Path("all"), sample_dir=tmp_path / "all", log_dir=Path(log_dir))
    assert column("step", "all/losses.csv") == ["1", "2"]


def test_where_steps_are_executed_at_once_samples_and_checkpoints_come_when_they_are_due(here, monkeypatch):
    monkeypatch.setattr(devices, "compiles", lambda strategy: True)
    go(7, sample_interval=8, checkpoint_interval=6, keep=9)
    assert column("step") == [str(step) for step in range(1, 36)]
    assert column("epoch") == [str(step // 5) for step in range(35)]
    assert checkpoints.checkpoints(Path("checkpoints"))[-6:] == [6, 12, 18, 24, 30, 35]
    due = {f"train_{(step - 1) // 5:02d}_{(step - 1) % 5 + 1:04d}.png" for step in (5, 8, 16, 24, 32, 35)}
    assert {path.name for path in Path("samples").glob("*.png")} == due


def test_stopping_leaves_a_sample(here, capsys):
    with stopped(after=5):
        assert go(100000) == 128 + signal.SIGTERM
    step = checkpoints.checkpoints(Path("checkpoints"))[-1]
    assert f"stopped at step {step};" in capsys.readouterr().out
    assert {path.name for path in Path("samples").glob("*.png")} == {"train_00_0005.png", f"train_01_000{step - 5}.png"}


def test_the_time_left_does_not_count_the_start(tmp_path, monkeypatch, capsys):
    """A first step of an hour, the others of a second."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    log = TrainingLog(DCGAN(8, gf_dim=4, df_dim=4), Outputs(tmp_path), "run", 1000)
    zeros = np.zeros((4, 1), np.float32)
    for step in range(1, 12):
        now = 3600.0 + step
        log.record(TrainStep(step, 0, step, 1000, np.ones((1, 4), np.float32), zeros, zeros, zeros))
    log.flush()
    log.say()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(", ? left") and lines[-1].endswith(", 0:16:29 left")
