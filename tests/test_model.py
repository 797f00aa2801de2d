"""The networks, a training step and the search against plain re-computations."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import reference
from conftest import blobs, lively

from completion.models import open_model
from dcgan import devices
from dcgan.directories import model_directory
from dcgan.options import PRESETS, NetworkOptions, SearchOptions, TrainOptions
from dcgan.schedule import Schedule
from dcgan.spaces import Cube
from dcgan.training import Training
from images.incomplete import Face, Incomplete
from images.masks import context_weights
from kernels.tensorflow import tf
from model import DCGAN
from ops import block_means, to_float, to_uint8
from utils import UserError

POST = PRESETS["post"].search
# The published CelebA model's variables (TensorFlow 1 names kernel "w" or "Matrix", bias "biases" or "bias").
PUBLISHED_G = {
    "g_h0_lin/kernel": (100, 8192),
    "g_h0_lin/bias": (8192,),
    "g_h1/kernel": (5, 5, 256, 512),
    "g_h1/bias": (256,),
    "g_h2/kernel": (5, 5, 128, 256),
    "g_h2/bias": (128,),
    "g_h3/kernel": (5, 5, 64, 128),
    "g_h3/bias": (64,),
    "g_h4/kernel": (5, 5, 3, 64),
    "g_h4/bias": (3,),
}
PUBLISHED_D = {
    "d_h0_conv/kernel": (5, 5, 3, 64),
    "d_h0_conv/bias": (64,),
    "d_h1_conv/kernel": (5, 5, 64, 128),
    "d_h1_conv/bias": (128,),
    "d_h2_conv/kernel": (5, 5, 128, 256),
    "d_h2_conv/bias": (256,),
    "d_h3_conv/kernel": (5, 5, 256, 512),
    "d_h3_conv/bias": (512,),
    "d_h4_lin/kernel": (8192, 1),
    "d_h4_lin/bias": (1,),
}
for name, width in {"g_bn0": 512, "g_bn1": 256, "g_bn2": 128, "g_bn3": 64}.items():
    PUBLISHED_G |= {f"{name}/{v}": (width,) for v in ("beta", "gamma", "moving_mean", "moving_variance")}
for name, width in {"d_bn1": 128, "d_bn2": 256, "d_bn3": 512}.items():
    PUBLISHED_D |= {f"{name}/{v}": (width,) for v in ("beta", "gamma", "moving_mean", "moving_variance")}


WIDE_LAYER = 25 * 512 * 512 + 512 + 4 * 512  # 512 to 512 channels, and its batch normalization


def count(shapes: dict) -> int:
    return sum(int(np.prod(shape)) for shape in shapes.values())


def randomise(network, seed: int = 0) -> None:
    """Gives every variable, moving statistics too, a value that would show if it were not used."""
    rng = np.random.default_rng(seed)
    for variable in network.variables:
        value = rng.normal(0, 0.05, variable.shape)
        variable.assign(1 + abs(value) if variable.name in ("gamma", "moving_variance") else value)


def small() -> DCGAN:
    return DCGAN(8, gf_dim=4, df_dim=4)


def values_of(dcgan) -> dict[str, np.ndarray]:
    """All that a checkpoint holds of the model and its training."""
    return {name: variable.numpy() for name, variable in dcgan.named_variables().items()}


def assert_same_variables(expected: dict[str, np.ndarray], dcgan) -> None:
    found = values_of(dcgan)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def floats(pixels) -> np.ndarray:
    return to_float(pixels).numpy()


def uniform(shape, seed: int = 0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


# ---------------------------------------------------------------------------------------- networks


def test_variables_are_those_of_the_published_model():
    dcgan = DCGAN()
    assert {n: v.shape for n, v in reference.variables_of(dcgan.generator).items()} == PUBLISHED_G
    assert {n: v.shape for n, v in reference.variables_of(dcgan.discriminator).items()} == PUBLISHED_D


@pytest.mark.parametrize(
    ("size", "c_dim", "g_count", "d_count"),
    [
        # Counted by hand: 100 z; kernels 25 * in * out + out; batch normalization 4 a channel.
        (8, 3, 101 * 1024 + 4 * 64 + 25 * 64 * 3 + 3, 25 * 3 * 64 + 64 + 1024 + 1),
        (
            16,
            1,
            101 * 2048 + 4 * 128 + 25 * 128 * 64 + 64 + 4 * 64 + 25 * 64 + 1,
            25 * 64 + 64 + 25 * 64 * 128 + 128 + 4 * 128 + 2048 + 1,
        ),
        (64, 3, count(PUBLISHED_G), count(PUBLISHED_D)),
        # At 128 there is one layer more at each end, and none is wider than eight times the narrowest.
        (128, 3, count(PUBLISHED_G) + WIDE_LAYER, count(PUBLISHED_D) + WIDE_LAYER),
    ],
)
def test_sizes(size, c_dim, g_count, d_count):
    dcgan = DCGAN(size, c_dim)
    assert dcgan.generator.count_params() == g_count
    assert dcgan.discriminator.count_params() == d_count
    images = dcgan.generator(uniform((2, 100)))
    assert images.shape == (2, size, size, c_dim)
    assert abs(images.numpy()).max() <= 1
    assert dcgan.discriminator(images).shape == (2, 1)


@pytest.mark.parametrize("size", [0, 4, 63, 96])
def test_a_size_that_is_no_power_of_two_is_refused(size):
    with pytest.raises(ValueError, match=r"power of two|from 1 to"):
        DCGAN(size)


def test_filters_may_be_named_stage_by_stage():
    dcgan = DCGAN(16, gf_dim=[6, 5], df_dim=(2, 3))
    assert dcgan.generator.get_layer("g_h1").kernel.shape == (5, 5, 5, 6)
    assert dcgan.discriminator.get_layer("d_h1_conv").kernel.shape == (5, 5, 2, 3)
    assert NetworkOptions(gf_dim=[512, 256, 128, 64], df_dim=[64, 128, 256, 512]) == NetworkOptions()
    for bad in ({"gf_dim": [1, 2]}, {"df_dim": 0}, {"z_dim": 1.5}, {"c_dim": 2}, {"gf_dim": "wide"}, {"z_dim": True}):
        with pytest.raises(ValueError):
            NetworkOptions(**bad)


@pytest.mark.parametrize(("size", "training"), [(64, False), (64, True), (16, False)])
def test_networks_equal_plain_operations(size, training):
    dcgan = DCGAN(size)
    randomise(dcgan.generator, 1)
    randomise(dcgan.discriminator, 2)
    g, d = reference.variables_of(dcgan.generator), reference.variables_of(dcgan.discriminator)
    z, x = uniform((4, 100)), uniform((4, size, size, 3))
    np.testing.assert_allclose(
        dcgan.generator(z, training=training), reference.generator(g, z, training), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        dcgan.discriminator(x, training=training), reference.discriminator(d, x, training), rtol=1e-4, atol=1e-4
    )


def test_inference_mode_is_the_default():
    dcgan = DCGAN(16)
    z = uniform((4, 100))
    np.testing.assert_array_equal(dcgan.generator(z), dcgan.generator(z, training=False))
    assert not np.allclose(dcgan.generator(z), dcgan.generator(z, training=True))


def test_same_seed_same_weights():
    first, same, other = (reference.variables_of(DCGAN(8, seed=seed).generator) for seed in (3, 3, 4))
    for name, value in first.items():
        np.testing.assert_array_equal(value, same[name])
    assert (first["g_h1/kernel"] != other["g_h1/kernel"]).any()


# ---------------------------------------------------------------------------------------- training


@pytest.fixture
def eagerly():
    """Compiled functions run as plain Python, so that what they call can be watched."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


