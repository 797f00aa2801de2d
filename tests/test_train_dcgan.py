"""train-dcgan.py as a command: what it leaves, resuming, stopping, and bad calls."""

import csv
import importlib
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_fails, assert_works, blobs, process, run_script, write_pictures
from PIL import Image

from dcgan.options import DeviceOptions, TrainOptions
from jobs.train.arguments import RunOptions
from model import DCGAN

COMMON = ["--dataset", "faces", "--batch_size", 4, "--image_size", 16, "--precision", "float32"]
SMALL = ["--gf_dim", 4, "--df_dim", 4]
ENDLESS = [*SMALL, "--epoch", 100000, "--checkpoint_interval", 20]
CURVES = ["d_loss", "d_loss_fake", "d_loss_real", "g_loss"]


def losses(folder):
    with open(folder / "logs" / "losses.csv", newline="") as file:
        return list(csv.DictReader(file))


def checkpoints(folder):
    return [int(path.stem.split("-")[1]) for path in (folder / "checkpoints").glob("dcgan-*.index")]


def weights(folder):
    from model import DCGAN

    dcgan = DCGAN.load(folder / "checkpoints")
    return [v.numpy() for network in (dcgan.generator, dcgan.discriminator) for v in network.variables]


def test_what_a_run_leaves(trained):
    assert sorted(p.name for p in (trained / "samples").glob("*.png")) == [
        "train_00_0004.png",
        "train_01_0003.png",
        "train_01_0005.png",
    ]
    assert Image.open(trained / "samples" / "train_01_0005.png").size == (8 * 16, 8 * 16)
    checkpoints = {p.name for p in (trained / "checkpoints").iterdir()}
    assert {"config.json", "checkpoint", "dcgan-10.index", "dcgan-9.index", "dcgan-6.index"} <= checkpoints
    assert not {"dcgan-0.index", "dcgan-3.index"} & checkpoints  # the newest three are kept


def test_losses_csv(trained):
    rows = losses(trained)
    assert [int(row["step"]) for row in rows] == list(range(1, 11))
    assert [int(row["epoch"]) for row in rows] == [0] * 5 + [1] * 5
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds) and seconds[0] > 0
    for row in rows:
        assert float(row["d_loss"]) == pytest.approx(float(row["d_loss_real"]) + float(row["d_loss_fake"]), rel=1e-5)
        assert float(row["g_loss"]) > 0 and float(row["images_per_second"]) > 0


def test_log_lines_are_the_posts(trained):
    lines = [line for line in (trained / "stdout").read_text().splitlines() if line.startswith("Epoch")]
    pattern = (
        r"Epoch: \[ [01]\] \[   \d/   5\] time: [\d.]+, d_loss: \d+\.\d{8}, g_loss: \d+\.\d{8}, .* images/s, .* left"
    )
    assert lines and all(re.fullmatch(pattern, line) for line in lines)
    assert lines[-1].startswith("Epoch: [ 1] [   5/   5]")


def test_tensorboard_events(trained):
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained / "logs"), {"tensors": 0})
    events.Reload()
    assert sorted(events.Tags()["tensors"]) == sorted([*CURVES, "G", "d", "d_", "z"])
    nodes = {node.name for node in events.Graph().node}
    assert all(any(layer in name for name in nodes) for layer in ("g_h1", "d_h0_conv"))
    rows = losses(trained)
    for name in CURVES:
        curve = events.Tensors(name)
        assert [event.step for event in curve] == list(range(1, 11))
        for event, row in zip(curve, rows, strict=True):
            assert tf.make_ndarray(event.tensor_proto) == pytest.approx(float(row[name]), rel=1e-5)
    assert [event.step for event in events.Tensors("G")] == [4, 8, 10]


def test_every_option_reaches_the_training(monkeypatch):
    argv = (
        "--dataset x --train_size 1 --init y --checkpoint_dir c --sample_dir s --log_dir l --sample_interval 2"
        " --checkpoint_interval 3 --keep 4 --validation v --memory 5"
        " --image_size 16 --c_dim 1 --z_dim 6 --gf_dim 7 --df_dim 8,9"
        " --epoch 10 --batch_size 11 --learning_rate 12 --beta1 .13 --g_updates 3 --flip --ema .14 --local_norm"
        " --seed 15 --precision mixed"
    )
    monkeypatch.setattr("jobs.train.job.train", lambda *options: options)
    assert importlib.import_module("train-dcgan").main(argv.split()) == (
        RunOptions(Path("x"), 1, Path("y"), Path("c"), Path("s"), Path("l"), 2, 3, 4, Path("v"), 5),
        {"image_size": 16, "c_dim": 1, "z_dim": 6, "gf_dim": 7, "df_dim": (8, 9)},
        TrainOptions(10, 11, 12, 0.13, 3, True, 0.14, True, 15),
        DeviceOptions("mixed"),
    )


