"""Checkpoints that are damaged, too many, or cannot be written."""

import json
import os
import random
import resource
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from conftest import blobs

from dcgan import checkpoints
from dcgan.options import NetworkOptions, TrainOptions
from kernels.tensorflow import tf
from model import DCGAN
from outputs import LIST
from utils import UserError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A directory with the checkpoints of steps 1 and 2, with training state."""
    directory = tmp_path_factory.mktemp("saved")
    dcgan = DCGAN(8, gf_dim=4, df_dim=4)
    for state in dcgan.train(blobs(4, 8), TrainOptions(epochs=2)):
        dcgan.save(directory)
        assert checkpoints.checkpoints(directory)[-1] == state.step
    return directory


def names(directory):
    """What the directory holds besides the list of outputs."""
    return sorted(path.name for path in directory.iterdir() if path.name != LIST)


def test_the_newest_few_are_kept_and_nothing_else_is_left(tmp_path):
    dcgan = DCGAN(8, gf_dim=4, df_dim=4)
    (tmp_path / "notes.txt").touch()
    dcgan.step.assign(3)
    dcgan.save(tmp_path, keep=2)
    (tmp_path / "dcgan-3.index").unlink()  # what a kill between two files leaves
    for step in (9, 4, 20, 100):
        dcgan.step.assign(step)
        dcgan.save(tmp_path, keep=2)
    assert checkpoints.checkpoints(tmp_path) == [20, 100]
    files = [f"dcgan-{step}.{part}" for step in (100, 20) for part in ("data-00000-of-00001", "index")]
    assert names(tmp_path) == sorted(["checkpoint", "config.json", "notes.txt", *files])
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "dcgan-100")


class Killed(BaseException):
    """Nothing is tidied up after it, see below."""


def test_a_save_that_is_killed_at_any_file_leaves_a_whole_checkpoint(saved, tmp_path, monkeypatch):
    """Before each file operation of a save in turn, the process ends."""
    completed = False
    dcgan = DCGAN.load(saved, training=True)
    for moment in range(30):
        directory = tmp_path / str(moment)
        shutil.copytree(saved, directory)
        dcgan.step.assign(3)
        left = moment

        def counted(operation):
            def maybe(*args, **kwargs):
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                return operation(*args, **kwargs)

            return maybe

        with monkeypatch.context() as patch:
            for module, name in ((os, "replace"), (os, "fsync"), (shutil, "rmtree"), (Path, "unlink")):
                patch.setattr(module, name, counted(getattr(module, name)))
            try:
                dcgan.save(directory, keep=1)
                completed = True
            except Killed:
                pass
        step = checkpoints.read(directory, training=True).step
        assert step in ((3,) if completed else (2, 3))
        dcgan.step.assign(step)
        dcgan.save(directory, keep=1)
        files = [f"dcgan-{step}.{part}" for part in ("data-00000-of-00001", "index")]
        assert names(directory) == sorted(["checkpoint", "config.json", *files])
        if completed:
            break
    assert completed and moment > 8


def test_damage_of_any_kind_falls_back_or_is_named(saved, tmp_path, capsys):
    """Files cut, zeroed, overwritten and with bits flipped: the step before is read, or nothing, with one line."""
    for seed in range(40):
        rng = random.Random(seed)
        directory = tmp_path / str(seed)
        shutil.copytree(saved, directory)
        file = rng.choice(sorted(directory.glob("dcgan-2.*")))
        content = bytearray(file.read_bytes())
        place = rng.randrange(len(content))
        match seed % 4:
            case 0:
                del content[place:]
            case 1:
                content[place] ^= 1 << rng.randrange(8)
            case 2:
                content[place : place + 4000] = bytes(len(content[place : place + 4000]))
            case 3:
                content[place:place] = rng.randbytes(50)
        file.write_bytes(content)
        assert checkpoints.read(directory, training=True).step == 1
        assert capsys.readouterr().out == f"warning: {directory}/dcgan-2 is damaged; the checkpoint before it is used\n"
        file.with_name(file.name.replace("-2.", "-1.")).write_bytes(content[:10])
        with pytest.raises(UserError, match=r"no checkpoint in .* can be read"):
            checkpoints.read(directory, training=True)
        capsys.readouterr()


def test_after_a_fallback_the_damaged_one_is_written_anew(saved, tmp_path):
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    (tmp_path / "dcgan-2.index").write_bytes(b"damaged")
    dcgan = DCGAN.load(tmp_path, training=True)
    dcgan.save(tmp_path, keep=1)
    assert checkpoints.checkpoints(tmp_path) == [1, 2]  # a later one is nothing to delete
    for state in dcgan.train(blobs(4, 8), TrainOptions(epochs=2)):
        assert state.step == 2
        dcgan.save(tmp_path, keep=1)
    assert checkpoints.checkpoints(tmp_path) == [2]
    assert int(DCGAN.load(tmp_path).step) == 2
    (aside,) = tmp_path.glob("*.damaged-*")
    assert aside.read_bytes() == b"damaged" and aside.name.startswith("dcgan-2.index.")


def test_too_little_memory_is_not_taken_for_damage(saved, tmp_path, monkeypatch):
    def no_memory(*args):
        raise tf.errors.ResourceExhaustedError(None, None, "no memory")

    monkeypatch.setattr(tf.train, "load_checkpoint", no_memory)
    with pytest.raises(UserError, match=r"cannot read .*dcgan-2 \(no memory\)"):
        DCGAN.load(saved)


@contextmanager
def without_privileges():
    """Root may read every file, nobody (user 65534) may not."""
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("name", ["dcgan-2.index", "dcgan-2.data-00000-of-00001", "config.json"])
def test_a_file_that_may_not_be_read_is_an_error(saved, name):
    """It may be newer than every other one, so an older checkpoint is not used instead."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        directory = Path(shutil.copytree(saved, Path(folder, "copy")))
        directory.chmod(0o755)
        (directory / name).chmod(0)
        for training in (False, True):
            with without_privileges(), pytest.raises(PermissionError, match=name):
                DCGAN.load(directory, training)


