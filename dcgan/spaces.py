"""Where a search looks. A space turns z, whatever that is in it, into images."""

from typing import Any, NamedTuple

import numpy as np

from dcgan.starts import random_z
from images.incomplete import Face
from kernels.tensorflow import keras, tf


class Cube(NamedTuple):
    """z in [-1, 1]^z_dim, as the post and the paper search."""

    generator: Any
    weight: Any
    """Of the penalty."""
    length: Any
    """That z is kept near."""
    judged: bool
    """Whether D's opinion counts."""

    @property
    def z_dim(self) -> int:
        """Length of z."""
        return self.generator.input_shape[1]

    @staticmethod
    def project(z: np.ndarray) -> np.ndarray:
        """The nearest point of the space, for each picture."""
        return np.clip(z, -1, 1)

    @staticmethod
    def free(z: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """bool [batch, z_dim]: which coordinates can go against the gradient; not those at a side of the cube."""
        return ~((z >= 1) & (gradient < 0) | (z <= -1) & (gradient > 0))

    @staticmethod
    def random(seed: int, face: Face, z_dim: int, restart: int) -> np.ndarray:
        """[z_dim]: where the search for a picture restarts."""
        return random_z(seed, face, z_dim, restart)

    def images(self, z):
        """[batch, z_dim] -> [batch, H, W, c_dim] in [-1, 1]."""
        return self.generator(z)

    def penalty(self, z):
        """[batch]: weight * (|z| - length)^2."""
        square = tf.reduce_sum(z**2, axis=1)
        # Multiplied out, it has a gradient in the middle, too.
        return self.weight * (square - 2 * self.length * tf.sqrt(square + 1e-12) + self.length**2)


class FeatureMaps(NamedTuple):
    """h + scale * z, where h are the feature maps that G makes of a point of the cube on its way to the image.

    Pictures that no z gives are near there, the nearer to the image the more, and the less like faces (Daras et al.,
    "Intermediate Layer Optimization", arXiv:2102.07364). D is not asked: its opinion, which costs half of the time,
    weighs less than a thousandth of the loss.
    """

    generator: Any
    side: int
    h: Any
    """[batch, side, side, channels]."""
    scale: Any
    """[batch, 1, 1, 1]: the mean of |h|."""
    weight: Any
    """Of the penalty."""

    @classmethod
    def around(cls, generator: Any, z, side: int, weight: Any) -> "FeatureMaps":
        """The space around G's largest maps [batch, s, s, channels] of z with s at most `side`, which is 4 or more."""
        h = tf.cast(z, tf.float32)
        for layer in generator.layers[: _block_end(generator, side)]:
            h = layer(h)
        h = tf.cast(h, tf.float32)
        return cls(generator, side, h, tf.reduce_mean(tf.abs(h), axis=[1, 2, 3], keepdims=True), weight)

    @property
    def judged(self) -> bool:
        """Whether D's opinion counts."""
        return False

    @property
    def z_dim(self) -> int:
        """Length of z."""
        return int(np.prod(self.generator.layers[_block_end(self.generator, self.side) - 1].output.shape[1:]))

    @staticmethod
    def project(z: np.ndarray) -> np.ndarray:
        """z itself: the space has no bounds."""
        return z

    @staticmethod
    def free(z: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """bool [batch, z_dim]: all can go against the gradient."""
        return np.ones_like(z, bool)

    @staticmethod
    def random(seed: int, face: Face, z_dim: int, restart: int) -> np.ndarray:
        """[z_dim]: h itself, there is no other start."""
        return np.zeros(z_dim)

    def images(self, z):
        """[batch, z_dim] -> [batch, H, W, c_dim] in [-1, 1]."""
        x = self.h + self.scale * tf.reshape(z, tf.shape(self.h))
        for layer in self.generator.layers[_block_end(self.generator, self.side) :]:
            x = layer(x)
        return x

    def penalty(self, z):
        """[batch]: weight * |z|^2."""
        return self.weight * tf.reduce_sum(z**2, axis=1)


def _block_end(generator: Any, side: int) -> int:
    """How many of G's layers lead to its largest feature maps of at most that side."""
    ends = (i for i, layer in enumerate(generator.layers, 1) if isinstance(layer, keras.layers.ReLU))
    return max(i for i in ends if generator.layers[i - 1].output.shape[1] <= side)