def test_the_same_command_again_is_done(trained):
    before = weights(trained)
    result = run_script("train-dcgan.py", *COMMON, "--epoch", 2, cwd=trained)
    assert result.returncode == 0 and "--epoch 2 is reached already" in result.stdout
    assert all((a == b).all() for a, b in zip(before, weights(trained), strict=True))


def test_another_seed_gives_another_run(trained, tmp_path):
    shutil.copytree(trained / "faces", tmp_path / "faces")
    run_script("train-dcgan.py", *COMMON, "--epoch", 1, "--seed", 1, cwd=tmp_path)
    assert losses(tmp_path)[0]["g_loss"] != losses(trained)[0]["g_loss"]


def assert_stopped_well(folder, out):
    """All is there up to the step at which a run says that it stopped."""
    from model import DCGAN

    stopped = int(re.search(r"stopped at step (\d+)", out)[1])
    assert (folder / "checkpoints" / f"dcgan-{stopped}.index").exists()
    assert [int(row["step"]) for row in losses(folder)] == list(range(1, stopped + 1))
    saved = DCGAN.load(folder / "checkpoints").generator
    z = np.random.default_rng(0).uniform(-1, 1, (256, 100)).astype(np.float32)
    mean = saved.get_layer("g_bn0").moving_mean.numpy()
    np.testing.assert_allclose(mean, np.mean(saved.layers[1](saved.layers[0](z)), axis=(0, 1, 2)), atol=1e-6)


@pytest.mark.slow
def test_a_running_process_keeps_others_out_and_saves_at_ctrl_c(tmp_path):
    write_pictures(tmp_path / "faces", blobs(40, 16))
    args = ["train-dcgan.py", *COMMON, *ENDLESS]
    with killed_at_last(process(*args), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        wait_for(lambda: len(checkpoints(tmp_path)) > 1, run)
        assert_fails(run_script(*args, cwd=tmp_path), 1, "another process writes into checkpoints")
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (130, "")
    assert_stopped_well(tmp_path, out)
    assert_works(run_script("train-dcgan.py", *COMMON, *SMALL, "--epoch", 1, cwd=tmp_path))


def test_sigterm_saves_and_stops(tmp_path):
    write_pictures(tmp_path / "faces", blobs(40, 16))
    ended = threading.Event()

    def stop():
        while not ended.wait(0.01):
            if len(checkpoints(tmp_path)) > 1:
                return os.kill(os.getpid(), signal.SIGTERM)

    earlier = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=stop)
    thread.start()
    try:
        result = run_script("train-dcgan.py", *COMMON, *ENDLESS, cwd=tmp_path)
    finally:
        ended.set()
        thread.join()
    assert (result.returncode, result.stderr) == (143, "")
    assert signal.getsignal(signal.SIGTERM) == earlier
    assert_stopped_well(tmp_path, result.stdout)


@contextmanager
def killed_at_last(*args, **kwargs):
    """A process that does not outlive a test that fails."""
    with subprocess.Popen(*args, **kwargs) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(moment, process):
    begun = time.monotonic()
    while not moment() and process.poll() is None:
        assert time.monotonic() - begun < 300
        time.sleep(0.01)


