"""The DCGAN's building blocks (Radford et al., arXiv:1511.06434), thin over Keras layers.

Images are NHWC float32, and so are feature maps, unless layers are made within `computing_in`. Who needs TensorFlow or
Keras takes them from here: they are imported quietly, once.
"""

import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np

from utils import UserError, quiet_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read once, when TensorFlow is imported
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # others may want some of the GPU's memory
# Keras would obey a settings file in the home directory, and write one where there is none.
os.environ.update(KERAS_BACKEND="tensorflow", KERAS_HOME=os.devnull)
with quiet_stderr():
    import keras
    import tensorflow as tf

    GPUS = tf.config.list_physical_devices("GPU")  # looked for in here, for CUDA's libraries say things, too

tf.get_logger().setLevel("ERROR")

DAMAGE = (tf.errors.OpError, ValueError, IndexError)  # what TensorFlow raises on files that are damaged
PATTERN = frozenset("*?[]\\") - {os.sep}  # what TensorFlow does not take for itself in a name


class Weights(keras.initializers.RandomNormal):
    """Initial weights N(0, 0.02); one object shared by a network's layers draws each its own from the seed."""

    def __init__(self, seed: int):
        super().__init__(stddev=0.02, seed=keras.random.SeedGenerator(seed))


def fill_batch(x: np.ndarray, devices: int = 1) -> np.ndarray:
    """Zeros added to [B, ...], up to 1, 2, 4, 8 or a multiple of 16 items for each of the devices.

    On most processors a convolution of 3, 5 or 17 pictures differs in the last bits from one of 4, 8 or 32, and a
    completion is to change as little as can be with the number of pictures beside it.
    """
    each = -(-len(x) // devices)
    size = devices * (1 << (each - 1).bit_length() if each <= 16 else -(-each // 16) * 16)
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


@contextmanager
def computing_in(policy: str) -> Iterator[None]:
    """Layers made in here compute as Keras' dtype policy says, `mixed_bfloat16` for one. Their variables are float32.

    At the ends of a network a few bits are worth more than the little time: `linear` layers compute in float32.
    """
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(usual)


def linear(units: int, weights: Weights, name: str) -> keras.layers.Layer:
    """[B, n] -> [B, units], with bias, float32."""
    return Linear(units, kernel_initializer=weights, name=name, dtype="float32")


def processor_flags() -> set[str]:
    """What the processor can do, in Linux' words; TensorFlow does not tell. Empty on another system."""
    with suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:  # the first core's are enough, of what may be hundreds
            if line.startswith("flags"):
                return set(line.split())
    return set()


# The CPU's own convolutions, oneDNN's, are slow on the few channels of pictures, and on small maps. On maps up to these
# sides, of the larger of the two, products of matrices take less time: on processors with AMX in either precision, the
# kernel's gradient a quarter; in bfloat16 without AMX in that gradient alone; in float32 with AVX2 nowhere.
if GPUS:
    FEW_CHANNELS, SMALL, SMALL_IN_KERNEL_GRADIENT = 0, 0, {}
elif "amx_bf16" in processor_flags():
    FEW_CHANNELS, SMALL, SMALL_IN_KERNEL_GRADIENT = 4, 8, {"float32": 8, "bfloat16": 16}
else:
    FEW_CHANNELS, SMALL, SMALL_IN_KERNEL_GRADIENT = 4, 0, {"bfloat16": 8}


def _im2col(maps, rows: np.ndarray, columns: np.ndarray):
    """[B * n * n, T * U * c]: for place (i, j) of n x n what `maps` [B, s, s, c] has at rows[i, t] and columns[j, u].

    Zeros beyond the edge. A convolution is the product of this with its kernel as a matrix.
    """
    side, c = maps.shape[1], maps.shape[3]
    row, column = rows[:, None, :, None], columns[None, :, None, :]
    inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
    places = np.where(inside, row * side + column, side * side)
    with_zeros = tf.pad(tf.reshape(maps, [-1, side * side, c]), [[0, 0], [0, 1], [0, 0]])
    return tf.reshape(tf.gather(with_zeros, places.ravel(), axis=1), [-1, rows.shape[1] * columns.shape[1] * c])


def _patches(large):
    """[B * s * s, 25 * c]: the 5x5 of `large` [B, 2s, 2s, c] that each place of its convolution sees."""
    rows = 2 * np.arange(large.shape[1] // 2)[:, None] + np.arange(-1, 4)  # SAME: one before an even side, two after it
    return _im2col(large, rows, rows)


def _convolution(x, kernel):
    """x [B, 2s, 2s, c] by the kernel [5, 5, c, n]: [B, s, s, n]."""
    _, side, _, c = x.shape
    if side > SMALL:
        return tf.nn.conv2d(x, kernel, 2, "SAME")
    product = tf.matmul(_patches(x), tf.reshape(kernel, [25 * c, -1]))
    return tf.reshape(product, [-1, side // 2, side // 2, product.shape[1]])


def _kernel_gradient(large, small):
    """Of a convolution of `large` [B, 2s, 2s, c] whose output has the gradient `small` [B, s, s, n]: [5, 5, c, n]."""
    c, n = large.shape[-1], small.shape[-1]
    if large.shape[1] > SMALL_IN_KERNEL_GRADIENT.get(large.dtype.name, 0):
        return tf.raw_ops.Conv2DBackpropFilter(
            input=large, filter_sizes=[5, 5, c, n], out_backprop=small, strides=[1, 2, 2, 1], padding="SAME"
        )
    product = tf.matmul(_patches(large), tf.reshape(small, [-1, n]), transpose_a=True)
    return tf.reshape(product, [5, 5, c, n])


def _transposed(x, kernel):
    """x [B, s, s, n] back through a convolution by the kernel [5, 5, c, n]: [B, 2s, 2s, c]."""
    side, c = x.shape[1], kernel.shape[2]
    if 2 * side <= SMALL:
        return _transposed_by_products(x, kernel)
    if c > FEW_CHANNELS:
        return tf.nn.conv2d_transpose(x, kernel, [tf.shape(x)[0], 2 * side, 2 * side, c], 2, "SAME")
    # As a convolution 3x3 that makes of each place 2x2 pixels, side by side as channels, it takes half the time: the
    # places i - 1, i and i + 1 add by these rows, or columns, of the kernel to pixel 2i, and to 2i + 1; the sixth is 0.
    taps = [3, 1, 5], [4, 2, 0]
    padded = tf.pad(tf.transpose(kernel, [0, 1, 3, 2]), [[0, 1], [0, 1], [0, 0], [0, 0]])
    pixels = [tf.gather(tf.gather(padded, rows, axis=0), columns, axis=1) for rows in taps for columns in taps]
    return tf.nn.depth_to_space(tf.nn.conv2d(x, tf.concat(pixels, axis=3), 1, "SAME"), 2)


def _transposed_by_products(x, kernel):
    """`_transposed` as four products, one for each pixel of 2x2."""
    side = x.shape[1]
    # Pixel 2i is what places i and i - 1 add by the kernel's rows, or columns, 1 and 3; 2i + 1 what i + 1, i and i - 1
    # add by 0, 2 and 4.
    seen = [np.arange(side)[:, None] + odd - np.arange(2 + odd) for odd in (0, 1)]
    pixels = []
    for i, j in np.ndindex(2, 2):
        taps = [kernel[row, column] for row in range(1 - i, 5, 2) for column in range(1 - j, 5, 2)]
        pixels.append(tf.matmul(_im2col(x, seen[i], seen[j]), tf.concat(taps, axis=1), transpose_b=True))
    channels = tf.concat(pixels, axis=1)
    return tf.nn.depth_to_space(tf.reshape(channels, [-1, side, side, channels.shape[1]]), 2)


@tf.custom_gradient
def _conv2d(x, kernel):
    def gradients(dy):
        return _transposed(dy, kernel), _kernel_gradient(x, dy)

    return _convolution(x, kernel), gradients


@tf.custom_gradient
def _conv2d_transpose(x, kernel):
    def gradients(dy):
        return _convolution(dy, kernel), _kernel_gradient(dy, x)

    return _transposed(x, kernel), gradients


class Conv2D(keras.layers.Conv2D):
    """A convolution 5x5 with stride 2, SAME."""

    def call(self, x):
        return tf.nn.bias_add(_conv2d(x, tf.convert_to_tensor(self.kernel)), self.bias)


class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """What takes a gradient back through `Conv2D`, as a layer."""

    def call(self, x):
        return tf.nn.bias_add(_conv2d_transpose(x, tf.convert_to_tensor(self.kernel)), self.bias)


def conv2d(filters: int, weights: Weights, name: str) -> keras.layers.Layer:
    """[B, 2s, 2s, c] -> [B, s, s, filters]: 5x5 kernel, stride 2, SAME, with bias."""
    return Conv2D(filters, 5, strides=2, padding="same", kernel_initializer=weights, name=name)


def conv2d_transpose(filters: int, weights: Weights, name: str) -> keras.layers.Layer:
    """[B, s, s, c] -> [B, 2s, 2s, filters]: 5x5 kernel, stride 2, SAME, with bias."""
    return Conv2DTranspose(filters, 5, strides=2, padding="same", kernel_initializer=weights, name=name)


class BatchNorm(keras.layers.BatchNormalization):
    """Keras' layer, faster in training: on one device by TensorFlow's own kernel, over several in one message a pass.

    Where it is `synchronized` it normalises by the statistics of all replicas' parts of a batch, which have to be
    equally large. Replicas keep the same moving statistics, those of all parts or the parts' mean.
    """

    def add_weight(self, *args, trainable=True, **kwargs):
        aggregation = None if trainable else "only_first_replica"  # they are the same on all
        return super().add_weight(*args, trainable=trainable, aggregation=aggregation, **kwargs)

    def call(self, x, training=None):
        if not training:
            return super().call(x, training)
        if self.synchronized:
            y, mean, variance = self._by_all(x)
        else:
            y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=x, scale=self.gamma, offset=self.beta, mean=[], variance=[], epsilon=self.epsilon, is_training=True
            )
            n = tf.cast(tf.size(x) / x.shape[-1], tf.float32)
            variance *= (n - 1) / n  # the kernel's is the unbiased one
            mean, variance = mean_over_replicas(mean, variance)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(self.momentum * moving + (1 - self.momentum) * value)
        return y

    def _by_all(self, x):
        """x normalised by the mean and variance of all replicas' x, and these."""
        maps = tf.cast(x, tf.float32)
        mean, variance = tf.nn.moments(maps, list(range(x.shape.rank - 1)))
        # The square of a large mean has no digits left for the variance; what it differs from a common number by has.
        off = mean - self.moving_mean
        off, square, within = mean_over_replicas(off, off**2, variance)
        mean, variance = self.moving_mean + off, within + tf.maximum(square - off**2, 0)
        y = tf.nn.batch_normalization(maps, mean, variance, self.beta, self.gamma, self.epsilon)
        return tf.cast(y, x.dtype), mean, variance


def mean_over_replicas(*values):
    """Each of the tensors, which have one shape, as its mean over the replicas, exchanged in one message."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return values
    return tf.unstack(context.all_reduce("MEAN", tf.stack(values)))


def batch_norm(name: str) -> keras.layers.Layer:
    """Normalises each channel: by the batch when training, by the moving statistics (momentum 0.9) otherwise.

    Statistics are float32.
    """
    return BatchNorm(momentum=0.9, epsilon=1e-5, name=name)


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
    # The gradient of TensorFlow's own is a sum of three, in an order that depends on which is there first.
    return tf.reduce_mean(tf.nn.softplus(-logits if label else logits))


def random_flip(images, coins):
    """Mirrors the images [B, H, W, C] whose coin, of [B] in [0, 1), is at least a half."""
    return tf.where(coins[:, None, None, None] < 0.5, images, images[:, :, ::-1])


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
