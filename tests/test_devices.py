"""Training on several devices, and on several machines: the same as on one."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, blobs, process, write_pictures

from dcgan.options import TrainOptions
from dcgan.workers import Worker
from model import DCGAN
from utils import UserError

TRAIN = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
import numpy as np
from conftest import blobs
from dcgan.checkpoints import checkpoints
from dcgan.options import TrainOptions
from model import DCGAN
from ops import tf

several, local_norm, flip, folder, epochs = {arguments!r}
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]) if several else tf.distribute.get_strategy()
if checkpoints(Path(folder)):
    dcgan = DCGAN.load(folder, training=True, strategy=strategy)
else:
    dcgan = DCGAN(16, gf_dim=8, df_dim=8, strategy=strategy)
options = TrainOptions(epochs=epochs, batch_size=8, flip=flip, local_norm=local_norm)
losses = [state.losses.numpy() for state in dcgan.train(blobs(16, 16), options)]
dcgan.save(folder)
values = {{name.replace("/", "|"): variable.numpy() for name, variable in dcgan._named_variables().items()}}
np.savez(folder + "/all.npz", losses=losses, **values)
"""


def trained(folder: Path, several: bool, local_norm: bool = False, flip: bool = True, epochs: int = 2) -> dict:
    """Losses and variables after some epochs, in a process of its own, for devices are parted only once."""
    arguments = (several, local_norm, flip, str(folder), epochs)
    folder.mkdir(exist_ok=True)
    code = TRAIN.format(root=str(ROOT), tests=str(ROOT / "tests"), arguments=arguments)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    return dict(np.load(folder / "all.npz"))


def test_two_devices_train_as_one(tmp_path):
    one, two = trained(tmp_path / "one", False), trained(tmp_path / "two", True)
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-3)
    for name, value in one.items():
        # A bias before a batch normalisation has no gradient but rounding, which Adam makes as large as any.
        if "bias" not in name and "moving_mean" not in name:
            assert np.linalg.norm(two[name] - value) <= 0.02 * np.linalg.norm(value), name


def test_resuming_on_two_devices_is_exact(tmp_path):
    whole = trained(tmp_path / "whole", True, local_norm=True)
    trained(tmp_path / "parts", True, local_norm=True, epochs=1)
    again = trained(tmp_path / "parts", True, local_norm=True)
    for name, value in whole.items():
        if name != "losses":
            np.testing.assert_array_equal(again[name], value, err_msg=name)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def start_workers(folder: Path, *args) -> list[subprocess.Popen]:
    """Two workers on this machine, each told by TF_CONFIG which it is."""
    cluster = {"worker": [f"localhost:{free_port()}" for _ in range(2)]}
    started = []
    for index in range(2):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        command = process("train-dcgan.py", "--dataset", "faces", "--batch_size", 8, "--image_size", 16, *args)
        command += ["--gf_dim", "8", "--df_dim", "8", "--precision", "float32"]
        env = {**os.environ, "TF_CONFIG": config, "CUDA_VISIBLE_DEVICES": ""}
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=folder, env=env, stdout=pipe, stderr=pipe, text=True))
    return started


def test_two_workers_train_as_one_and_do_not_outlive_each_other(tmp_path):
    write_pictures(tmp_path / "faces", blobs(16, 16))
    workers = start_workers(tmp_path, "--epoch", 2)
    said = [worker.communicate(timeout=300) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert [error for _, error in said] == ["", ""]
    two = DCGAN.load(tmp_path / "checkpoints")
    one = DCGAN(16, gf_dim=8, df_dim=8)
    for _ in one.train(blobs(16, 16), TrainOptions(epochs=2, batch_size=8)):
        pass
    for name, value in one._named_variables().items():
        if name.endswith("kernel") and not name.startswith("live"):
            assert np.linalg.norm(two._named_variables()[name] - value) <= 0.02 * np.linalg.norm(value), name

    workers = start_workers(tmp_path, "--epoch", 100000)
    losses = tmp_path / "logs" / "losses.csv"
    size = losses.stat().st_size
    while losses.stat().st_size == size:
        assert [worker.poll() for worker in workers] == [None, None]
        time.sleep(0.2)
    workers[1].kill()
    _, error = workers[0].communicate(timeout=60)
    assert workers[0].returncode == 1
    assert error.startswith("error: another worker has gone: start all of them again") and error.count("\n") == 1
    workers[1].communicate()


@pytest.mark.parametrize("config", ["nonsense", "{}", '{"cluster": {"worker": ["a:1"]}, "task": {"index": 1}}'])
def test_a_cluster_that_is_none_is_refused(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UserError, match="TF_CONFIG does not name workers"):
        Worker.of_cluster()
