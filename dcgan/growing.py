"""Grows networks to pictures of twice the side.

At first the larger G makes the same pictures, enlarged, and the larger D judges pictures by their means of 2x2 pixels
(after Chen et al., "Net2Net", arXiv:1511.05641). Signed values pass through an activation as two channels:
relu(a) - relu(-a) = a, and lrelu(a) - lrelu(-a) = 1.2 a.
"""

import numpy as np

from kernels.tensorflow import keras, tf

# Rows of the kernels of conv2d_transpose and conv2d in ops.py: linear interpolation between the centers of pixels, and
# the mean of two pixels.
_TWICE, _HALF = np.array([0.25, 0.75, 0.75, 0.25, 0]), np.array([0, 0.5, 0.5, 0, 0])
ENLARGING, HALVING = np.outer(_TWICE, _TWICE), np.outer(_HALF, _HALF)


def grow_generator(small: keras.Model, large: keras.Model, z: np.ndarray) -> None:
    """Gives `large` the weights of `small`. z: [N, z_dim], sets the statistics of batch normalization."""
    kept = len(small.layers) - 2
    _copy(small.layers[:kept], large.layers[:kept])
    to_pixels, (to_maps, norm, _, last) = small.layers[kept], large.layers[kept:-1]
    kernel, bias = to_pixels.get_weights()
    n = len(bias)
    kernels, biases = to_maps.get_weights()
    kernels[:, :, : 2 * n], biases[: 2 * n] = np.concatenate([kernel, -kernel], axis=2), [*bias, *-bias]
    to_maps.set_weights([kernels, biases])
    _pass_through(norm, _output(large.layers[: kept + 1], z), 2 * n)
    enlarge, bias = map(np.zeros_like, last.get_weights())
    for i in range(n):
        enlarge[:, :, i, i], enlarge[:, :, i, n + i] = ENLARGING, -ENLARGING
    last.set_weights([enlarge, bias])


def grow_discriminator(small: keras.Model, large: keras.Model, images: np.ndarray) -> None:
    """Gives `large` the weights of `small`. images: [N, H, W, c], set the statistics of batch normalization."""
    kept = len(small.layers) - 1
    _copy(small.layers[1:], large.layers[-kept:])
    (first, activation, to_maps, norm), of_pixels = large.layers[:4], small.layers[0]
    kernel, bias = of_pixels.get_weights()
    n = kernel.shape[2]
    halve, biases = first.get_weights()
    for i in range(n):
        halve[:, :, :, [i, n + i]] = 0
        halve[:, :, i, i], halve[:, :, i, n + i] = HALVING, -HALVING
    first.set_weights([halve, biases])
    kernels = np.zeros_like(to_maps.get_weights()[0])
    kernels[:, :, : 2 * n] = np.concatenate([kernel, -kernel], axis=2) / (1 + activation.negative_slope)
    to_maps.set_weights([kernels, bias])
    _pass_through(norm, _output(large.layers[:3], images), len(bias))


def _copy(layers, others) -> None:
    for layer, other in zip(layers, others, strict=True):
        other.set_weights(layer.get_weights())


def _output(layers, x):
    for layer in layers:
        x = layer(x)
    return tf.cast(x, tf.float32)


def _pass_through(norm: keras.layers.Layer, maps, channels: int) -> None:
    """Sets the statistics to those of the `maps`, and gamma and beta so that the first `channels` stay unchanged."""
    mean, variance = (moment.numpy() for moment in tf.nn.moments(maps, [0, 1, 2]))
    gamma, beta = np.ones_like(mean), np.zeros_like(mean)
    gamma[:channels], beta[:channels] = np.sqrt(variance + norm.epsilon)[:channels], mean[:channels]
    norm.set_weights([gamma, beta, mean, variance])
