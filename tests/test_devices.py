"""Training on several devices, and on several machines: the same as on one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, blobs, process, write_pictures

from dcgan.devices import compiles, steps_per_execution, worker_of
from dcgan.options import TrainOptions
from dcgan.workers import ALONE, Worker
from jobs.train.log import TrainingLog
from kernels.tensorflow import tf
from model import DCGAN, TrainStep
from outputs import Outputs
from utils import UserError

TRAIN = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
import numpy as np
from conftest import blobs
from dcgan.directories import checkpoints
from dcgan.options import TrainOptions
from model import DCGAN
from kernels.tensorflow import tf

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
values = {{name.replace("/", "|"): variable.numpy() for name, variable in dcgan.named_variables().items()}}
np.savez(folder + "/all.npz", losses=losses, **values)
"""


def trained(folder: Path, several: bool, local_norm: bool = False, flip: bool = True, epochs: int = 2) -> dict:
    """Losses and variables after some epochs, in a process of its own, for devices are parted only once."""
    arguments = (several, local_norm, flip, str(folder), epochs)
    folder.mkdir(exist_ok=True)
    code = TRAIN.format(root=str(ROOT), tests=str(ROOT / "tests"), arguments=arguments)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    return dict(np.load(folder / "all.npz"))


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> dict:
    """What two devices train."""
    return trained(tmp_path_factory.mktemp("two"), True)


@pytest.mark.slow
def test_two_devices_train_as_one(two, tmp_path):
    one = trained(tmp_path / "one", False)
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-3)
    for name, value in one.items():
        # A bias before a batch normalization has no gradient but rounding, which Adam makes as large as any.
        if "bias" not in name and "moving_mean" not in name:
            assert np.linalg.norm(two[name] - value) <= 0.02 * np.linalg.norm(value), name


@pytest.mark.slow
def test_resuming_on_two_devices_is_exact(two, tmp_path):
    whole = trained(tmp_path / "whole", True, local_norm=True)
    trained(tmp_path / "parts", True, local_norm=True, epochs=1)
    again = trained(tmp_path / "parts", True, local_norm=True)
    for name, value in whole.items():
        if name != "losses":
            np.testing.assert_array_equal(again[name], value, err_msg=name)
    assert not np.allclose(whole["losses"], two["losses"], rtol=1e-3, atol=0)  # they are normalized otherwise


@pytest.mark.parametrize(("gpus", "replicas", "by_xla"), [(0, 1, False), (1, 1, True), (2, 2, False)])
def test_xla_compiles_on_one_gpu_alone(gpus, replicas, by_xla, monkeypatch):
    """And does short steps ten at a time there."""
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind] * gpus)
    strategy = SimpleNamespace(num_replicas_in_sync=replicas)
    assert compiles(strategy) == by_xla
    assert [steps_per_execution(strategy, 64 * side**2) for side in (64, 128, 512)] == (
        [10, 4, 1] if by_xla else [1, 1, 1]
    )


COMPLETE = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import numpy as np
from conftest import blobs
from dcgan.options import SearchOptions
from model import DCGAN
from kernels.tensorflow import tf
from images.incomplete import Incomplete

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
incomplete = Incomplete(blobs(5, 16), np.indices((16, 16)).sum(axis=0) > 12, lowres=4)
options = SearchOptions(n_iter=3, refine_iter=3, lam=0.1)
for devices in (1, 2):
    among = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]) if devices == 2 else tf.distribute.get_strategy()
    *_, last = DCGAN(16, gf_dim=8, df_dim=8, strategy=among).complete(incomplete, options)
    np.savez({folder!r} + f"/{{devices}}.npz", z=last.z, losses=last.losses, generated=last.generated)
"""


@pytest.mark.slow
def test_two_devices_complete_as_one(tmp_path):
    """Five pictures, three for the first device."""
    code = COMPLETE.format(root=str(ROOT), tests=str(ROOT / "tests"), folder=str(tmp_path))
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    one, two = (np.load(tmp_path / f"{devices}.npz") for devices in (1, 2))
    assert one["generated"].shape == (5, 16, 16, 3)
    np.testing.assert_allclose(two["z"], one["z"], atol=1e-3)
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-3)
    np.testing.assert_allclose(two["generated"].astype(int), one["generated"], atol=1)


NORMALISE = """
import sys
sys.path.insert(0, {root!r})
import numpy as np
from kernels.tensorflow import tf
from ops import batch_norm

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
halves = tf.constant(np.load({file!r}))
with strategy.scope():
    layer = batch_norm("bn")
    layer.synchronized = {synchronized}
    layer.build(halves.shape[1:])
    layer.moving_mean.assign([29, 0, 0])
