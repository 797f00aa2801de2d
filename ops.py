"""The layers and losses of the DCGAN papers (Radford et al., arXiv:1511.06434), thin over Keras.

Images and feature maps are NHWC float32, unless layers are made within `computing_in`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from kernels.convolutions import Conv2D, Conv2DTranspose
from kernels.layers import BatchNorm, Linear
from kernels.tensorflow import keras, tf


class Weights(keras.initializers.RandomNormal):
    """Initial weights N(0, 0.02), or zeros without a seed, where others replace them.

    One object initializes all layers of a network; each layer draws its own weights.
    """

    def __init__(self, seed: int | None):
        super().__init__(stddev=0.02, seed=keras.random.SeedGenerator(seed))
        self.random = seed is not None

    def __call__(self, shape, dtype=None):
        return super().__call__(shape, dtype) if self.random else tf.zeros(shape, dtype or tf.float32)


@contextmanager
def computing_in(policy: str) -> Iterator[None]:
    """Layers made in here compute by this Keras dtype policy, such as `mixed_bfloat16`. Variables stay float32.

    `linear` layers always compute in float32: at the ends of a network precision matters more than time.
    """
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(usual)


# -------------------------------------------------------------------------------------------------- layers


def linear(units: int, weights: Weights, name: str) -> keras.layers.Layer:
    """[B, n] -> [B, units], with bias, float32."""
    return Linear(units, kernel_initializer=weights, name=name, dtype="float32")


def conv2d(filters: int, weights: Weights, name: str) -> keras.layers.Layer:
    """[B, 2s, 2s, c] -> [B, s, s, filters]: 5x5 kernel, stride 2, SAME, with bias."""
    return Conv2D(filters, 5, strides=2, padding="same", kernel_initializer=weights, name=name)


def conv2d_transpose(filters: int, weights: Weights, name: str) -> keras.layers.Layer:
    """[B, s, s, c] -> [B, 2s, 2s, filters]: 5x5 kernel, stride 2, SAME, with bias."""
    return Conv2DTranspose(filters, 5, strides=2, padding="same", kernel_initializer=weights, name=name)


def batch_norm(name: str) -> keras.layers.Layer:
    """Normalizes each channel: by the batch in training, else by moving statistics (momentum 0.9), in float32."""
    return BatchNorm(momentum=0.9, epsilon=1e-5, name=name)


def lrelu() -> keras.layers.Layer:
    """max(x, 0.2 x)."""
    return keras.layers.LeakyReLU(negative_slope=0.2)


# -------------------------------------------------------------------------------------------------- losses


def cross_entropy(logits, label: float):
    """Mean sigmoid cross-entropy of logits that share one label: 1 for real, 0 for fake."""
    # TensorFlow's own function has a gradient of three terms, whose order of summation varies between runs.
    return tf.reduce_mean(tf.nn.softplus(-logits if label else logits))


# -------------------------------------------------------------------------------------------------- images


def to_float(pixels):
    """uint8 pixels -> float32 in [-1, 1], on the device that holds them."""
    return tf.cast(pixels, tf.float32) / 127.5 - 1


def to_uint8(images):
    """Images in [-1, 1] -> the nearest uint8, on the device that holds them; NaN becomes 0."""
    pixels = tf.round((tf.clip_by_value(images, -1, 1) + 1) * 127.5)
    return tf.cast(tf.where(tf.math.is_nan(pixels), 0.0, pixels), tf.uint8)


def random_flip(images, coins):
    """Mirrors those images [B, H, W, C] whose coin, [B] in [0, 1), is at least 0.5."""
    return tf.where(coins[:, None, None, None] < 0.5, images, images[:, :, ::-1])


def block_means(images, side: int):
    """[B, H, W, C] -> [B, H / side, W / side, C]: the means of side x side blocks."""
    return tf.nn.avg_pool2d(images, side, side, "VALID")
