"""The spaces that a search looks in. A space turns its points z into images."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dcgan.devices import filled_parts
from dcgan.options import SearchOptions
from images.incomplete import Face
from kernels.layers import fill_rows, row_count
from kernels.tensorflow import keras, tf


def rng_of(seed: int, face: Face, restart: int = 0, iteration: int = 0) -> np.random.Generator:
    """A random generator of a picture's own, so that its result does not depend on the other pictures."""
    entropy = [seed, face.photo, restart, iteration]
    if face.attempt:
        entropy += [face.index, face.attempt]
    elif face.index:
        entropy += [face.index]
    return np.random.default_rng(entropy)


class Cube(NamedTuple):
    """z in [-1, 1]^z_dim, as in the post and the paper, with a penalty on the length of z."""

    generator: Any
    weight: Any  # of the penalty
    length: Any  # [batch]: the length that each picture's z is kept near
    judged: bool  # whether the perceptual loss counts

    @classmethod
    def of(
        cls, generator: Any, strategy: tf.distribute.Strategy, ids: Sequence[Face], options: SearchOptions, share: float
    ) -> "Cube":
        """The cube for the pictures with these ids, with `share` of the penalty's weight in the options."""
        random_length = math.sqrt(generator.input_shape[1] / 3)  # of a random z, on average
        lengths = np.array([random_length * options.z_length_of(face.attempt) for face in ids], np.float32)
        weight = tf.constant(options.z_penalty * share)
        return cls(generator, weight, filled_parts(strategy, lengths), options.lam > 0)

    @property
    def z_dim(self) -> int:
        """Length of z."""
        return self.generator.input_shape[1]

    @staticmethod
    def project(z: np.ndarray) -> np.ndarray:
        """The nearest point of the cube, for each picture."""
        return np.clip(z, -1, 1)

    @staticmethod
    def free(z: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """bool [batch, z_dim]: which coordinates can move against the gradient without leaving the cube."""
        return ~((z >= 1) & (gradient < 0) | (z <= -1) & (gradient > 0))

    @staticmethod
    def random(seed: int, face: Face, z_dim: int, restart: int = 0) -> np.ndarray:
        """[z_dim], uniform in the cube: where the search for a picture starts or restarts."""
        return rng_of(seed, face, restart).uniform(-1, 1, z_dim)

    def images(self, z):
        """[batch, z_dim] -> [batch, H, W, c_dim] in [-1, 1]."""
        return self.generator(z)

    def penalty(self, z):
        """[batch]: weight * (|z| - length)^2."""
        square = tf.reduce_sum(tf.square(z), axis=1, keepdims=True)
        root = tf.sqrt(fill_rows(square + 1e-12))[: row_count(z), 0]  # few rows have another gradient
        # Expanded, because |z| has no gradient at 0.
        return self.weight * (square[:, 0] - 2 * self.length * root + self.length**2)


class FeatureMaps(NamedTuple):
    """h + scale * z, where h are feature maps that G computes from a point of the cube.

    Pictures that no z gives lie near h. The later in G the maps are, the closer these pictures come, and the less they
    look like faces (Daras et al., "Intermediate Layer Optimization", arXiv:2102.07364). The perceptual loss, half of
    the time, is left out: it is less than a thousandth of the total.
    """

    generator: Any
    side: int
    h: Any  # [batch, side, side, channels]
    scale: Any  # [batch, 1, 1, 1]: the mean of |h|
    weight: Any  # of the penalty

    @classmethod
    def around(cls, generator: Any, z, side: int, weight: Any) -> "FeatureMaps":
        """The space around G's largest feature maps of z whose side is at most `side`, which is 4 or more."""
        h = tf.cast(z, tf.float32)
        for layer in generator.layers[: _block_end(generator, side)]:
            h = layer(h)
        h = tf.cast(h, tf.float32)
        return cls(generator, side, h, tf.reduce_mean(tf.abs(h), axis=[1, 2, 3], keepdims=True), weight)

    @property
    def judged(self) -> bool:
        """Whether the perceptual loss counts."""
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
        """bool [batch, z_dim], all True: every coordinate can move against the gradient."""
        return np.ones_like(z, bool)

    @staticmethod
    def random(seed: int, face: Face, z_dim: int, restart: int) -> np.ndarray:
        """[z_dim]: zeros, which stand for h, the only start."""
        return np.zeros(z_dim)

    def images(self, z):
        """[batch, z_dim] -> [batch, H, W, c_dim] in [-1, 1]."""
        x = self.h + self.scale * tf.reshape(z, self.h.shape)
        for layer in self.generator.layers[_block_end(self.generator, self.side) :]:
            x = layer(x)
        return x

    def penalty(self, z):
        """[batch]: weight * |z|^2."""
        return self.weight * tf.reduce_sum(tf.square(z), axis=1)


Space = Cube | FeatureMaps


def _block_end(generator: Any, side: int) -> int:
    """How many of G's layers lead to its largest feature maps of at most this side."""
    ends = (i for i, layer in enumerate(generator.layers, 1) if isinstance(layer, keras.layers.ReLU))
    return max(i for i in ends if generator.layers[i - 1].output.shape[1] <= side)
