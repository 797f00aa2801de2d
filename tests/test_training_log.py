"""What the log says when training goes wrong, and what is cut off when a run is resumed."""

import numpy as np
import pytest
from conftest import blobs

from jobs.train.log import TrainingLog
from jobs.train.samples import Samples
from kernels.tensorflow import tf
from model import DCGAN, TrainStep
from outputs import Outputs
from utils import UserError


def new_log(folder, step=0):
    dcgan = DCGAN(8, gf_dim=4, df_dim=4)
    dcgan.step.assign(step)
    return TrainingLog(dcgan, Outputs(folder / "logs"), "run", 10**6)


@pytest.fixture
def log(tmp_path):
    return new_log(tmp_path)


@pytest.fixture
def samples(log, tmp_path):
    return Samples(log.dcgan, blobs(20, 8), Outputs(tmp_path / "samples"), log, seed=0)


def sample(samples, *steps):
    for step in steps:
        samples.write(state(step))
        samples.log.say()


def state(step, *d_losses, g_loss=1.0):
    z, logits = np.zeros((4, 100), np.float32), np.zeros((4, 1), np.float32)
    losses = np.float32([[d_loss, d_loss / 2, d_loss / 2, g_loss] for d_loss in d_losses or (1.0,)])
    return TrainStep(step, 0, step, 10**6, losses, z, logits, logits)


def record(log, first_step, d_losses):
    for step, d_loss in enumerate(d_losses, first_step):
        log.record(state(step, d_loss))
    log.flush()
    log.say()


def warnings(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]


def test_a_discriminator_that_has_won_is_said_once(log, capsys):
    rng = np.random.default_rng(0)
    record(log, 1, rng.uniform(0.2, 1.4, 300))  # as it goes where training goes well, with some steps near 0
    record(log, 301, rng.uniform(0.0, 0.02, 150))
    assert warnings(capsys) == []
    record(log, 451, rng.uniform(0.0, 0.02, 300))
    (warning,) = warnings(capsys)
    step = int(warning.split("at step ")[1].split()[0])
    assert 451 <= step <= 500 and "D has won" in warning and "--learning_rate" in warning


def test_samples_that_are_alike_are_said_once(samples, capsys):
    sample(samples, 10, 190)  # too early for them to differ
    assert warnings(capsys) == []
    sample(samples, 300, 400, 500)  # those of an untrained generator are all gray
    (warning,) = warnings(capsys)
    assert "at step 300 samples are alike" in warning and "--learning_rate" in warning


def test_samples_that_differ_are_not_warned_of(log, samples, capsys):
    log.dcgan.generator.get_layer("g_h1").kernel.assign(tf.random.stateless_normal((5, 5, 3, 4), [0, 0]))
    sample(samples, 300, 400, 500)
    assert warnings(capsys) == []


def test_samples_change_nothing(log, samples, tmp_path):
    before = [variable.numpy() for variable in log.dcgan.generator.variables]
    sample(samples, 2)
    assert [path.name for path in (tmp_path / "samples").glob("*.png")] == ["train_00_0002.png"]
    for variable, value in zip(log.dcgan.generator.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_losses_that_are_not_this_runs_are_not_cut(tmp_path):
    record(new_log(tmp_path), 1, [1.0] * 5)
    path = tmp_path / "logs" / "losses.csv"
    before = path.read_bytes()
    path.write_bytes(before + b"6,0,x\n")  # cut short when the run was killed
    new_log(tmp_path, step=5)
    assert path.read_bytes() == before
    for step, content in ((7, before), (5, before.replace(b"\n5,", b"\nfive,")), (5, b"\0" * 9)):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"losses.csv is damaged.*choose another --log_dir"):
            new_log(tmp_path, step=step)
        assert path.read_bytes() == content


def test_a_full_disk_under_the_logs(log, monkeypatch):
    def full(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "{{node}} file; No space left on device")

    monkeypatch.setattr(tf.summary, "scalar", full)
    log.record(state(1))
    with pytest.raises(UserError, match=r"cannot write into .*logs \(No space left on device\)"):
        log.flush()


def test_losses_that_the_user_replaced_during_the_run_stay(log):
    path = log.outputs.folder / "losses.csv"
    path.write_text("precious")
    log.record(state(1))
    with pytest.raises(UserError, match=r"losses.csv was not written by this program, or was changed since"):
        log.flush()
    assert path.read_text() == "precious"


def test_steps_that_were_executed_at_once(log, tmp_path):
    """Each has its losses."""
    for last, d_losses in ((1, [1.0]), (4, [2.0, 3.0, 4.0]), (6, [5.0, 6.0])):
        log.record(state(last, *d_losses))
    log.flush()
    steps, d_losses = np.loadtxt(tmp_path / "logs" / "losses.csv", delimiter=",", skiprows=1, usecols=(0, 3)).T
    assert steps.tolist() == d_losses.tolist() == [1, 2, 3, 4, 5, 6]
    (events,) = (tmp_path / "logs").glob("events*")
    found = map(tf.compat.v1.Event.FromString, tf.data.TFRecordDataset(str(events)).as_numpy_iterator())
    values = [(event.step, value) for event in found for value in event.summary.value if value.tag == "d_loss"]
    assert [(step, float(tf.make_ndarray(value.tensor))) for step, value in values] == [(n, n) for n in range(1, 7)]
    with pytest.raises(UserError, match="not finite at step 8"):
        log.record(state(10, 1.0, np.nan, np.nan, 1.0))
        log.flush()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_ends_the_run(log, bad):
    log.record(state(1))
    log.record(state(2, g_loss=bad))
    log.record(state(3, g_loss=bad))
    with pytest.raises(UserError, match="not finite at step 2"):
        log.flush()
