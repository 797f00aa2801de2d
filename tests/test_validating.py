"""Samples measured by real pictures: while a model is trained, and afterwards by evaluate.py --samples."""

import csv
import json
import shutil

import numpy as np
import pytest
from conftest import ROOT, assert_fails, assert_works, blobs, run_script, write_pictures

from images.decoding import read_picture
from kernels.tensorflow import tf
from model import DCGAN
from ops import to_uint8
from outputs import Outputs

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


def test_what_was_not_measured_is_made_up_for(run, tmp_path):
    """As after a kill between a checkpoint and its measure."""
    shutil.copytree(run, tmp_path / "here")
    path = tmp_path / "here" / "logs" / "validation.csv"
    rows = path.read_text().splitlines(True)
    path.write_text("".join(rows[:-1]) + "6,10,12")
    assert_works(run_script("train-dcgan.py", *TRAIN, "--epoch", 4, cwd=tmp_path / "here"))
    assert path.read_text().splitlines(True)[:-1] == rows


@pytest.mark.parametrize("lost", ["json", "other pictures", "later"])
def test_a_model_that_others_have_chosen_is_not_replaced(run, tmp_path, lost):
    here = tmp_path / "here"
    shutil.copytree(run, here)
    best = here / "checkpoints" / "best"
    args = [*TRAIN, "--epoch", 4]
    if lost == "json":
        (best / "validation.json").write_text("{")
    elif lost == "other pictures":
        args += ["--validation", "faces/more"]
        write_pictures(here / "faces" / "more", blobs(10, 16, seed=7))
    else:  # an earlier checkpoint is gone on from: the run begins anew
        (here / "checkpoints" / "run.json").unlink()
        shutil.rmtree(here / "logs")
        shutil.rmtree(here / "samples")
    before = sorted(path.name for path in best.iterdir())
    assert_fails(run_script("train-dcgan.py", *args, cwd=here), 1, "checkpoints/best", "--validation")
    assert sorted(path.name for path in best.iterdir()) == before


def test_the_nearest_is_alone_in_its_folder(run, tmp_path):
    """Also where it is of an earlier step than the one before, as after a checkpoint was lost."""
    here = tmp_path / "here"
    shutil.copytree(run, here)
    best = here / "checkpoints" / "best"
    chosen = json.loads((best / "validation.json").read_text())
    DCGAN(16, gf_dim=4, df_dim=4).save(best)  # of step 0
    (old,) = (path.stem for path in best.glob("*.index") if path.stem != "dcgan-0")
    for path in best.glob(f"{old}.*"):
        path.rename(best / path.name.replace(old, "dcgan-99"))
    (best / "validation.json").write_text(json.dumps(chosen | {"sliced_wasserstein": 1e9}))
    for path in (best / "validation.json", *best.glob("dcgan-99.*")):
        Outputs(best).adopt(path.name)
    assert_works(run_script("train-dcgan.py", *TRAIN, "--epoch", 4, cwd=here))
    assert [path.stem for path in best.glob("*.index")] == ["dcgan-8"]
    assert json.loads((best / "validation.json").read_text())["step"] == 8


def test_what_is_validated_by_is_not_trained_on(tmp_path):
    write_pictures(tmp_path / "faces", blobs(8, 16))
    write_pictures(tmp_path / "faces" / "others", blobs(3, 16, seed=1))
    ended = run_script("train-dcgan.py", *TRAIN, "--epoch", 1, "--validation", "faces/others", cwd=tmp_path)
    assert_works(ended)
    assert "8 pictures of 16x16" in ended.stdout


@pytest.mark.parametrize(("folder", "words"), [("nowhere", "nowhere"), ("one", "two pictures"), (".", "lies in")])
def test_a_bad_folder_to_validate_by_begins_nothing(tmp_path, folder, words):
    write_pictures(tmp_path / "faces", blobs(8, 16))
    write_pictures(tmp_path / "one", blobs(1, 16))
    ended = run_script("train-dcgan.py", *TRAIN, "--epoch", 9, "--validation", folder, cwd=tmp_path)
    assert_fails(ended, 1, words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces", "one"]


def test_samples_are_measured_by_half_of_the_pictures(run):
    dcgan = DCGAN.load(run / "checkpoints")
    z = np.random.default_rng(0).uniform(-1, 1, (6, dcgan.z_dim)).astype(np.float32)
    samples = to_uint8(dcgan.generator(z))
    write_pictures(run / "pictures", np.concatenate([samples, blobs(6, 16)]))
    assert_works(run_script("evaluate.py", "pictures", "--samples", "--checkpointDir", "checkpoints", cwd=run))
    of_samples, real = rows_of(run / "evaluation" / "generator.csv")
    assert (of_samples["set"], real["set"], real["pictures"]) == ("samples", "real", "6")
    assert 2 * float(of_samples["swd"]) < float(real["swd"])  # the reference is what this z gives
    assert "frechet" not in real  # dlib finds no face there
    np.testing.assert_array_equal(read_picture(run / "evaluation" / "generator.png")[:, :32], np.hstack(samples[:2]))


@pytest.mark.slow
def test_faces_are_measured_as_faces(tmp_path):
    sheet = read_picture(ROOT / "checkpoints" / "pretrained" / "samples.png")
    tiles = sheet.reshape(4, 64, 16, 64, 3).swapaxes(1, 2).reshape(64, 64, 64, 3)
    write_pictures(tmp_path / "faces", tiles[:24])
    assert_works(run_script("evaluate.py", "faces", "--samples", "--faces", 16, cwd=tmp_path))
    of_samples, real = rows_of(tmp_path / "evaluation" / "generator.csv")
    assert of_samples["pictures"] == "8" and min(float(of_samples["found"]), float(real["found"])) > 0.8
    assert 0 < float(of_samples["frechet"]) < 1


@pytest.mark.parametrize("also", [["--photo"], ["--masks", "half"], ["--methods", "default"], ["--seed", 1]])
def test_samples_exclude_what_is_of_completions(tmp_path, also):
    assert_fails(run_script("evaluate.py", "x", "--samples", *also, cwd=tmp_path), 2, "--samples", also[0])


def test_too_few_pictures(tmp_path):
    write_pictures(tmp_path / "faces", blobs(3, 16))
    assert_fails(run_script("evaluate.py", "faces", "--samples", cwd=tmp_path), 1, "faces has 3 readable pictures", "4")
    assert_fails(run_script("evaluate.py", "faces", "--samples", "--faces", 3, cwd=tmp_path), 2, "--faces", "4")
