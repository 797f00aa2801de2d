"""5x5 convolutions with stride 2 by the fastest kernel for each size."""

import numpy as np

from kernels.layers import row_count
from kernels.tensorflow import GPUS, keras, processor_flags, tf

# oneDNN, which computes convolutions on CPUs, is slow on few channels and on small feature maps. There, a product of
# matrices is faster if the larger map has at most this side: with AMX for either precision (the kernel's gradient
# takes a quarter of the time), without AMX for the kernel's gradient in bfloat16. With AVX2 alone it never is.
# Its last bits in bfloat16 depend on the number of pictures, so in bfloat16 it is for training only.
if GPUS:
    FEW_CHANNELS, SMALL, SMALL_IN_KERNEL_GRADIENT = 0, 0, {}
elif "amx_bf16" in processor_flags():
    FEW_CHANNELS, SMALL, SMALL_IN_KERNEL_GRADIENT = 4, 8, {"float32": 8, "bfloat16": 16}
else:
    FEW_CHANNELS, SMALL, SMALL_IN_KERNEL_GRADIENT = 4, 0, {"bfloat16": 8}


class Conv2D(keras.layers.Conv2D):
    """A 5x5 convolution with stride 2, SAME."""

    def call(self, x, training=None):
        return tf.nn.bias_add(_conv2d(x, tf.convert_to_tensor(self.kernel), _small(x, training)), self.bias)


class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """The transpose of `Conv2D`: maps its output's gradient back to its input."""

    def call(self, x, training=None):
        return tf.nn.bias_add(_conv2d_transpose(x, tf.convert_to_tensor(self.kernel), _small(x, training)), self.bias)


def _small(x, training: bool | None) -> int:
    """The side up to which a convolution of x is a product."""
    return SMALL if training or x.dtype == tf.float32 else 0


def _conv2d(x, kernel, small: int):
    @tf.custom_gradient
    def convolution(x, kernel):
        def gradients(dy):
            return _transposed(dy, kernel, small), _kernel_gradient(x, dy)

        return _convolution(x, kernel, small), gradients

    return convolution(x, kernel)


def _conv2d_transpose(x, kernel, small: int):
    @tf.custom_gradient
    def transposed(x, kernel):
        def gradients(dy):
            return _convolution(dy, kernel, small), _kernel_gradient(dy, x)

        return _transposed(x, kernel, small), gradients

    return transposed(x, kernel)


def _convolution(x, kernel, small: int):
    """x [B, 2s, 2s, c] convolved with kernel [5, 5, c, n]: [B, s, s, n]."""
    _, side, _, c = x.shape
    if side > small:
        return tf.nn.conv2d(x, kernel, 2, "SAME")
    product = tf.matmul(_patches(x), tf.reshape(kernel, [25 * c, -1]))
    return tf.reshape(product, [-1, side // 2, side // 2, product.shape[1]])


def _kernel_gradient(large, small):
    """The kernel's gradient [5, 5, c, n] of a convolution.

    large: its input [B, 2s, 2s, c]. small: the gradient of its output [B, s, s, n].
    """
    c, n = large.shape[-1], small.shape[-1]
    if large.shape[1] > SMALL_IN_KERNEL_GRADIENT.get(large.dtype.name, 0):
        return tf.raw_ops.Conv2DBackpropFilter(
            input=large, filter_sizes=[5, 5, c, n], out_backprop=small, strides=[1, 2, 2, 1], padding="SAME"
        )
    product = tf.matmul(_patches(large), tf.reshape(small, [-1, n]), transpose_a=True)
    return tf.reshape(product, [5, 5, c, n])


def _transposed(x, kernel, small: int):
    """x [B, s, s, n] taken back through a convolution with kernel [5, 5, c, n]: [B, 2s, 2s, c]."""
    side, c = x.shape[1], kernel.shape[2]
    if 2 * side <= small:
        return _transposed_by_products(x, kernel)
    if c > FEW_CHANNELS:
        return tf.nn.conv2d_transpose(x, kernel, [row_count(x), 2 * side, 2 * side, c], 2, "SAME")
    return _transposed_as_convolution(x, kernel)


def _transposed_as_convolution(x, kernel):
    """`_transposed` as a 3x3 convolution to 2x2 pixels per place, which is twice as fast."""
    # Places i - 1, i and i + 1 add to pixel 2i by these rows (or columns) of the kernel, and to 2i + 1; row 5 is 0.
    taps = [3, 1, 5, 4, 2, 0]
    c, n = kernel.shape[2:]
    padded = tf.pad(tf.transpose(kernel, [0, 1, 3, 2]), [[0, 1], [0, 1], [0, 0], [0, 0]])
    taken = tf.reshape(tf.gather(tf.gather(padded, taps, axis=0), taps, axis=1), [2, 3, 2, 3, n, c])
    pixels = tf.reshape(tf.transpose(taken, [1, 3, 4, 0, 2, 5]), [3, 3, n, 4 * c])
    return tf.nn.depth_to_space(tf.nn.conv2d(x, pixels, 1, "SAME"), 2)


def _transposed_by_products(x, kernel):
    """`_transposed` as four products of matrices, one for each of the 2x2 pixels of a place."""
    side = x.shape[1]
    # Places i and i - 1 add to pixel 2i by rows (or columns) 1 and 3 of the kernel; places i + 1, i and i - 1 add to
    # pixel 2i + 1 by rows 0, 2 and 4.
    seen = [np.arange(side)[:, None] + odd - np.arange(2 + odd) for odd in (0, 1)]
    all_taps = tf.unstack(tf.reshape(kernel, [25, *kernel.shape[2:]]))
    pixels = []
    for i, j in np.ndindex(2, 2):
        taps = [all_taps[5 * row + column] for row in range(1 - i, 5, 2) for column in range(1 - j, 5, 2)]
        pixels.append(tf.matmul(_im2col(x, seen[i], seen[j]), tf.concat(taps, axis=1), transpose_b=True))
    channels = tf.concat(pixels, axis=1)
    return tf.nn.depth_to_space(tf.reshape(channels, [-1, side, side, channels.shape[1]]), 2)


def _patches(large):
    """[B * s * s, 25 * c]: the 5x5 patch of `large` [B, 2s, 2s, c] that each output of its convolution sees."""
    rows = 2 * np.arange(large.shape[1] // 2)[:, None] + np.arange(-1, 4)  # SAME pads one before, two after
    return _im2col(large, rows, rows)


def _im2col(maps, rows: np.ndarray, columns: np.ndarray):
    """[B * n * n, T * U * c]: for place (i, j) of n x n, `maps` [B, s, s, c] at rows[i, t] and columns[j, u].

    Zeros beyond the edge. Times the kernel as a matrix it is the convolution.
    """
    side, c = maps.shape[1], maps.shape[3]
    row, column = rows[:, None, :, None], columns[None, :, None, :]
    inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
    places = np.where(inside, row * side + column, side * side)
    with_zeros = tf.pad(tf.reshape(maps, [-1, side * side, c]), [[0, 0], [0, 1], [0, 0]])
    return tf.reshape(tf.gather(with_zeros, places.ravel(), axis=1), [-1, rows.shape[1] * columns.shape[1] * c])
