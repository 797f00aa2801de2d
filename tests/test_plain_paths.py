"""Models and events in directories of any name, behind links, and while another process replaces them."""

import os

import numpy as np
import pytest
import tensorflow as tf

from dcgan import checkpoints
from dcgan.options import NetworkOptions
from kernels.tensorflow import event_writer, plain_path
from model import DCGAN
from ops import to_uint8
from utils import UserError

ODD = ["ck[1]/ck", "b\\s", "a*?", "line\nbreak", os.fsdecode(b"x\xff")]


@pytest.fixture(scope="module")
def dcgan():
    return DCGAN(8, gf_dim=4, df_dim=4)


def steps(path):
    with plain_path(path) as plain:
        events = map(tf.compat.v1.Event.FromString, tf.data.TFRecordDataset(plain).as_numpy_iterator())
        return [event.step for event in events if event.summary.value]


def write_events(directory, *numbers, suffix=None):
    with event_writer(directory, suffix).as_default():
        for number in numbers:
            tf.summary.scalar("x", 0.5, step=number)


@pytest.mark.parametrize("name", ODD)
def test_a_model_in_a_directory_of_any_name(dcgan, tmp_path, name):
    dcgan.save(tmp_path / name)
    assert sorted(os.listdir(tmp_path / name)) == [
        ".dcgan-completion",
        "checkpoint",
        "config.json",
        "dcgan-0.data-00000-of-00001",
        "dcgan-0.index",
    ]
    loaded = DCGAN.load(tmp_path / name)
    for ours, theirs in zip(loaded.generator.get_weights(), dcgan.generator.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ODD)
def test_a_tensorflow_1_model_of_any_name(tmp_path, name):
    """It is found, and read under its own name: what it holds is no DCGAN."""
    directory = tmp_path / name
    directory.mkdir(parents=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("other", [1])
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(tmp_path / "model"), write_meta_graph=False)
    for file in tmp_path.glob("model.*"):
        file.rename(directory / file.name.replace("model", "m[o]del"))
    with pytest.raises(UserError, match="holds the variable other"):
        DCGAN.load(directory)


@pytest.mark.parametrize("name", ODD)
def test_events_in_a_directory_of_any_name(tmp_path, name):
    (tmp_path / name).mkdir(parents=True)
    write_events(tmp_path / name, 1, 2, 3)
    (events,) = (tmp_path / name).iterdir()
    assert steps(events) == [1, 2, 3]


@pytest.mark.parametrize("kind", ["link", "dangling"])
def test_a_link_is_not_followed_by_a_save(dcgan, tmp_path, kind):
    outside, directory = tmp_path / "outside", tmp_path / "ck"
    outside.mkdir()
    directory.mkdir()
    (outside / "mine.txt").touch()
    (directory / checkpoints.SAVING).symlink_to(outside if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(UserError, match="cannot write into"):
        dcgan.save(directory)
    assert os.listdir(outside) == ["mine.txt"] and not (tmp_path / "nowhere").exists()


def test_a_checkpoint_that_is_replaced_while_it_is_read(dcgan, tmp_path, monkeypatch, capsys):
    """As by a training with --keep 1: the first three that are found go before they are opened."""
    load, replaced = tf.train.load_checkpoint, []
    dcgan.save(tmp_path)

    def late(path):
        if len(replaced) < 3:
            replaced.append(path)
            dcgan.step.assign_add(1)
            dcgan.save(tmp_path, keep=1)
        return load(path)

    monkeypatch.setattr(tf.train, "load_checkpoint", late)
    assert int(DCGAN.load(tmp_path).step) == int(dcgan.step) == 3
    assert capsys.readouterr().out == ""


def test_a_config_of_huge_networks_is_not_built(dcgan, tmp_path, monkeypatch):
    dcgan.save(tmp_path)
    huge = NetworkOptions(8, z_dim=65536, gf_dim=2048)
    monkeypatch.setattr(checkpoints, "read_config", lambda directory: huge)
    monkeypatch.setattr(DCGAN, "__init__", lambda *args, **kwargs: pytest.fail("networks were built"))
    with pytest.raises(UserError, match=r"other networks than config\.json"):
        DCGAN.load(tmp_path)


def test_pixels_that_are_no_numbers(recwarn):
    np.testing.assert_array_equal(
        to_uint8(np.float32([np.nan, -np.inf, np.inf, -1, 1, 3e38])), [0, 0, 255, 0, 255, 255]
    )
    assert not recwarn.list
