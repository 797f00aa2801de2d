"""Mixed precision: what is computed in bfloat16, and what stays float32."""

import numpy as np
import pytest
from conftest import blobs

from dcgan import devices
from dcgan.options import SearchOptions, TrainOptions
from images.incomplete import Incomplete
from kernels.tensorflow import tf
from model import DCGAN

SMALL = {"image_size": 16, "gf_dim": 8, "df_dim": 8}
MASK = np.ones((16, 16), bool)
MASK[4:12, 4:12] = False


def values_of(dcgan) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in dcgan.named_variables().items()}


def trained(precision: str, epochs: int = 1, dcgan: DCGAN | None = None) -> DCGAN:
    dcgan = dcgan or DCGAN(**SMALL, precision=precision)
    for _ in dcgan.train(blobs(16, 16), TrainOptions(epochs=epochs, batch_size=8)):
        pass
    return dcgan


def test_only_feature_maps_are_short():
    dcgan = DCGAN(**SMALL, precision="mixed")
    images = dcgan.generator(tf.zeros([2, 100]))
    assert images.dtype == dcgan.discriminator(images).dtype == tf.float32
    assert dcgan.generator.get_layer("g_bn1").output.dtype == "bfloat16"
    assert dcgan.discriminator.get_layer("d_h1_conv").output.dtype == "bfloat16"
    dcgan.start_training()
    kinds = {value.dtype.name for value in values_of(dcgan).values()}
    assert kinds - {"int32"} == {"float32", "int64"}  # steps are whole numbers


@pytest.mark.parametrize("training", [False, True])
def test_networks_equal_those_of_float32(training):
    """To the 8 bits of bfloat16."""
    plain, mixed = (DCGAN(16, precision=precision) for precision in ("float32", "mixed"))
    z = np.random.default_rng(0).uniform(-1, 1, (16, 100)).astype(np.float32)
    expected, found = (dcgan.generator(z, training=training).numpy() for dcgan in (plain, mixed))
    assert 0 < abs(found - expected).max() < 0.03 * abs(expected).max()
    expected, found = (dcgan.discriminator(blobs(16, 16) / 127.5 - 1, training=training) for dcgan in (plain, mixed))
    assert 0 < abs(found - expected).numpy().max() < 0.05 * abs(expected).numpy().max()


def test_training_can_continue_in_the_other_precision(tmp_path):
    half = trained("mixed")
    half.save(tmp_path)
    start = values_of(half)
    same, other = (
        values_of(trained(precision, 2, DCGAN.load(tmp_path, training=True, precision=precision)))
        for precision in ("mixed", "float32")
    )
    for name in ("live_generator/g_h1/kernel", "discriminator/d_h1_conv/kernel"):
        assert np.linalg.norm(other[name] - same[name]) < np.linalg.norm(same[name] - start[name]) / 2


def test_scaled_losses_give_the_same_gradients(monkeypatch):
    """Powers of two change no bit of a product."""
    plain = values_of(trained("float32"))
    monkeypatch.setitem(devices.LOSS_SCALE, "float32", 1024.0)
    for name, value in values_of(trained("float32")).items():
        np.testing.assert_allclose(value, plain[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.fixture(scope="module")
def of_full_size():
    dcgan = DCGAN(precision="mixed")
    mask = np.ones((64, 64), bool)
    mask[16:48, 16:48] = False

    def complete(pictures):
        options = SearchOptions(start="random", n_iter=2, out_interval=0)
        *_, state = dcgan.complete(Incomplete(pictures, mask), options)
        return state

    complete.mask = mask
    return complete


@pytest.mark.slow
def test_a_completion_depends_on_its_own_known_pixels_alone(of_full_size):
    """Bit for bit; of how many are beside it, but for rounding, which goes with that on some processors."""
    pictures = blobs(20, 64)
    whole = of_full_size(pictures)
    for n in (1, 2, 3, 5, 17):
        np.testing.assert_allclose(of_full_size(pictures[:n]).z, whole.z[:n], atol=0.02)
    scrambled = np.where(of_full_size.mask[..., None], pictures, 255 - pictures)[:3]
    np.testing.assert_array_equal(of_full_size(scrambled).completed, of_full_size(pictures[:3]).completed)


def test_another_precision_is_refused():
    with pytest.raises(ValueError, match="bfloat16 is not one of auto, float32, mixed"):
        DCGAN(**SMALL, precision="bfloat16")


def test_auto_goes_by_the_device(monkeypatch):
    def chosen(gpus, flags):
        monkeypatch.setattr(devices, "_gpus", lambda: gpus)
        monkeypatch.setattr(devices, "processor_flags", lambda: flags)
        return devices.chosen("auto"), devices.dtype_policy(devices.chosen("auto"))

    assert chosen([], {"avx512f"}) == ("float32", "float32")
    assert chosen([], {"avx512f", "avx512_bf16"}) == ("mixed", "mixed_bfloat16")
    assert chosen([9.0], set()) == ("mixed", "mixed_bfloat16")
    assert chosen([9.0, 7.5], set()) == ("mixed", "mixed_float16")
    assert chosen([6.1], {"amx_bf16"}) == ("float32", "float32")
