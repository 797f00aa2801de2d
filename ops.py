"""The DCGAN's building blocks (Radford et al., arXiv:1511.06434), thin over Keras layers.

Images and feature maps are NHWC float32. Who needs TensorFlow or Keras takes them from here: they are imported
quietly, once.
"""

import os

from utils import quiet_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read once, when TensorFlow is imported
# Keras would obey a settings file in the home directory, and write one where there is none.
os.environ.update(KERAS_BACKEND="tensorflow", KERAS_HOME=os.devnull)
with quiet_stderr():
    import keras
    import tensorflow as tf

tf.get_logger().setLevel("ERROR")


class Weights(keras.initializers.RandomNormal):
    """Initial weights N(0, 0.02); one object shared by a network's layers draws each its own from the seed."""

    def __init__(self, seed: int):
        super().__init__(stddev=0.02, seed=keras.random.SeedGenerator(seed))


def fill_rows(x):
    """Rows of zeros below [B, n], up to a multiple of 16 rows.

    A completion must not change, to the last bit, with the number of pictures beside it. Convolutions keep to that.
    Matrix products and exponentials do not: they treat a few rows, or the last few, in another way than many.
    """
    return tf.pad(x, [[0, -tf.shape(x)[0] % 16], [0, 0]])


class Linear(keras.layers.Dense):
    """A dense layer whose row i does not depend, to the last bit, on how many rows there are."""

    def call(self, x, training=None):
        return super().call(fill_rows(x))[: tf.shape(x)[0]]


def linear(units: int, weights: Weights, name: str) -> keras.layers.Layer:
    """[B, n] -> [B, units], with bias."""
    return Linear(units, kernel_initializer=weights, name=name)


def conv2d(filters: int, weights: Weights, name: str) -> keras.layers.Layer:
    """[B, 2s, 2s, c] -> [B, s, s, filters]: 5x5 kernel, stride 2, SAME, with bias."""
    return keras.layers.Conv2D(filters, 5, strides=2, padding="same", kernel_initializer=weights, name=name)


def conv2d_transpose(filters: int, weights: Weights, name: str) -> keras.layers.Layer:
    """[B, s, s, c] -> [B, 2s, 2s, filters]: 5x5 kernel, stride 2, SAME, with bias."""
    return keras.layers.Conv2DTranspose(filters, 5, strides=2, padding="same", kernel_initializer=weights, name=name)


def batch_norm(name: str) -> keras.layers.Layer:
    """Normalises each channel: by the batch when training, by the moving statistics (momentum 0.9) otherwise."""
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)


def lrelu() -> keras.layers.Layer:
    """max(x, 0.2 x)."""
    return keras.layers.LeakyReLU(negative_slope=0.2)


class Adam(keras.optimizers.Adam):
    """Keras' Adam with TensorFlow's own kernel, which updates a variable in one pass over memory instead of ten."""

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        t = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**t,
            beta2_power=self.beta_2**t,
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
