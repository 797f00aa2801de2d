"""Checkpoints as the post's repository wrote them, made here by TensorFlow 1 graphs of plain operations."""

from pathlib import Path

import numpy as np
import pytest
from conftest import assert_fails, assert_works, blobs, run_script, write_pictures

from dcgan.directories import model_directory
from kernels.tensorflow import tf
from model import DCGAN
from utils import UserError

v1 = tf.compat.v1
rng = np.random.default_rng(5)

# How the two layouts differ: channels of G's and D's feature maps, D's names, whether Adam's slots are there.
SMALL = {"g": [16, 8, 4], "d": [2, 4, 8], "lin": "d_h3_lin", "bn": 1, "slots": True}
PUBLISHED = {"g": [512, 256, 128, 64], "d": [64, 128, 256, 512], "lin": "d_h3_lin", "bn": 1, "slots": False}
LATER = {"g": [48, 48, 24, 12], "d": [6, 12, 24, 48], "lin": "d_h4_lin", "bn": 0, "slots": True}
TINY = {"g": [8, 8, 4], "d": [2, 4, 8], "lin": "d_h3_lin", "bn": 0, "slots": False}
Z, X = np.zeros((1, 100), np.float32), np.zeros((1, 32, 32, 3), np.float32)  # where what is computed is not looked at


def variable(name, shape, around=0.0):
    return v1.get_variable(name, initializer=rng.normal(around, 0.05, shape).astype(np.float32))


def batch_norm(x, name):
    with v1.variable_scope(name):
        n = x.shape[-1]
        beta, gamma = variable("beta", [n]), variable("gamma", [n], 1.0)
        mean, variance = variable("moving_mean", [n]), variable("moving_variance", [n], 1.0)
    return (x - mean) / tf.sqrt(variance + 1e-5) * gamma + beta


def linear(x, units, name):
    with v1.variable_scope(name):
        return x @ variable("Matrix", [x.shape[-1], units]) + variable("bias", [units])


def generator(z, dims, c_dim):
    with v1.variable_scope("generator"):
        x = tf.reshape(linear(z, 16 * dims[0], "g_h0_lin"), [-1, 4, 4, dims[0]])
        x = tf.nn.relu(batch_norm(x, "g_bn0"))
        for i, channels in enumerate([*dims[1:], c_dim], 1):
            with v1.variable_scope(f"g_h{i}"):
                w, biases = variable("w", [5, 5, channels, x.shape[-1]]), variable("biases", [channels])
            side = 2 * x.shape[1]
            x = tf.nn.conv2d_transpose(x, w, [tf.shape(z)[0], side, side, channels], 2) + biases
            x = tf.tanh(x) if i == len(dims) else tf.nn.relu(batch_norm(x, f"g_bn{i}"))
        return x


def discriminator(x, dims, lin, first_bn):
    with v1.variable_scope("discriminator"):
        for i, channels in enumerate(dims):
            with v1.variable_scope(f"d_h{i}_conv"):
                w, biases = variable("w", [5, 5, x.shape[-1], channels]), variable("biases", [channels])
            x = tf.nn.conv2d(x, w, 2, "SAME") + biases
            x = batch_norm(x, f"d_bn{i - 1 + first_bn}") if i else x
            x = tf.maximum(x, 0.2 * x)
        return linear(tf.reshape(x, [-1, 16 * dims[-1]]), 1, lin)


def write_checkpoint(folder, layout, z, x, version=2, extra=None, step=7):
    """Writes DCGAN.model-STEP of random weights; returns what its graph makes of z and x."""
    folder.mkdir()
    with tf.Graph().as_default(), v1.Session() as session:
        images = generator(tf.constant(z), layout["g"], x.shape[-1])
        logits = discriminator(tf.constant(x), layout["d"], layout["lin"], layout["bn"])
        if layout["slots"]:
            v1.train.AdamOptimizer(beta1=0.5).minimize(tf.reduce_sum(images) + tf.reduce_sum(logits))
        if extra:
            v1.get_variable(extra, initializer=0.0)
        session.run(v1.global_variables_initializer())
        v1.train.Saver(write_version=version).save(session, str(folder / "DCGAN.model"), global_step=step)
        return session.run([images, logits])


