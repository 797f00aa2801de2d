"""Samples measured by real pictures: while a model is trained, and afterwards by evaluate.py --samples."""

import csv

import numpy as np
import pytest
from conftest import ROOT, assert_fails, assert_works, blobs, run_script, write_pictures

from model import DCGAN
from ops import tf, to_uint8
from pictures.files import read_picture

TRAIN = ["--dataset", "faces", "--validation", "others", "--batch_size", 4, "--image_size", 16, "--gf_dim", 4]
TRAIN += ["--df_dim", 4, "--keep", 9, "--checkpoint_interval", 2, "--precision", "float32"]


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Six steps, of which the last two came after the run had ended."""
    folder = tmp_path_factory.mktemp("validated")
    write_pictures(folder / "faces", blobs(8, 16))
    write_pictures(folder / "others", blobs(10, 16, seed=1))
    for epochs in (2, 3):
        result = run_script("train-dcgan.py", *TRAIN, "--epoch", epochs, cwd=folder)
        assert_works(result)
        (folder / f"stdout{epochs}").write_text(result.stdout)
    return folder


def test_each_checkpoint_is_measured_once(run):
    rows = rows_of(run / "logs" / "validation.csv")
    assert [(row["step"], row["pictures"]) for row in rows] == [("2", "10"), ("4", "10"), ("6", "10")]
    dcgan = DCGAN.load(run / "checkpoints")
    z = np.random.default_rng(0).uniform(-1, 1, (10, dcgan.z_dim)).astype(np.float32)
    samples = to_uint8(dcgan.generator(z))
    alike = tf.image.ssim_multiscale(tf.constant(samples[:5]), tf.constant(samples[5:]), 255, [1.0])
    assert float(rows[-1]["ms_ssim"]) == pytest.approx(float(np.mean(alike)), rel=1e-3)
    assert "validation at step 6, 10 pictures" in (run / "stdout3").read_text()


def test_the_nearest_is_kept(run):
    rows = rows_of(run / "logs" / "validation.csv")
    nearest = min(rows, key=lambda row: float(row["sliced_wasserstein"]))
    best = [path.stem for path in (run / "checkpoints" / "best").glob("*.index")]
    assert best == [f"dcgan-{nearest['step']}"]
    kept = tf.train.load_checkpoint(str(run / "checkpoints" / best[0]))
    for name in kept.get_variable_to_shape_map():
        if name.startswith("generator/"):
            of_best = tf.train.load_checkpoint(str(run / "checkpoints" / "best" / best[0])).get_tensor(name)
            np.testing.assert_array_equal(of_best, kept.get_tensor(name))


def test_tensorboard_shows_it(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "logs"), {"tensors": 0})
    events.Reload()
    for name in ("sliced_wasserstein", "ms_ssim"):
        points = [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events.Tensors(name)]
        rows = rows_of(run / "logs" / "validation.csv")
        assert points == [(int(row["step"]), pytest.approx(float(row[name]), rel=1e-3)) for row in rows]


def test_a_folder_to_validate_by_that_is_none(run):
    result = run_script("train-dcgan.py", *TRAIN, "--epoch", 9, "--validation", "nowhere", cwd=run)
    assert_fails(result, 1, "nowhere")
    assert len(rows_of(run / "logs" / "losses.csv")) == 6


def test_samples_are_measured_by_half_of_the_pictures(run):
    dcgan = DCGAN.load(run / "checkpoints")
    z = np.random.default_rng(0).uniform(-1, 1, (6, dcgan.z_dim)).astype(np.float32)
    samples = to_uint8(dcgan.generator(z))
    write_pictures(run / "pictures", np.concatenate([samples, blobs(6, 16)]))
    assert_works(run_script("evaluate.py", "pictures", "--samples", cwd=run))
    of_samples, real = rows_of(run / "evaluation" / "samples.csv")
    assert (of_samples["set"], real["set"], real["pictures"]) == ("samples", "real", "6")
    assert 2 * float(of_samples["swd"]) < float(real["swd"])  # the reference is what this z gives
    assert "frechet" not in real  # dlib finds no face there
    np.testing.assert_array_equal(read_picture(run / "evaluation" / "samples.png")[:, :32], np.hstack(samples[:2]))


def test_faces_are_measured_as_faces(tmp_path):
    sheet = read_picture(ROOT / "checkpoints" / "pretrained" / "samples.png")
    tiles = sheet.reshape(4, 64, 16, 64, 3).swapaxes(1, 2).reshape(64, 64, 64, 3)
    write_pictures(tmp_path / "faces", tiles[:24])
    assert_works(run_script("evaluate.py", "faces", "--samples", "--faces", 16, cwd=tmp_path))
    of_samples, real = rows_of(tmp_path / "evaluation" / "samples.csv")
    assert of_samples["pictures"] == "8" and min(float(of_samples["found"]), float(real["found"])) > 0.8
    assert 0 < float(of_samples["frechet"]) < 1


@pytest.mark.parametrize("also", [["--photo"], ["--masks", "half"], ["--methods", "default"]])
def test_samples_exclude_what_is_of_completions(tmp_path, also):
    assert_fails(run_script("evaluate.py", "x", "--samples", *also, cwd=tmp_path), 2, "--samples", also[0])


def test_too_few_pictures(tmp_path):
    write_pictures(tmp_path / "faces", blobs(3, 16))
    assert_fails(run_script("evaluate.py", "faces", "--samples", cwd=tmp_path), 1, "4 or more")
