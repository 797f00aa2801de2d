"""The DCGAN's building blocks (Radford et al., arXiv:1511.06434), thin over Keras layers.

Images and feature maps are NHWC float32. Who needs TensorFlow or Keras takes them from here: they are imported
quietly, once.
"""

import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from utils import UserError, quiet_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read once, when TensorFlow is imported
# Keras would obey a settings file in the home directory, and write one where there is none.
os.environ.update(KERAS_BACKEND="tensorflow", KERAS_HOME=os.devnull)
with quiet_stderr():
    import keras
    import tensorflow as tf

tf.get_logger().setLevel("ERROR")

DAMAGE = (tf.errors.OpError, ValueError, IndexError)  # what TensorFlow raises on files that are damaged
PATTERN = frozenset("*?[]\\") - {os.sep}  # what TensorFlow does not take for itself in a name


class Weights(keras.initializers.RandomNormal):
    """Initial weights N(0, 0.02); one object shared by a network's layers draws each its own from the seed."""

    def __init__(self, seed: int):
        super().__init__(stddev=0.02, seed=keras.random.SeedGenerator(seed))


def fill_batch(x: np.ndarray) -> np.ndarray:
    """Zeros added to [B, ...], up to 1, 2, 4, 8 or a multiple of 16 items.

    On some processors a convolution of 3, 5 or 17 pictures differs in the last bits from one of 4, 8 or 32, and a
    completion must not change with the number of pictures beside it.
    """
    size = 1 << (len(x) - 1).bit_length() if len(x) <= 16 else -(-len(x) // 16) * 16
    return np.concatenate([x, np.zeros((size - len(x), *x.shape[1:]), x.dtype)])


def fill_rows(x):
    """Rows of zeros below [B, n], up to a multiple of 16 rows.

    Matrix products and exponentials treat a few rows, or the last few, in another way than many.
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


def named_variables(name: str, network: keras.Model) -> dict[str, tf.Variable]:
    """A network's variables under names of their own, `name/layer/variable`, not under where Python keeps them."""
    return {
        f"{name}/{layer.name}/{variable.name}": variable.value
        for layer in network.layers
        for variable in layer.variables
    }


def to_float(pixels):
    """uint8 pixels to float32 in [-1, 1], on the device that holds them."""
    return tf.cast(pixels, tf.float32) / 127.5 - 1


def to_uint8(images) -> np.ndarray:
    """Images in [-1, 1] to the nearest uint8; what is not a number is black."""
    pixels = (np.clip(images, -1, 1) + 1) * 127.5
    return np.nan_to_num(pixels).round().astype(np.uint8)


def cross_entropy(logits, label: float):
    """Mean sigmoid cross-entropy of logits, all with one label, 1 for real and 0 for fake."""
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.fill(tf.shape(logits), label), logits))


def random_flip(images, seed):
    """Mirrors about half of the images [B, H, W, C]; which ones follows from `seed`, two integers."""
    coins = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed)
    return tf.where(coins < 0.5, images, images[:, :, ::-1])


def block_means(images, side: int):
    """[B, H, W, C] -> [B, H / side, W / side, C]: the means of side x side blocks."""
    return tf.nn.avg_pool2d(images, side, side, "VALID")


@contextmanager
def enough_memory(batch_size: int, image_size: int) -> Iterator[None]:
    """UserError if the device runs out of memory in here."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise UserError(
            f"out of memory with batches of {batch_size} pictures of {image_size}x{image_size}: name a smaller batch"
        ) from error


@contextmanager
def plain_path(path: Path) -> Iterator[str]:
    """A folder, or what the names of files begin with, under a name that TensorFlow takes as it is, while in here.

    It would read `ck[1]` as a pattern, and knows no names that are not UTF-8.
    """
    whole = os.path.abspath(path)
    if not PATTERN & set(whole) and whole.isprintable():
        yield whole
        return
    files = [path] if path.is_dir() else [file for file in path.parent.iterdir() if file.name.startswith(path.name)]
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            Path(folder, "plain" + file.name[len(path.name) :]).symlink_to(file.absolute())
        yield os.path.join(folder, "plain")


def event_writer(directory: Path, suffix: str | None = None) -> tf.summary.SummaryWriter:
    """A writer of TensorBoard's files in a directory of any name; the files' names end in `suffix` if it is given."""
    while_in_use = ExitStack()
    writer = tf.summary.create_file_writer(while_in_use.enter_context(plain_path(directory)), filename_suffix=suffix)
    weakref.finalize(writer, while_in_use.close)
    return writer