class Update(NamedTuple):
    """What an optimizer was given, by the variables' names, and both networks as they were then."""

    gradients: reference.Weights
    g: reference.Weights
    d: reference.Weights


def watched_updates(dcgan, monkeypatch) -> list[Update]:
    """The updates of the training, to be filled as they come."""
    updates = []

    def watch(optimizer):
        apply = optimizer.apply

        def watched(gradients, variables):
            names = [variable.path.split("/", 1)[1] for variable in variables]
            given = dict(zip(names, (gradient.numpy() for gradient in gradients), strict=True))
            updates.append(Update(given, *networks(dcgan)))
            apply(gradients, variables)

        monkeypatch.setattr(optimizer, "apply", watched)

    watch(dcgan.start_training().d_optimizer)
    watch(dcgan.start_training().g_optimizer)
    return updates


def networks(dcgan) -> tuple[reference.Weights, reference.Weights]:
    """The generator that is trained, and the discriminator, as arrays."""
    return reference.variables_of(dcgan.training.generator), reference.variables_of(dcgan.discriminator)


def assert_gradients_equal(given, expected) -> None:
    """To a hundredth of each variable's; biases before a batch normalization have none but rounding."""
    assert given.keys() == expected.keys()
    largest = max(np.linalg.norm(gradient) for gradient in expected.values())
    for name, gradient in expected.items():
        off = np.linalg.norm(given[name] - gradient)
        assert off < 0.01 * np.linalg.norm(gradient) + 1e-5 * largest, name


