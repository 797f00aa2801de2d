"""The files of networks, opened in another process that knows nothing of this project."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import lively

pytestmark = pytest.mark.slow
READERS = {
    "keras": "model = keras.models.load_model('{name}.keras')",
    "saved_model": "model = keras.layers.TFSMLayer('{name}', call_endpoint='serve')",
    "onnx": "session = onnxruntime.InferenceSession('{name}.onnx')\n"
    "model = lambda x: session.run(None, {{session.get_inputs()[0].name: x}})[0]",
}
SCRIPT = """
import numpy as np
import {library}
{reader}
np.save('read.npy', model(np.load('given.npy')))
"""


@pytest.fixture(scope="module")
def dcgan():
    return lively(8, 5)


def read(folder, kind, name, given):
    """What a network makes of what it is given."""
    np.save(folder / "given.npy", given)
    library = "onnxruntime" if kind == "onnx" else "keras"
    script = SCRIPT.format(library=library, reader=READERS[kind].format(name=name))
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, capture_output=True)
    return np.load(folder / "read.npy")


@pytest.mark.parametrize("kind", READERS)
def test_files_of_networks_give_the_same_in_another_process(tmp_path, dcgan, kind):
    if kind == "onnx":
        for library in ("tf2onnx", "onnxruntime"):
            pytest.importorskip(library, reason=f"the package {library} is optional")
    rng = np.random.default_rng(0)
    z = rng.uniform(-1, 1, (5, 100)).astype(np.float32)
    images = rng.uniform(-1, 1, (3, 16, 16, 3)).astype(np.float32)
    for name, network, given in (("g", dcgan.generator, z), ("d", dcgan.discriminator, images)):
        if kind == "keras":
            network.save(tmp_path / f"{name}.keras")
        elif kind == "saved_model":
            network.export(tmp_path / name, verbose=False)
        else:
            network.export(tmp_path / f"{name}.onnx", format="onnx", verbose=False)
        made, expected = read(tmp_path, kind, name, given), np.asarray(network(given))
        assert expected.std() > 1e-4
        np.testing.assert_allclose(made, expected, atol=1e-4 * expected.std())


def test_mixed_precision_is_saved_as_float32(tmp_path):
    from model import DCGAN

    mixed, z = DCGAN(8, gf_dim=4, df_dim=4, precision="mixed"), np.ones((2, 100), np.float32)
    mixed.generator.save(tmp_path / "g.keras")
    usual = DCGAN(8, gf_dim=4, df_dim=4)
    np.testing.assert_allclose(read(tmp_path, "keras", "g", z), usual.generator(z), atol=1e-6)
