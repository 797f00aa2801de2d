"""Keras layers and Adam with faster kernels, and padding of batches."""

import numpy as np

from kernels.tensorflow import keras, tf


def fill_batch(x: np.ndarray, devices: int = 1) -> np.ndarray:
    """Pads [B, ...] with zeros up to 1, 2, 4, 8 or a multiple of 16 items per device.

    On most processors a convolution of 3, 5 or 17 pictures differs in the last bits from one of 4, 8 or 32. Padding
    keeps a completion independent of the number of pictures beside it.
    """
    each = -(-len(x) // devices)
    size = devices * (1 << (each - 1).bit_length() if each <= 16 else -(-each // 16) * 16)
    return np.concatenate([x, np.zeros((size - len(x), *x.shape[1:]), x.dtype)])


def row_count(x):
    """The number of rows of x: an int if it is known, because tracing arithmetic on tensors takes time."""
    return tf.shape(x)[0] if x.shape[0] is None else x.shape[0]


def fill_rows(x):
    """Pads [B, n] with rows of zeros up to a multiple of 16 rows.

    Matrix products, exponentials and roots compute the last few rows, and batches of a few rows, by another method.
    """
    return tf.pad(x, [[0, -row_count(x) % 16], [0, 0]])


class Linear(keras.layers.Dense):
    """A dense layer whose row i does not depend, to the last bit, on the number of rows."""

    def call(self, x, training=None):
        return super().call(fill_rows(x))[: row_count(x)]


class BatchNorm(keras.layers.BatchNormalization):
    """Keras' batch normalization, faster in training.

    It uses TensorFlow's fused kernel on one device, and one message per pass between several. If `synchronized`, it
    normalizes by the statistics of all replicas' parts of a batch, which must be equally large. All replicas keep the
    same moving statistics: those of all parts, or the mean of the parts' statistics.
    """

    def add_weight(self, *args, trainable=True, **kwargs):
        aggregation = None if trainable else "only_first_replica"  # moving statistics are the same on all
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
            variance *= (n - 1) / n  # the kernel returns the unbiased variance
            mean, variance = mean_over_replicas(mean, variance)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(self.momentum * moving + (1 - self.momentum) * value)
        return y

    def _by_all(self, x):
        """x normalized over all replicas, and their mean and variance."""
        maps = tf.cast(x, tf.float32)
        mean, variance = tf.nn.moments(maps, list(range(x.shape.rank - 1)))
        # E[x^2] - E[x]^2 loses all digits where the mean is large, so means are taken of the offset from moving_mean.
        off = mean - self.moving_mean
        off, square, within = mean_over_replicas(off, off**2, variance)
        mean, variance = self.moving_mean + off, within + tf.maximum(square - off**2, 0)
        y = tf.nn.batch_normalization(maps, mean, variance, self.beta, self.gamma, self.epsilon)
        return tf.cast(y, x.dtype), mean, variance


def mean_over_replicas(*values):
    """Each tensor's mean over all replicas; tensors of one shape, in one message."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return values
    return tf.unstack(context.all_reduce("MEAN", tf.stack(values)))


class Adam(keras.optimizers.Adam):
    """Keras' Adam with TensorFlow's kernel: one pass over memory instead of ten."""

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
