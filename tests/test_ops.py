"""The building blocks against NumPy."""

import numpy as np
import pytest

import ops
from dcgan.checkpoints import named_variables
from kernels import convolutions
from kernels.layers import Adam, fill_batch, fill_rows
from kernels.tensorflow import enough_memory, keras, tf
from utils import UserError

RNG = np.random.default_rng(0)


def built(layer, x):
    """The layer, built for x, with random biases, and its output."""
    layer.build(x.shape)
    layer.bias.assign(RNG.normal(size=layer.bias.shape))
    return layer, layer(x).numpy()


def convolve(x, kernel):
    """5x5, stride 2, SAME: an even input is padded by one before and two after."""
    n, side, _, _ = x.shape
    padded = np.pad(x, [(0, 0), (1, 2), (1, 2), (0, 0)])
    out = np.zeros((n, side // 2, side // 2, kernel.shape[3]))
    for i in range(side // 2):
        for j in range(side // 2):
            out[:, i, j] = np.einsum("nhwc,hwco->no", padded[:, 2 * i : 2 * i + 5, 2 * j : 2 * j + 5], kernel)
    return out


def transposed_convolve(x, kernel):
    """The adjoint of `convolve`: spreads each pixel over 5x5 of twice the size."""
    n, side, _, _ = x.shape
    out = np.zeros((n, 2 * side + 3, 2 * side + 3, kernel.shape[2]))
    for i in range(side):
        for j in range(side):
            out[:, 2 * i : 2 * i + 5, 2 * j : 2 * j + 5] += np.einsum("nc,hwoc->nhwo", x[:, i, j], kernel)
    return out[:, 1:-2, 1:-2]


def test_conv2d():
    x = RNG.normal(size=(2, 8, 8, 3)).astype(np.float32)
    layer, y = built(ops.conv2d(4, ops.Weights(0), "c"), x)
    assert y.shape == (2, 4, 4, 4)
    np.testing.assert_allclose(y, convolve(x, layer.kernel.numpy()) + layer.bias.numpy(), atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 5])  # few are made in another way
def test_conv2d_transpose(channels):
    x = RNG.normal(size=(2, 4, 4, 3)).astype(np.float32)
    layer, y = built(ops.conv2d_transpose(channels, ops.Weights(0), "c"), x)
    assert y.shape == (2, 8, 8, channels)
    np.testing.assert_allclose(y, transposed_convolve(x, layer.kernel.numpy()) + layer.bias.numpy(), atol=1e-5)


@pytest.mark.parametrize("channels", [3, 5])
@pytest.mark.parametrize("back", [False, True])
def test_gradients_of_a_convolution_and_of_what_takes_it_back(channels, back):
    """<convolve(large), small> = <large, transposed_convolve(small)>, and in both the kernel's part is the same."""
    large = tf.constant(RNG.normal(size=(2, 8, 8, channels)), tf.float32)
    small = tf.constant(RNG.normal(size=(2, 4, 4, 6)), tf.float32)
    x, dy = (small, large) if back else (large, small)
    layer, _ = built(
        ops.conv2d_transpose(channels, ops.Weights(0), "c") if back else ops.conv2d(6, ops.Weights(0), "c"), x
    )
    with tf.GradientTape() as tape:
        tape.watch(x)
        product = tf.reduce_sum(layer(x) * dy)
    by_x, by_kernel = tape.gradient(product, [x, layer.kernel])
    expected = (convolve if back else transposed_convolve)(dy.numpy(), layer.kernel.numpy())
    np.testing.assert_allclose(by_x, expected, atol=1e-5)
    for place in np.ndindex(5, 5, channels):
        one = np.zeros(by_kernel.shape)
        one[place] = 1
        expected = (convolve(large.numpy(), one) * small.numpy()).sum(axis=(0, 1, 2))
        np.testing.assert_allclose(by_kernel[place], expected, atol=1e-3)


def forbidden(*args, **kwargs):
    raise AssertionError("this is to be a product of matrices")


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(("layer", "side", "channels"), [(ops.conv2d, 16, 3), (ops.conv2d_transpose, 4, 6)])
def test_products_of_matrices_are_convolutions(layer, side, channels, policy, monkeypatch):
    """With the gradients, of any number of pictures; numbers of few bits make both exact."""
    x = tf.constant(RNG.integers(-2, 3, (3, side, side, channels)), policy.removeprefix("mixed_"))
    weights = RNG.integers(-2, 3, (5, 5, channels, 5) if layer == ops.conv2d else (5, 5, 5, channels))
    found = []
    for largest in (0, 16):
        monkeypatch.setattr(convolutions, "SMALL", largest)
        monkeypatch.setattr(convolutions, "SMALL_IN_KERNEL_GRADIENT", {"float32": largest, "bfloat16": largest})
        with ops.computing_in(policy):
            conv = layer(5, ops.Weights(0), "c")
        conv.build(x.shape)
        conv.kernel.assign(weights)

        @tf.function(input_signature=[tf.TensorSpec([None, *x.shape[1:]], x.dtype)])
        def with_gradients(x, conv=conv):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = conv(x, training=True)
                loss = tf.reduce_sum(y[:, ::2] - 2 * y[:, 1::2])
            return y, *tape.gradient(loss, [x, conv.kernel, conv.bias])

        found.append(with_gradients(x))
        for owner, name in ((tf.nn, "conv2d"), (tf.nn, "conv2d_transpose"), (tf.raw_ops, "Conv2DBackpropFilter")):
            monkeypatch.setattr(owner, name, forbidden)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(tf.cast(a, tf.float32), tf.cast(b, tf.float32))
    assert found[0][2].numpy().any()


def test_linear():
    x = RNG.normal(size=(3, 7)).astype(np.float32)
    layer, y = built(ops.linear(5, ops.Weights(0), "l"), x)
    np.testing.assert_allclose(y, x @ layer.kernel.numpy() + layer.bias.numpy(), atol=1e-6)


def test_fill_rows_and_fill_batch():
    x = np.ones((5, 3), np.float32)
    np.testing.assert_array_equal(fill_rows(x), np.concatenate([x, np.zeros((11, 3))]))
    for n, filled in ((1, 1), (2, 2), (3, 4), (5, 8), (8, 8), (9, 16), (16, 16), (17, 32), (32, 32), (33, 48)):
        pictures = np.full((n, 2, 2, 1), 7, np.uint8)
        batch = fill_batch(pictures)
        assert batch.shape == (filled, 2, 2, 1) and batch.dtype == np.uint8
        assert (batch[:n] == 7).all() and not batch[n:].any()
    for n, filled in ((1, 3), (3, 3), (4, 6), (48, 48), (49, 96)):
        assert len(fill_batch(np.zeros((n, 2)), devices=3)) == filled


@pytest.mark.parametrize("rows", [1, 2, 5, 16, 40])
def test_a_row_of_linear_does_not_depend_on_the_others(rows):
    x = RNG.normal(size=(64, 100)).astype(np.float32)
    layer = ops.linear(2048, ops.Weights(0), "l")
    np.testing.assert_array_equal(layer(x[:rows]), layer(x)[:rows])


def test_batch_norm():
    x = RNG.normal(3, 2, size=(6, 4, 4, 2)).astype(np.float32)
    layer = ops.batch_norm("b")
    layer.build(x.shape)
    np.testing.assert_allclose(layer(x), x / np.sqrt(1 + 1e-5), rtol=1e-6)  # moving statistics start at 0 and 1
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    normalised = (x - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(layer(x, training=True), normalised, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * variance, rtol=1e-5)


def test_lrelu():
    np.testing.assert_allclose(ops.lrelu()(np.float32([-2, 0, 3])), [-0.4, 0, 3])


def test_adam():
    """Three steps against Kingma & Ba's algorithm 1; epsilon stands beside the biased root, as in their section 2."""
    gradients = RNG.normal(size=(3, 4, 5)).astype(np.float32)
    variable = keras.Variable(np.ones((4, 5), np.float32))
    optimizer = Adam(0.01, beta_1=0.5, epsilon=1e-8)
    x, m, v = np.ones((4, 5)), 0, 0
    for t, gradient in enumerate(gradients, 1):
        optimizer.apply([tf.constant(gradient)], [variable])
        m, v = 0.5 * m + 0.5 * gradient, 0.999 * v + 0.001 * gradient**2
        x -= 0.01 * np.sqrt(1 - 0.999**t) / (1 - 0.5**t) * m / (np.sqrt(v) + 1e-8)
        np.testing.assert_allclose(variable, x, rtol=1e-5)


def test_weights():
    draws = [ops.Weights(seed) for seed in (1, 1, 2)]
    first, same, other = (np.asarray(weights((200, 200))) for weights in draws)
    assert abs(first.mean()) < 5e-4 and abs(first.std() - 0.02) < 5e-4
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()
    assert (first != np.asarray(draws[0]((200, 200)))).any()  # the next layer's are others
    assert not np.any(ops.Weights(None)((3, 3)))


def test_scaling_there_and_back():
    pixels = np.arange(256, dtype=np.uint8)
    images = ops.to_float(pixels).numpy()
    assert images.dtype == np.float32 and images[0] == -1 and images[-1] == 1
    np.testing.assert_array_equal(ops.to_uint8(images), pixels)
    np.testing.assert_array_equal(ops.to_uint8(np.array([-3, -1, 0.001, 1, 3])), [0, 0, 128, 255, 255])


def test_cross_entropy():
    logits = RNG.uniform(-4, 4, (5, 1)).astype(np.float32)
    probability = 1 / (1 + np.exp(-logits))
    assert ops.cross_entropy(logits, 1.0).numpy() == pytest.approx(-np.log(probability).mean(), rel=1e-5)
    assert ops.cross_entropy(logits, 0.0).numpy() == pytest.approx(-np.log(1 - probability).mean(), rel=1e-5)


def test_random_flip_mirrors_about_half_of_the_pictures():
    images = RNG.uniform(-1, 1, (400, 2, 6, 3)).astype(np.float32)
    coins = RNG.uniform(0, 1, 400).astype(np.float32)
    flipped = ops.random_flip(images, coins).numpy()
    mirrored = (flipped == images[:, :, ::-1]).all((1, 2, 3))
    assert (mirrored | (flipped == images).all((1, 2, 3))).all()
    assert 0.4 < mirrored.mean() < 0.6
    np.testing.assert_array_equal(mirrored, coins >= 0.5)


def test_block_means():
    images = RNG.uniform(-1, 1, (2, 16, 24, 3)).astype(np.float32)
    means = ops.block_means(images, 8).numpy()
    assert means.shape == (2, 2, 3, 3)
    np.testing.assert_allclose(means[1, 0, 2], images[1, :8, 16:].mean((0, 1)), rtol=1e-5)


def test_out_of_memory_is_for_the_user_to_mend():
    message = "batches of 7 pictures of 64x64: use a smaller batch"
    with pytest.raises(UserError, match=message), enough_memory(7, 64):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    with pytest.raises(ZeroDivisionError), enough_memory(7, 64):
        raise ZeroDivisionError


def test_variables_have_names_of_their_own():
    network = keras.Sequential([keras.Input((4, 4, 2)), ops.conv2d(3, ops.Weights(0), "c"), ops.batch_norm("b")])
    variables = named_variables("net", network)
    statistics = ["net/b/beta", "net/b/gamma", "net/b/moving_mean", "net/b/moving_variance"]
    assert sorted(variables) == [*statistics, "net/c/bias", "net/c/kernel"]
    variables["net/c/bias"].assign([1, 2, 3])
    np.testing.assert_array_equal(network.get_layer("c").bias, [1, 2, 3])