x = strategy.experimental_distribute_values_from_function(lambda context: halves[context.replica_id_in_sync_group])
y = tf.function(lambda: strategy.run(lambda x: layer(x, training=True), (x,)))()
mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
np.savez({file!r} + ".npz", y=tf.stack(y.values), mean=mean, variance=variance)
"""


@pytest.mark.parametrize("synchronized", [False, True])
@pytest.mark.slow
def test_each_device_normalises_its_part_or_by_the_whole(synchronized, tmp_path):
    """The statistics that both keep are the mean of the two parts', or those of the whole."""
    halves = np.random.default_rng(0).normal([[[[[0]]]], [[[[3]]]]], 1, (2, 4, 2, 2, 3)).astype(np.float32)
    halves[..., 0] = 30 + halves[..., 0] / 100  # beside a large mean the variance is easily lost
    np.save(tmp_path / "x.npy", halves)
    code = NORMALISE.format(root=str(ROOT), file=str(tmp_path / "x.npy"), synchronized=synchronized)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    found = np.load(tmp_path / "x.npy.npz")
    axes = (0, 1, 2, 3) if synchronized else (1, 2, 3)
    mean, variance = (np.broadcast_to(of(halves, axis=axes), (2, 3)) for of in (np.mean, np.var))
    for half, y, m, v in zip(halves, found["y"], mean, variance, strict=True):
        expected = (half - m) / np.sqrt(v + 1e-5)
        np.testing.assert_allclose(y[..., 1:], expected[..., 1:], atol=1e-4)
        np.testing.assert_allclose(y[..., 0], expected[..., 0], atol=2e-3)  # 30 has so few digits behind the point
    np.testing.assert_allclose(found["mean"], [26.1, 0, 0] + 0.1 * mean.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found["variance"], 0.9 + 0.1 * variance.mean(axis=0), rtol=1e-4)


def test_a_cluster_that_training_was_not_given_is_left_aside(monkeypatch):
    """The strategy says who trains, not the environment."""
    monkeypatch.setenv("TF_CONFIG", config_of(["localhost:1", "localhost:2"], 1))
    dcgan = DCGAN(16, gf_dim=8, df_dim=8)
    state = next(dcgan.train(blobs(4, 16), TrainOptions(batch_size=4)))
    assert len(state.z) == 4
    assert worker_of(tf.distribute.MirroredStrategy(["CPU:0"])) == ALONE


class OfThree(tf.distribute.Strategy):
    """The first of three workers."""

    def __init__(self):
        super().__init__(tf.distribute.get_strategy().extended)

    cluster_resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": ["a:1", "b:1", "c:1"]}), task_type="worker", task_id=0
    )


def test_the_rate_is_that_of_all_workers(tmp_path, monkeypatch, capsys):
    dcgan = DCGAN(8, gf_dim=4, df_dim=4)
    monkeypatch.setattr(dcgan, "strategy", OfThree())
    log = TrainingLog(dcgan, Outputs(tmp_path), "run", 9)
    log.written -= 8  # seconds
    zeros = np.zeros((200, 1), np.float32)
    log.record(TrainStep(2, 0, 2, 9, np.ones((2, 4), np.float32), zeros, zeros, zeros))
    log.flush()
    log.say()
    assert float(capsys.readouterr().out.split(" images/s")[0].split()[-1]) == pytest.approx(150, rel=0.1)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def config_of(addresses: list[str], index: int) -> str:
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


def start_worker(folder: Path, addresses: list[str], index: int, *args) -> subprocess.Popen:
    """A worker on this machine, told by TF_CONFIG which it is."""
    command = process("train-dcgan.py", "--dataset", "faces", "--batch_size", 8, "--image_size", 16)
    command += ["--gf_dim", "8", "--df_dim", "8", "--precision", "float32", *map(str, args)]
    env = {**os.environ, "TF_CONFIG": config_of(addresses, index), "CUDA_VISIBLE_DEVICES": ""}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=env, stdout=pipe, stderr=pipe, text=True)


def start_workers(folder: Path, *args, second: tuple = ()) -> list[subprocess.Popen]:
    """Two workers. second: what is asked of the second alone."""
    addresses = [f"localhost:{free_port()}" for _ in range(2)]
    return [start_worker(folder, addresses, index, *args, *others) for index, others in enumerate(((), second))]