def assert_updated(before, gradients, after, slots, t) -> None:
    """The weights are those of Adam's update number t; those without a gradient are as they were."""
    expected = reference.adam(before, gradients, slots, t, lr=2e-3, beta1=0.3)
    for name, value in after.items():
        if "/moving_" not in name:
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("g_updates", [1, 2])
def test_a_training_step_equals_its_recomputation(eagerly, monkeypatch, g_updates):
    """Its updates one by one: of D, and once or twice of G."""
    pictures = blobs(4, 16)
    dcgan = DCGAN(16, gf_dim=8, df_dim=8)
    randomise(dcgan.generator, 1)
    randomise(dcgan.discriminator, 2)
    updates = watched_updates(dcgan, monkeypatch)
    g, d = networks(dcgan)
    options = TrainOptions(batch_size=4, learning_rate=2e-3, beta1=0.3, g_updates=g_updates)
    state = next(dcgan.train(pictures, options))
    z, x_real = state.z.numpy(), pictures / np.float32(127.5) - 1
    assert abs(z).max() <= 1 and z.shape == (4, 100)

    of_d, *of_g = updates
    assert len(of_g) == g_updates
    g_seen, d_seen = [], []
    x_fake = reference.generator(of_d.g, z, training=True)
    d_losses, of_d_expected = reference.d_gradients(of_d.d, x_real, x_fake, d_seen)
    assert_gradients_equal(of_d.gradients, of_d_expected)
    for update in of_g:
        (g_loss,), expected = reference.g_gradients(update.g, update.d, z, g_seen, d_seen)
        assert_gradients_equal(update.gradients, expected)
    np.testing.assert_allclose(state.losses, [[sum(d_losses), *d_losses, g_loss]], rtol=1e-4)

    g_after, d_after = networks(dcgan)
    slots = {}
    assert_updated(d, of_d.gradients, of_g[0].d, {}, 1)
    for number, (update, after) in enumerate(zip(of_g, [*(each.g for each in of_g[1:]), g_after], strict=True), 1):
        assert_updated(update.g, update.gradients, after, slots, number)
    assert_updated(g, {}, of_g[0].g, {}, 1)
    assert_updated(of_g[0].d, {}, d_after, {}, 1)

    # D has seen the reals, the fakes, and the fakes again for each of G's updates, for each of which G has made them.
    assert [len(d_seen), len(g_seen)] == [(2 + g_updates) * 1, g_updates * 2]
    for before, seen, after in ((d, d_seen, d_after), (g, g_seen, g_after)):
        for name, value in reference.moving(before, seen).items():
            np.testing.assert_allclose(after[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("by_xla", [False, True])
@pytest.mark.slow
def test_a_compiled_step_equals_one_in_plain_python(request, monkeypatch, by_xla):
    """The optimizers' means of the gradients tell of these; and both average."""
    monkeypatch.setattr(devices, "compiles", lambda strategy: by_xla)
    found = []
    for _ in range(2):
        dcgan = DCGAN(16, gf_dim=8, df_dim=8)
        randomise(dcgan.generator, 1)
        randomise(dcgan.discriminator, 2)
        before = dcgan.generator.get_weights()
        state = next(dcgan.train(blobs(4, 16), TrainOptions(batch_size=4)))
        weights = (dcgan.generator, dcgan.training.generator)
        averages, live = ([variable.numpy() for variable in network.trainable_variables] for network in weights)
        before = [value for value, variable in zip(before, dcgan.generator.weights, strict=True) if variable.trainable]
        for average, first, last in zip(averages, before, live, strict=True):
            np.testing.assert_allclose(average, last + 0.1 * (first - last), atol=1e-6)  # decays by 1/10 at first
        means = {name: value for name, value in values_of(dcgan).items() if name.endswith("_momentum")}
        found.append((state.losses.numpy(), means))
        request.getfixturevalue("eagerly")
    (losses, means), (plain_losses, plain_means) = found
    assert len(means) == len(dcgan.generator.trainable_variables + dcgan.discriminator.trainable_variables)
    np.testing.assert_allclose(losses, plain_losses, rtol=1e-4)
    for network in ("g", "d"):
        assert_gradients_equal(*({n: m for n, m in each.items() if n[0] == network} for each in (means, plain_means)))


def test_each_update_leaves_the_other_network_alone():
    dcgan = DCGAN(16, gf_dim=8, df_dim=8)
    training = dcgan.start_training()
    x_real, x_fake = uniform((4, 16, 16, 3)), uniform((4, 16, 16, 3), seed=1)

    def trainable(network):
        return [v.numpy() for v in network.trainable_variables]

    g, d = trainable(training.generator), trainable(dcgan.discriminator)
    training.d_step(x_real, x_fake)
    assert all((a == b).all() for a, b in zip(g, trainable(training.generator), strict=True))
    # Biases before a batch normalization have no gradient; all else has moved.
    assert sum((a != b).any() for a, b in zip(d, trainable(dcgan.discriminator), strict=True)) >= len(d) - 1

    d = trainable(dcgan.discriminator)
    with tf.GradientTape() as tape:
        x_fake = training.generator(uniform((4, 100)), training=True)
    training.g_step(x_fake, tape)
    assert all((a == b).all() for a, b in zip(d, trainable(dcgan.discriminator), strict=True))
    assert sum((a != b).any() for a, b in zip(g, trainable(training.generator), strict=True)) >= len(g) - 1


def test_training_starts_once():
    dcgan = small()
    assert dcgan.training is None
    assert dcgan.start_training() is dcgan.start_training() is dcgan.training


def test_epochs_batches_and_a_set_smaller_than_a_batch():
    states = list(small().train(blobs(10, 8), TrainOptions(epochs=2, batch_size=4)))
    assert [(s.step, s.epoch, s.batch) for s in states] == [(1, 0, 1), (2, 0, 2), (3, 1, 1), (4, 1, 2)]
    assert {s.batches for s in states} == {2}
    assert len({s.z.numpy().tobytes() for s in states}) == 4
    assert [s.z.shape[0] for s in small().train(blobs(3, 8), TrainOptions(epochs=1))] == [3]


class Watched:
    """Pictures that note which of them are asked for."""

    def __init__(self, pictures):
        self.pictures, self.dtype, self.shape = pictures, pictures.dtype, pictures.shape
        self.asked: list[int] = []

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, indices):
        self.asked += map(int, indices)
        return self.pictures[indices]


def test_each_epoch_sees_all_pictures_in_another_order():
    pictures = Watched(blobs(5, 8))
    list(small().train(pictures, TrainOptions(epochs=2, batch_size=1)))
    first, second = pictures.asked[:5], pictures.asked[5:]
    assert sorted(first) == sorted(second) == list(range(5)) and first != second


@pytest.mark.slow
def test_steps_executed_at_once_are_the_steps_one_by_one(monkeypatch):
    """Two epochs of 7 steps, as XLA does them on a GPU, parted in two ways, and otherwise."""
    found = []
    for by_xla, intervals in ((True, (3,)), (True, (3, 4)), (False, ())):
        monkeypatch.setattr(devices, "compiles", lambda strategy, by_xla=by_xla: by_xla)
        dcgan = small()
        states = list(dcgan.train(blobs(28, 8), TrainOptions(epochs=2, batch_size=4, flip=True), intervals=intervals))
        assert dcgan.training.run.experimental_get_tracing_count() == 1
        found.append((states, values_of(dcgan)))
    (states, values), (parted, same), (alone, _) = found
    assert [state.step for state in states] == [3, 6, 7, 9, 12, 14]
    assert [state.step for state in parted] == [3, 4, 6, 7, 8, 9, 12, 14]
    assert [(state.epoch, state.batch) for state in states] == [(0, 3), (0, 6), (0, 7), (1, 2), (1, 5), (1, 7)]
    assert len(alone) == values["step"] == 14
    losses, of_parted, of_alone = (np.concatenate([s.losses for s in each]) for each in (states, parted, alone))
    np.testing.assert_array_equal(losses, of_parted)  # one program, whatever the number of steps
    for name, value in values.items():
        np.testing.assert_array_equal(value, same[name], err_msg=name)
    np.testing.assert_allclose(losses, of_alone, rtol=1e-3)
    for state in states:
        one = alone[state.step - 1]
        np.testing.assert_array_equal(state.z, one.z)
        np.testing.assert_allclose(state.d_logits_real, one.d_logits_real, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(state.d_logits_fake, one.d_logits_fake, rtol=1e-3, atol=1e-3)


def test_schedule():
    """Of 2 epochs from step 5 on, of 7 steps each: an execution ends with an epoch, and at multiples of 4 and 100."""
    schedule = Schedule(30, TrainOptions(epochs=2, batch_size=4), origin=5)
    parts = [(part.start, part.stop) for part in schedule.executions(6, 3, (4, 100))]
    assert parts == [(6, 8), (8, 11), (11, 12), (12, 15), (15, 16), (16, 19)]
    assert [(part.start, part.stop) for part in schedule.executions(5, 9, ())] == [(5, 12), (12, 19)]
    assert [schedule.place(step) for step in (5, 11, 12)] == [(0, 0), (0, 6), (1, 0)]
    first, second = ([schedule.indices(step) for step in range(start, start + 7)] for start in (5, 12))
    assert len(set(np.concatenate(first))) == len(set(np.concatenate(second))) == 28
    assert (np.concatenate(first) != np.concatenate(second)).any()
    np.testing.assert_array_equal(schedule.indices(6), first[1])


def test_no_sum_of_a_step_depends_on_which_term_is_there_first():
    """TensorFlow's AddN of three and more begins with any whose memory it may take, so that runs would differ."""
    dcgan = small()
    state = next(dcgan.train(blobs(4, 8), TrainOptions(batch_size=4)))
    assert np.isfinite(state.losses).all()
    args = ([tf.constant(blobs(4, 8))], tf.constant(0), tf.constant(1), TrainOptions(batch_size=4))
    operations = dcgan.training.run.get_concrete_function(*args).graph.get_operations()
    assert {len(operation.inputs) for operation in operations if operation.type == "AddN"} == {2}


def test_average_of_the_generator():
    """Two steps by hand: the ramp gives step n (from 0) the decay (1 + n) / (10 + n) while that is below `ema`."""
    dcgan = small()
    average = [v.numpy() for v in dcgan.generator.trainable_variables]
    for step, _ in enumerate(dcgan.train(blobs(4, 8), TrainOptions(epochs=2, batch_size=4, ema=0.15))):
        decay = min(0.15, (1 + step) / (10 + step))
        live = [v.numpy() for v in dcgan.training.generator.trainable_variables]
        average = [decay * a + (1 - decay) * b for a, b in zip(average, live, strict=True)]
    for variable, value in zip(dcgan.generator.trainable_variables, average, strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-4, atol=1e-6, err_msg=variable.path)


def test_the_statistics_of_the_generator_are_those_of_its_own_feature_maps():
    """For many z, inference mode comes close to the statistics of the batch; before training it is far off."""
    dcgan = DCGAN(16)
    randomise(dcgan.generator)
    z = uniform((256, 100), seed=3)
    w = reference.variables_of(dcgan.generator)
    expected = reference.generator(w, z, training=True).numpy()
    before = abs(dcgan.generator(z).numpy() - expected).mean()
    dcgan.start_training()
    assert abs(dcgan.generator(z).numpy() - expected).mean() < before / 20
    after = reference.variables_of(dcgan.generator)
    assert all((w[name] == after[name]).all() for name in w if "moving" not in name)


def test_the_generator_can_be_used_and_saved_at_any_step(tmp_path):
    """Its statistics fit after each step, and asking for them does not change the training."""
    pictures, options, z = blobs(8, 8), TrainOptions(epochs=2, batch_size=4, learning_rate=0.01), uniform((256, 100))
    asked, left_alone = small(), small()
    for _ in asked.train(pictures, options):
        expected = reference.generator(reference.variables_of(asked.generator), z, training=True).numpy()
        assert abs(asked.generator(z).numpy() - expected).mean() < 0.05 * expected.std()
    *_, last = left_alone.train(pictures, options)
    assert last.step == 4
    left_alone.save(tmp_path)
    assert_same_variables(values_of(asked), left_alone)
    assert_same_variables(values_of(asked), DCGAN.load(tmp_path, training=True))


def test_training_flips_the_pictures_and_nothing_else():
    pictures = blobs(8, 8)
    plain, flipped = (next(small().train(pictures, TrainOptions(batch_size=8, flip=flip))) for flip in (False, True))
    np.testing.assert_array_equal(plain.z, flipped.z)
    np.testing.assert_array_equal(plain.d_logits_fake, flipped.d_logits_fake)
    changed = (plain.d_logits_real.numpy() != flipped.d_logits_real.numpy()).ravel()
    assert 0 < changed.sum() < 8


def test_resuming_equals_never_having_stopped(tmp_path):
    pictures, options = blobs(12, 8), TrainOptions(epochs=3, batch_size=4, flip=True)
    whole = small()
    for _ in whole.train(pictures, options):
        pass
    part = small()
    for state in part.train(pictures, options):
        if state.step == 4:
            break
    part.save(tmp_path)
    rest = DCGAN.load(tmp_path, training=True)
    assert [s.step for s in rest.train(pictures, options)] == [5, 6, 7, 8, 9]
    assert_same_variables(values_of(whole), rest)


@pytest.mark.parametrize("pictures", [blobs(2, 16), blobs(2, 8)[:0], floats(blobs(2, 8)), blobs(2, 8)[..., :1]])
def test_pictures_of_another_kind_are_refused(pictures):
    with pytest.raises(ValueError, match="not uint8"):
        next(small().train(pictures, TrainOptions()))
    with pytest.raises(ValueError, match="not uint8"):
        next(small().complete(Incomplete(pictures, np.ones(pictures.shape[1:3])), SearchOptions()))


def test_out_of_memory_names_batch_and_size(monkeypatch):
    def no_memory(*args):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    dcgan = small()
    monkeypatch.setattr(Training, "run", no_memory)
    monkeypatch.setattr(dcgan._search_loss, "_on_devices", no_memory)
    for states in (
        dcgan.train(blobs(5, 8), TrainOptions(batch_size=5)),
        dcgan.complete(Incomplete(blobs(5, 8), np.eye(8)), SearchOptions()),
    ):
        with pytest.raises(UserError, match="out of memory with batches of 5 pictures of 8x8"):
            next(states)


# ------------------------------------------------------------------------------------------- files


def test_a_model_loads_as_it_was_saved(tmp_path):
    dcgan = DCGAN(16, c_dim=1, z_dim=7, gf_dim=8, df_dim=4)
    randomise(dcgan.generator)
    randomise(dcgan.discriminator)
    dcgan.save(tmp_path)
    loaded = DCGAN.load(tmp_path)
    assert loaded.options == NetworkOptions(image_size=16, c_dim=1, z_dim=7, gf_dim=8, df_dim=4)
    z, x = uniform((3, 7)), uniform((3, 16, 16, 1))
    np.testing.assert_array_equal(loaded.generator(z), dcgan.generator(z))
    np.testing.assert_array_equal(loaded.discriminator(x), dcgan.discriminator(x))
    with pytest.raises(UserError, match="--init"):
        DCGAN.load(tmp_path, training=True)


def test_variables_are_stored_under_names_of_their_own(tmp_path):
    dcgan = small()
    dcgan.start_training()
    dcgan.save(tmp_path)

    def stored(directory):
        names = [name for name, _ in tf.train.list_variables(tf.train.latest_checkpoint(directory))]
        return {name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE") for name in names}

    assert {
        "step",
        "generator/g_h0_lin/kernel",
        "live_generator/g_bn0/moving_mean",
        "discriminator/d_h1_lin/bias",
        "g_optimizer/generator_g_h1_kernel_momentum",
        "d_optimizer/discriminator_d_h0_conv_bias_velocity",
    } <= stored(tmp_path)
    dcgan.load(tmp_path).save(tmp_path / "bundle")
    rooms = {name.split("/")[0] for name in stored(tmp_path / "bundle")}
    assert rooms - {"_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter"} == {"step", "generator", "discriminator"}


def test_saving_changes_nothing(tmp_path):
    dcgan = small()
    next(dcgan.train(blobs(4, 8), TrainOptions(epochs=2)))
    before = values_of(dcgan)
    dcgan.save(tmp_path)
    assert_same_variables(before, dcgan)
    assert_same_variables(before, DCGAN.load(tmp_path, training=True))


def test_what_is_no_model(tmp_path):
    with pytest.raises(UserError, match="no model in"):
        DCGAN.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="no checkpoint in"):
        DCGAN.load(tmp_path)
    (tmp_path / "config.json").unlink()
    small().save(tmp_path)
    data = next(tmp_path.glob("*.data-*"))
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(UserError, match="damaged"):
        DCGAN.load(tmp_path)
    for file in tmp_path.glob("dcgan-*"):
        file.unlink()
    with pytest.raises(UserError, match="no checkpoint"):
        DCGAN.load(tmp_path)


def saved(directory, steps):
    """A model in a directory, as if it had been trained for so many steps."""
    dcgan = small()
    dcgan.step.assign(steps)
    dcgan.save(directory)


@pytest.mark.parametrize(("photos", "size"), [(False, 64), (True, 128)])
def test_without_a_model_of_ones_own_there_is_a_bundled_one(tmp_path, monkeypatch, photos, size):
    """An own model takes its place once it has learned, by itself or as the model of --init, or if it is named."""
    monkeypatch.chdir(tmp_path)
    own, mine = Path("checkpoints"), Path("mine")
    bundled = model_directory(None, photos)
    assert DCGAN.load(bundled).image_size == size
    with pytest.raises(UserError, match="no model in mine: choose"):
        model_directory(mine, photos)
    saved(own, 499)
    assert model_directory(None, photos) == bundled and model_directory(own, photos) == own
    (own / "run.json").write_text('{"learned": 1}')
    assert model_directory(None, photos) == own
    (own / "run.json").write_text("damaged")
    assert model_directory(None, photos) == bundled
    saved(own, 500)
    assert model_directory(None, photos) == own
    saved(mine, 0)
    assert model_directory(mine, photos) == mine
    monkeypatch.chdir(bundled.parent.parent)
    assert model_directory(None, photos) == Path("checkpoints", bundled.name)


@pytest.mark.parametrize(
    ("named", "steps", "words"),
    [
        (None, None, "pretrained, trained for 7096 steps"),
        (None, 12, "learned for only 12 steps: to use it anyway, add --checkpointDir checkpoints"),
        (None, 800, "checkpoints, trained for 800 steps. To use a bundled model instead, add --checkpointDir /"),
        (Path("checkpoints"), 12, "checkpoints, trained for 12 steps; results may be noise"),
        (Path("checkpoints"), 800, "checkpoints, trained for 800 steps"),
    ],
)
def test_the_model_that_is_used_is_told(tmp_path, monkeypatch, capsys, named, steps, words):
    monkeypatch.chdir(tmp_path)
    if steps:
        saved(Path("checkpoints"), steps)
    open_model(named)
    (line,) = capsys.readouterr().out.splitlines()
    assert words in line
    assert ("--checkpointDir" in line) == ("--checkpointDir" in words)


def test_checkpoints_without_their_config_are_not_overlooked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(Path("checkpoints"), 500)
    Path("checkpoints", "config.json").unlink()
    with pytest.raises(UserError, match=r"checkpoints has checkpoints but no config\.json: restore"):
        model_directory(None)


def test_a_grown_model_makes_enlarged_pictures_and_judges_by_small_ones():
    small = DCGAN(image_size=16, c_dim=3, z_dim=5, gf_dim=(24, 18), df_dim=(10, 20))
    randomise(small.generator), randomise(small.discriminator, 1)
    larger = small.grown(64)
    assert larger.options == NetworkOptions(64, 3, 5, gf_dim=(24, 18, 9, 6), df_dim=(6, 6, 10, 20))
    z = np.random.default_rng(2).uniform(-1, 1, (3, 5))
    before_tanh = zip(np.arctanh(small.generator(z)), np.arctanh(larger.generator(z)), strict=True)
    for few, many in before_tanh:  # but at the edge, where there are no neighbors
        twice = cv2.resize(cv2.resize(few, (32, 32)), (64, 64))
        np.testing.assert_allclose(many[4:-4, 4:-4], twice[4:-4, 4:-4], atol=1e-4)
    images = np.random.default_rng(3).uniform(-1, 1, (3, 64, 64, 3)).astype(np.float32)
    expected = small.discriminator(images.reshape(3, 16, 4, 16, 4, 3).mean(axis=(2, 4)))
    np.testing.assert_allclose(larger.discriminator(images), expected, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------------ search


@pytest.fixture(scope="module")
def face_model():
    return lively(16, 3)


MASK = np.ones((16, 16), bool)
MASK[4:12, 4:12] = False


def last(states):
    return list(states)[-1]


@pytest.mark.parametrize(
    "ours",
    [
        {"context_window": 0, "z_penalty": 0.0},
        {"context_window": 5, "context_floor": 0.0, "z_penalty": 3.0, "z_length": 0.0},
        {"context_window": 5, "context_floor": 0.2, "z_penalty": 3.0, "z_length": 0.4},
    ],
)
def test_the_losses_are_those_of_post_and_paper(face_model, ours):
    pictures = blobs(3, 16)
    options = replace(SearchOptions(start="random", n_iter=2, out_interval=1, lam=0.1, refine=0), **ours)
    states = list(face_model.complete(Incomplete(pictures, MASK), options))
    assert [s.iteration for s in states] == [0, 1, 2]
    z = states[0].z
    assert z.dtype == np.float32 and abs(z).max() <= 1 and z.std() > 0.5
    g, d = reference.variables_of(face_model.generator), reference.variables_of(face_model.discriminator)
    x_fake = reference.generator(g, z).numpy()
    weights = context_weights(MASK, options.context_window, options.context_floor)[..., None]
    contextual = (abs(x_fake - floats(pictures)) * weights).sum((1, 2, 3))
    perceptual = np.log1p(np.exp(-reference.discriminator(d, x_fake).numpy()[:, 0]))
    away = np.linalg.norm(z, axis=1) - options.z_length * (z.shape[1] / 3) ** 0.5
    total = contextual + 0.1 * perceptual + options.z_penalty * away**2
    np.testing.assert_allclose(states[0].losses, np.stack([contextual, perceptual, total], axis=1), rtol=1e-4)
    assert abs(states[0].generated.astype(int) - to_uint8(x_fake).numpy()).max() <= 1


def test_a_discriminator_whose_opinion_has_no_weight_is_not_asked(face_model):
    state = last(face_model.complete(Incomplete(blobs(2, 16), MASK), SearchOptions(n_iter=1, z_penalty=0.0, refine=0)))
    contextual, perceptual, total = state.losses.T
    assert np.isnan(perceptual).all() and (contextual == total).all() and np.isfinite(total).all()


@pytest.mark.parametrize("approach", ["adam", "pgd"])
def test_two_iterations_equal_their_recomputation(face_model, approach):
    options = replace(
        POST,
        approach=approach,
        n_iter=2,
        out_interval=1,
        lr=0.02 if approach == "adam" else 1e-4,
        beta1=0.8,
        beta2=0.99,
        eps=1e-3,
        momentum=0.7,
        lam=5,
    )
    pictures = blobs(2, 16)
    first, second, third = (s.z for s in face_model.complete(Incomplete(pictures, MASK), options))
    g, d = reference.variables_of(face_model.generator), reference.variables_of(face_model.discriminator)

    def gradient(z):
        z = tf.constant(z)
        with tf.GradientTape() as tape:
            tape.watch(z)
            x_fake = reference.generator(g, z)
            loss = tf.reduce_sum(abs(x_fake - floats(pictures)) * MASK[..., None].astype(np.float32))
            loss += 5 * tf.reduce_sum(tf.math.softplus(-reference.discriminator(d, x_fake)))
        return tape.gradient(loss, z).numpy()

    g1, g2 = gradient(first), gradient(second)
    if approach == "adam":  # by its definition: unbiased means of gradients and squares
        z1 = first - 0.02 * g1 / (abs(g1) + 1e-3)
        m = (0.8 * 0.2 * g1 + 0.2 * g2) / (1 - 0.8**2)
        v = (0.99 * 0.01 * g1**2 + 0.01 * g2**2) / (1 - 0.99**2)
        z2 = second - 0.02 * m / (np.sqrt(v) + 1e-3)
    else:  # v = momentum v - lr g; z += -momentum v_previous + (1 + momentum) v
        v1 = -1e-4 * g1
        v2 = 0.7 * v1 - 1e-4 * g2
        z1 = first + 1.7 * v1
        z2 = second - 0.7 * v1 + 1.7 * v2
    np.testing.assert_allclose(second, np.clip(z1, -1, 1), atol=1e-4)
    np.testing.assert_allclose(third, np.clip(z2, -1, 1), atol=1e-3)


def test_frames_are_drawn_when_they_are_due(face_model):
    def drawn(**options):
        search = SearchOptions(n_iter=3, refine_iter=2, **options)
        states = face_model.complete(Incomplete(blobs(2, 16), MASK), search)
        return [state.iteration for state in states if state.generated is not None]

    assert drawn(out_interval=2) == [0, 2, 4, 5]
    assert drawn(out_interval=0) == [5]


def test_the_first_z(face_model):
    def first(start, mask=MASK, photos=(0, 1)):
        options = SearchOptions(start=start, n_iter=1)
        return next(face_model.complete(Incomplete(pictures, mask, ids=[*map(Face, photos)]), options)).z

    known = face_model.generator(uniform((2, 100), seed=3) * 0.5)
    pictures = to_uint8(known).numpy()
    assert (first("zero") == 0).all()
    np.testing.assert_array_equal(first("random")[1], Cube.random(0, Face(1), 100).astype(np.float32))
    np.testing.assert_array_equal(first("random", photos=(1, 5))[0], Cube.random(0, Face(1), 100).astype(np.float32))


def test_z_stays_in_its_cube(face_model):
    options = replace(POST, n_iter=3, lr=5.0)
    assert abs(last(face_model.complete(Incomplete(blobs(2, 16), MASK), options)).z).max() == 1


def test_known_pixels_survive_and_the_hole_is_not_read(face_model):
    pictures, options = blobs(2, 16), SearchOptions(n_iter=5)
    scrambled = pictures.copy()
    scrambled[:, ~MASK] = np.random.default_rng(0).integers(0, 256, scrambled[:, ~MASK].shape)
    a, b = (last(face_model.complete(Incomplete(p, MASK), options)) for p in (pictures, scrambled))
    np.testing.assert_array_equal(a.completed[:, MASK], pictures[:, MASK])
    np.testing.assert_array_equal(a.completed[:, ~MASK], a.generated[:, ~MASK])
    np.testing.assert_array_equal(a.completed, b.completed)
    np.testing.assert_array_equal(a.z, b.z)


@pytest.fixture(scope="module", params=["float32", "mixed"])
def bundled(request):
    """The bundled model in both precisions. Rounding errors grow to other faces, but only in a trained model."""
    return DCGAN.load("checkpoints/pretrained", precision=request.param)


@pytest.mark.parametrize("approach", ["lbfgs", "adam", "pgd", "hmc"])
@pytest.mark.slow
def test_a_completion_does_not_depend_on_its_batch(bundled, approach):
    """To the last bit, alone and in batches of each size that is computed differently."""
    mask = np.ones((64, 64), bool)
    mask[16:48, 16:48] = False
    incomplete = Incomplete(to_uint8(bundled.generator(uniform((9, 100), seed=3))).numpy(), mask)
    options = SearchOptions(out_interval=0) if approach == "lbfgs" else SearchOptions(approach, n_iter=4, lam=0.1)
    whole = last(bundled.complete(incomplete, replace(options, out_interval=0, hmc_l=3)))
    for part in (slice(0, 1), slice(1, 4), slice(4, 9)):
        some = last(bundled.complete(incomplete[part], replace(options, out_interval=0, hmc_l=3)))
        np.testing.assert_array_equal(some.z, whole.z[part])
        np.testing.assert_array_equal(some.completed, whole.completed[part])


@pytest.mark.parametrize(("approach", "n_iter", "lr"), [("lbfgs", 50, 1.0), ("adam", 300, 0.05), ("pgd", 300, 1e-3)])
def test_a_generated_picture_is_found_again(face_model, approach, n_iter, lr):
    """Wholly visible and from a known z: the contextual loss falls to a fifth."""
    pictures = to_uint8(face_model.generator(uniform((4, 100), seed=9) * 0.5)).numpy()
    options = replace(POST, approach=approach, n_iter=n_iter, lr=lr)
    states = list(face_model.complete(Incomplete(pictures, np.ones((16, 16))), options))
    assert (states[-1].losses[:, 0] < states[0].losses[:, 0] / 5).all()


def test_lowres_sees_block_means_alone(face_model):
    pictures, options = blobs(2, 16), SearchOptions(n_iter=5, start="random", refine=0)
    hidden = np.zeros((16, 16), bool)
    means = block_means(floats(pictures), 8).numpy()
    mirrored = pictures.reshape(2, 2, 8, 2, 8, 3)[:, :, ::-1, :, ::-1].reshape(pictures.shape)  # within blocks
    a, b = (last(face_model.complete(Incomplete(p, hidden, lowres=8), options)) for p in (pictures, mirrored))
    np.testing.assert_allclose(a.z, b.z, atol=1e-3)
    contextual = abs(block_means(face_model.generator(a.z), 8) - means).numpy().sum((1, 2, 3))
    np.testing.assert_allclose(a.losses[:, 0], contextual, rtol=1e-4)
    longer = np.linalg.norm(a.z, axis=1) - options.z_length * np.sqrt(100 / 3)
    np.testing.assert_allclose(a.losses[:, 2], contextual + options.z_penalty / 8**2 * longer**2, rtol=1e-4)
