"""Where a search looks. Another space than the cube has the same members."""

from typing import Any, NamedTuple

import numpy as np

from ops import tf


class Cube(NamedTuple):
    """z in [-1, 1]^z_dim, as the post and the paper search."""

    generator: Any

    @property
    def z_dim(self) -> int:
        """Length of z."""
        return self.generator.input_shape[1]

    @staticmethod
    def project(z: np.ndarray) -> np.ndarray:
        """The nearest point of the space, for each picture."""
        return np.clip(z, -1, 1)

    def images(self, z):
        """[batch, z_dim] -> [batch, H, W, c_dim] in [-1, 1]."""
        return self.generator(z)

    @staticmethod
    def penalty(z):
        """[batch]: how far z lies from the middle, what `z_penalty` weighs."""
        return tf.reduce_sum(z**2, axis=1)