@pytest.mark.parametrize(("layout", "version"), [(PUBLISHED, 2), (LATER, 2), (LATER, 1), (SMALL, 2)])
@pytest.mark.slow
def test_networks_equal_those_of_the_original_graph(tmp_path, layout, version):
    shape = (3, 32, 32, 1) if layout is SMALL else (3, 64, 64, 3)
    z, x = rng.uniform(-1, 1, (3, 100)).astype(np.float32), rng.uniform(-1, 1, shape).astype(np.float32)
    images, logits = write_checkpoint(tmp_path / "model", layout, z, x, version)
    dcgan = DCGAN.load(tmp_path / "model")
    np.testing.assert_allclose(dcgan.generator(z), images, atol=1e-5)
    np.testing.assert_allclose(dcgan.discriminator(x), logits, rtol=1e-4, atol=1e-5)
    assert images.std() > 0.01 and logits.std() > 0
    assert (dcgan.options.g_dims, dcgan.options.d_dims, int(dcgan.step)) == (layout["g"], layout["d"], 7)
    dcgan.save(tmp_path / "ours")
    assert DCGAN.load(tmp_path / "ours").options == dcgan.options


def test_complete_and_train_from_one(tmp_path):
    write_checkpoint(tmp_path / "checkpoints", TINY, Z, X)
    faces = write_pictures(tmp_path / "faces", blobs(2, 32))
    assert_works(run_script("complete.py", faces[0], "--nIter", 1, "--start", "random", cwd=tmp_path))
    into_it = run_script("train-dcgan.py", "--dataset", "faces", "--epoch", 1, cwd=tmp_path)
    assert_fails(into_it, 1, "checkpoints holds a TensorFlow 1 model", "--init")
    (tmp_path / "checkpoints").rename(tmp_path / "theirs")
    command = ["train-dcgan.py", "--dataset", "faces", "--epoch", 1, "--init", "theirs"]
    assert_fails(run_script(*command, "--gf_dim", 64, cwd=tmp_path), 1, "--gf_dim 8,8,4, not 64")
    assert_works(run_script(*command, cwd=tmp_path))
    again = run_script(*command, cwd=tmp_path)
    assert_works(again)
    assert "is reached already" in again.stdout


def test_the_newest_is_taken_and_the_default_directory_may_hold_one(tmp_path, monkeypatch):
    write_checkpoint(tmp_path / "checkpoints", TINY, Z, X)
    for file in list((tmp_path / "checkpoints").glob("DCGAN.model-7.*")):
        file.with_name(file.name.replace("-7.", "-13.")).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    directory = model_directory(Path("checkpoints"))
    assert directory == Path("checkpoints")
    assert int(DCGAN.load(directory).step) == 13


@pytest.mark.parametrize(("step", "version"), [(None, 2), (1, 2), (1, 1)])
def test_a_checkpoint_of_the_first_step_or_of_none(tmp_path, step, version):
    write_checkpoint(tmp_path / "model", TINY, Z, X, version, step=step)
    assert int(DCGAN.load(tmp_path / "model").step) == (step or 0)


@pytest.mark.parametrize(
    ("change", "extra", "words"),
    [
        ({}, "generator/g_bn9/gamma", "g_bn9/gamma"),
        ({}, "generator/encoder/w", "generator/encoder/w"),
        ({"lin": "d_lin"}, None, "d_lin"),
        ({"g": [8, 4]}, None, "gf_dim|df_dim"),
    ],
)
def test_every_variable_is_accounted_for(tmp_path, change, extra, words):
    write_checkpoint(tmp_path / "model", {**TINY, **change}, Z, X, extra=extra)
    with pytest.raises(UserError, match=words):
        DCGAN.load(tmp_path / "model")


def test_a_damaged_one(tmp_path):
    write_checkpoint(tmp_path / "model", TINY, Z, X)
    data = next((tmp_path / "model").glob("*.data-*"))
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(UserError, match="damaged"):
        DCGAN.load(tmp_path / "model")