def everything(folder):
    """The newest checkpoint's variables by name, losses.csv's rows but for times, samples, TensorBoard's events."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(folder / "checkpoints"))
    names = [name for name in reader.get_variable_to_shape_map() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    events = {}  # TensorBoard shows the last of several values of a step
    for path in sorted((folder / "logs").glob("events.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            events |= {(value.tag, event.step): value.tensor.SerializeToString() for value in event.summary.value}
            events |= {("graph", 0): b""} if event.graph_def else {}
    return (
        {name: reader.get_tensor(name).tobytes() for name in names},
        [(row["step"], row["epoch"], *(row[name] for name in CURVES)) for row in losses(folder)],
        {path.name: path.read_bytes() for path in (folder / "samples").glob("*.png")},
        events,
    )


@pytest.mark.slow
def test_a_run_killed_at_any_moment_ends_as_one_that_was_not(tmp_path):
    """SIGKILL while it makes its directories, starts its logs, trains, and between its many checkpoints."""
    paths = write_pictures(tmp_path / "faces", blobs(20, 16))
    paths[3].write_text("no picture")
    args = ["train-dcgan.py", "--dataset", tmp_path / "faces", "--batch_size", 4, "--image_size", 16, "--flip", *SMALL]
    args += ["--epoch", 12, "--sample_interval", 7, "--checkpoint_interval", 2, "--keep", 2]
    for folder in (whole := tmp_path / "whole", killed := tmp_path / "killed"):
        folder.mkdir()
    assert_works(run_script(*args, cwd=whole))
    rng = random.Random(0)
    moments = [lambda: (killed / "checkpoints").exists(), lambda: (killed / "logs").exists()]
    moments += [lambda: max(checkpoints(killed), default=0) > reached] * 2
    for moment in moments:
        reached = max(checkpoints(killed), default=0)
        with killed_at_last(
            process(*args), cwd=killed, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as run:
            wait_for(moment, run)
            time.sleep(rng.random() * 0.2)
            run.kill()
            assert run.communicate()[1] == ""
    assert 0 < reached < 60
    assert_works(run_script(*args, cwd=killed))
    for ours, theirs in zip(everything(killed), everything(whole), strict=True):
        assert ours == theirs
    assert sorted(checkpoints(killed)) == [58, 60]
    seconds = [float(row["seconds"]) for row in losses(killed)]
    assert seconds == sorted(seconds)


def test_losses_after_the_last_checkpoint_of_a_killed_run_are_written_anew(trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    shutil.copytree(trained / "faces", tmp_path / "faces", dirs_exist_ok=True)
    with open(tmp_path / "logs" / "losses.csv", "a") as file:
        file.write("11,2,9,9,9,9,9,9\n12,2,9,")
    assert_works(run_script("train-dcgan.py", *COMMON, "--epoch", 3, cwd=tmp_path))
    rows = losses(tmp_path)
    assert [int(row["step"]) for row in rows] == list(range(1, 16))
    assert rows[10]["d_loss"] != "9"


def test_grey_pictures_of_any_size_and_a_set_smaller_than_a_batch(tmp_path):
    write_pictures(tmp_path / "faces", blobs(3, 24))
    (tmp_path / "faces" / "damaged.png").write_bytes(b"\x89PNG\r\n")
    Image.new("RGBA", (24, 24)).save(tmp_path / "faces" / "001.png")
    result = run_script(
        "train-dcgan.py", "--dataset", "faces", "--image_size", 8, "--c_dim", 1, "--epoch", 2, "--flip", cwd=tmp_path
    )
    assert_works(result)
    assert result.stdout.count("000.png is not 8x8: such pictures are cropped") == 1
    assert result.stdout.count("skipped: cannot read the picture faces/damaged.png") == 1
    assert "1 of 4 pictures could not be read" in result.stdout
    assert "1 of 4 pictures are partly transparent and were composed over gray" in result.stdout
    assert len(losses(tmp_path)) == 2
    assert np.asarray(Image.open(tmp_path / "samples" / "train_01_0001.png")).shape == (64, 64)


def test_start_from_another_model(trained, tmp_path):
    result = run_script(
        "train-dcgan.py",
        *COMMON,
        "--dataset",
        trained / "faces",
        "--epoch",
        1,
        "--train_size",
        4,
        "--learning_rate",
        1e-9,
        "--ema",
        0,
        "--init",
        trained / "checkpoints",
        cwd=tmp_path,
    )
    assert_works(result)
    assert len(losses(tmp_path)) == 1
    kept = [np.allclose(a, b, atol=1e-6) for a, b in zip(weights(trained), weights(tmp_path), strict=True)]
    assert sum(kept) >= len(kept) - 8  # all but the moving statistics


def test_start_from_a_model_of_smaller_pictures(trained, tmp_path):
    args = ["--dataset", trained / "faces", "--epoch", 1, "--train_size", 4, "--init", trained / "checkpoints"]
    assert_fails(run_script("train-dcgan.py", *args, "--image_size", 8, cwd=tmp_path), 1, "--image_size 16, not 8")
    assert_works(run_script("train-dcgan.py", *args, "--image_size", 32, cwd=tmp_path))
    theirs = DCGAN.load(trained / "checkpoints").options
    assert DCGAN.load(tmp_path / "checkpoints").options == theirs.doubled()


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ([], 2, ["--dataset"]),
        (["--dataset", "missing"], 1, ["no folder missing"]),
        (["--dataset", "empty"], 1, ["no pictures in empty"]),
        (["--dataset", "damaged"], 1, ["none of the 1 pictures"]),
        (["--dataset", "faces", "--image_size", 60], 2, ["60", "power of two"]),
        (["--dataset", "faces", "--c_dim", 2], 2, ["--c_dim"]),
        (["--dataset", "faces", "--epoch", 0], 2, ["--epoch"]),
        (["--dataset", "faces", "--learning_rate", "fast"], 2, ["--learning_rate"]),
        (["--dataset", "faces", "--init", "empty"], 1, ["no model in empty"]),
        (["--dataset", "faces", "--gf_dim", "64,x"], 2, ["--gf_dim"]),
        (["--dataset", "faces", "--gf_dim", "64,32"], 2, ["gf_dim has 2 numbers"]),
        (["--dataset", "faces", "--image_size", 16, "--checkpoint_dir", "empty/file/x"], 1, ["empty/file"]),
    ],
)
def test_bad_calls(tmp_path, args, code, words):
    write_pictures(tmp_path / "faces", blobs(2, 16))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "file").touch()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "x.jpg").write_bytes(b"\xff\xd8\xff")
    assert_fails(run_script("train-dcgan.py", *args, cwd=tmp_path), code, *words)
    assert not any((tmp_path / name).exists() for name in ("checkpoints", "samples", "logs", "digits"))


@pytest.mark.slow
def test_a_closed_pipe_ends_training_quietly_and_saves(tmp_path):
    write_pictures(tmp_path / "faces", blobs(20, 16))
    command = shlex.join(process("train-dcgan.py", *COMMON, *SMALL, "--epoch", 100000, "--sample_interval", 5))
    command += " 2>stderr | head -2 >head; exit ${PIPESTATUS[0]}"
    assert subprocess.run(["bash", "-c", command], cwd=tmp_path, timeout=300).returncode == 141
    assert (tmp_path / "stderr").read_text() == ""
    assert len((tmp_path / "head").read_text().splitlines()) == 2
    (stopped,) = [step for step in checkpoints(tmp_path) if step]
    assert len(list((tmp_path / "samples").glob("*.png"))) == stopped // 5
    assert [int(row["step"]) for row in losses(tmp_path)] == list(range(1, stopped + 1))


def test_training_where_nothing_can_be_written_but_in_the_named_directories(tmp_path):
    write_pictures(tmp_path / "faces", blobs(8, 16))
    named = [arg for name in ("checkpoint", "sample", "log") for arg in (f"--{name}_dir", tmp_path / name)]
    command = ["--dataset", tmp_path / "faces", "--image_size", 16, "--epoch", 1, *named]
    before = sorted(tmp_path.iterdir())
    assert_works(run_script("train-dcgan.py", *command, cwd=Path("/proc")))
    assert sorted(tmp_path.iterdir()) == sorted(
        [*before, *(tmp_path / name for name in ("checkpoint", "sample", "log"))]
    )


def test_a_loss_that_is_not_finite_stops_the_run(trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    before = {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").glob("dcgan-*")}
    command = ["train-dcgan.py", *COMMON, "--epoch", 50, "--sample_interval", 2, "--learning_rate", 1e30]
    assert_fails(run_script(*command, cwd=tmp_path), 1, "not finite at step 1", "--learning_rate")
    assert {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").glob("dcgan-*")} == before
    assert_works(run_script("train-dcgan.py", *COMMON, "--epoch", 3, cwd=tmp_path))
    assert [int(row["step"]) for row in losses(tmp_path)] == list(range(1, 16))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--z_dim", 50], "--z_dim 100, not 50"),
        (["--gf_dim", 32], "--gf_dim 64, not 32"),
        (["--df_dim", "3,4"], "--df_dim 64, not 3,4"),
        (["--c_dim", 1], "--c_dim 3, not 1"),
    ],
)
def test_networks_are_not_changed_by_a_run(trained, option, words):
    assert_fails(run_script("train-dcgan.py", *COMMON, "--epoch", 9, *option, cwd=trained), 1, words, "checkpoint_dir")


def test_another_model_does_not_write_over_the_losses_of_the_first(trained):
    before = losses(trained)
    result = run_script("train-dcgan.py", *COMMON, "--epoch", 1, "--checkpoint_dir", "second", cwd=trained)
    assert_fails(result, 1, "logs holds the losses of another run", "--log_dir")
    assert losses(trained) == before
    assert not (trained / "second").exists()


def test_a_model_of_another_size_is_not_overwritten(trained):
    before = weights(trained)
    result = run_script("train-dcgan.py", "--dataset", "faces", "--image_size", 8, "--epoch", 9, cwd=trained)
    assert_fails(result, 1, "--image_size 16", "not 8", "--checkpoint_dir")
    assert all((a == b).all() for a, b in zip(before, weights(trained), strict=True))