@pytest.mark.slow
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
    for name, value in one.named_variables().items():
        if name.endswith("kernel") and not name.startswith("live"):
            assert np.linalg.norm(two.named_variables()[name] - value) <= 0.02 * np.linalg.norm(value), name

    workers = start_workers(tmp_path, "--epoch", 100000)
    losses = tmp_path / "logs" / "losses.csv"
    size = losses.stat().st_size
    while losses.stat().st_size == size:
        assert [worker.poll() for worker in workers] == [None, None]
        time.sleep(0.2)
    workers[1].kill()
    _, error = workers[0].communicate(timeout=60)
    assert workers[0].returncode == 1
    assert error.startswith("error: another worker has stopped: start all of them again") and error.count("\n") == 1
    workers[1].communicate()


@pytest.mark.parametrize(
    ("args", "second", "words"),
    [
        ((), ("--learning_rate", 0.1, "--gf_dim", 4), "the workers differ in their options: start all of them"),
        (("--batch_size", 7), (), "2 devices cannot have equal shares of 7 pictures a step: set --batch_size"),
    ],
)
@pytest.mark.slow
def test_workers_that_cannot_train_together_begin_nothing(args, second, words, tmp_path):
    write_pictures(tmp_path / "faces", blobs(16, 16))
    workers = start_workers(tmp_path, *args, second=second)
    for worker in workers:
        _, error = worker.communicate(timeout=300)
        assert worker.returncode == 1
        assert error.startswith(f"error: {words}") and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_a_port_that_is_taken(tmp_path):
    write_pictures(tmp_path / "faces", blobs(16, 16))
    with socket.create_server(("localhost", 0)) as taken:
        addresses = [f"localhost:{taken.getsockname()[1]}", "localhost:1"]
        worker = start_worker(tmp_path, addresses, 0)
        _, error = worker.communicate(timeout=300)
    assert worker.returncode == 1
    assert error.startswith("error: cannot join the workers of TF_CONFIG") and error.count("\n") == 1


@pytest.mark.parametrize("index", [0, 1])
def test_sigterm_ends_a_worker_that_waits(tmp_path, index):
    write_pictures(tmp_path / "faces", blobs(16, 16))
    addresses = [f"localhost:{free_port()}" for _ in range(2)]
    worker = start_worker(tmp_path, addresses, index)
    assert worker.stdout and worker.stdout.readline().endswith("of 2 workers; waits for the others\n")
    time.sleep(1)
    worker.send_signal(signal.SIGTERM)
    _, error = worker.communicate(timeout=10)
    assert (worker.returncode, error) == (-signal.SIGTERM, "")
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


@pytest.mark.parametrize(("present", "missing"), [((0, 2), 1), ((1, 2), 0)])
def test_a_worker_that_does_not_start_is_named(present, missing):
    addresses = tuple(f"localhost:{free_port()}" for _ in range(3))
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(Worker(index, 3, addresses).meet, 2) for index in present]
    for wait in waits:
        with pytest.raises(UserError, match="did not start within a minute: start all workers"):
            wait.result()
    with pytest.raises(UserError, match=addresses[missing]):
        waits[0].result()


def test_workers_meet_in_any_order():
    """Also if something else connects to the chief; and the port is free afterwards."""
    addresses = tuple(f"localhost:{free_port()}" for _ in range(4))
    chief = "localhost", int(addresses[0].split(":")[1])
    with ThreadPoolExecutor(4) as pool:
        waits = []
        for index in (2, 0, 3, 1):
            waits.append(pool.submit(Worker(index, 4, addresses).meet, 30))
            time.sleep(0.5)
            if index == 0:
                with socket.create_connection(chief) as connection:
                    connection.sendall(b"GET / HTTP/1.1")
            assert index == 1 or not any(wait.done() for wait in waits)
        for wait in waits:
            wait.result(timeout=30)
    socket.create_server(chief).close()


@pytest.mark.parametrize(
    "config",
    [
        "nonsense",
        "{}",
        '{"cluster": {"worker": ["a:1"]}, "task": {"index": 1}}',
        config_of(["localhost"], 0),
        '{"cluster": {"worker": "localhost:1"}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_a_cluster_that_is_none_is_refused(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UserError, match="TF_CONFIG does not list workers"):
        Worker.of_cluster()