@pytest.mark.parametrize("name", ["config.json", "checkpoint", "dcgan-2.index"])
def test_a_users_files_are_not_replaced(saved, tmp_path, name):
    dcgan = DCGAN.load(saved)
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=rf"{name} was not written by this program"):
        dcgan.save(tmp_path)
    assert name in names(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


CONFIG = asdict(NetworkOptions(8, gf_dim=4, df_dim=4))
CHANGES: list[dict] = [
    {"z_dim": 1e9},
    {"z_dim": 0},
    {"colour": 1},
    {"gf_dim": None},
    {"df_dim": [4, 4]},
]


@pytest.mark.parametrize(
    "config",
    [
        "",
        "[]",
        "1",
        "[" * 200000,
        *(json.dumps({**CONFIG, **change}) for change in CHANGES),
    ],
)
def test_a_damaged_config(saved, tmp_path, config):
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        DCGAN.load(tmp_path)


def test_other_networks_than_the_config_says(saved, tmp_path):
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    DCGAN(16, gf_dim=4, df_dim=4).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "config.json", tmp_path / "config.json")
    with pytest.raises(UserError, match=r"other networks than config\.json"):
        DCGAN.load(tmp_path)


def test_a_checkpoint_that_does_not_fit_on_the_disk(saved, tmp_path):
    """A limit on the size of files stands in for a full disk."""
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    dcgan = DCGAN.load(tmp_path, training=True)
    dcgan.step.assign(3)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, unlimited[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write into .* free some space"):
            dcgan.save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


def test_weights_that_are_not_finite_are_not_saved(saved, tmp_path):
    dcgan = DCGAN.load(saved, training=True)
    dcgan.training.generator.get_layer("g_h0_lin").bias.assign(np.full(64, np.nan))
    with pytest.raises(UserError, match="not finite after step 2"):
        dcgan.save(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("training", [False, True])
def test_everything_that_was_stored_is_read(saved, training):
    dcgan = DCGAN.load(saved, training=True)
    stored = checkpoints.read(saved, training)
    expected = {name: variable.numpy() for name, variable in dcgan.named_variables().items() if name != "step"}
    if not training:
        expected = {
            name: value for name, value in expected.items() if name.startswith(("generator/", "discriminator/"))
        }
    assert (stored.path, stored.options, stored.step) == (saved / "dcgan-2", dcgan.options, 2)
    assert stored.values.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(stored.values[name], value, err_msg=name)


@pytest.mark.parametrize("missing", ["generator/g_h1/bias", "generator/g_bn0/gamma", "discriminator/d_h1_lin/kernel"])
def test_a_checkpoint_that_lacks_a_variable(saved, tmp_path, missing):
    dcgan = DCGAN.load(saved)
    variables = dcgan.named_variables()
    del variables[missing]
    checkpoints.write(tmp_path, dcgan.options, variables, step=2, keep=1)
    with pytest.raises(UserError, match=r"incompatible checkpoint .* is missing|no checkpoint in .* can be read"):
        DCGAN.load(tmp_path)


def test_a_model_in_half_precision_is_rounded_and_without_training_state(saved, tmp_path):
    dcgan = DCGAN.load(saved, training=True)
    dcgan.save(tmp_path, half=True)
    stored = checkpoints.read(tmp_path, training=False)
    assert {value.dtype for value in stored.values.values()} == {np.dtype(np.float16)} and stored.step == 2
    with pytest.raises(UserError, match="no training state"):
        DCGAN.load(tmp_path, training=True)
    loaded = {name: variable.numpy() for name, variable in DCGAN.load(tmp_path).named_variables().items()}
    for name, value in loaded.items():
        expected = dcgan.named_variables()[name].numpy()
        assert value.dtype == expected.dtype
        np.testing.assert_allclose(value, expected, rtol=2**-11, atol=2**-25, err_msg=name)
