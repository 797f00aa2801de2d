"""The loss that a search minimizes: how far G(z) is from the known pixels, and how real it looks."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dcgan.devices import filled_parts, joined
from dcgan.options import SearchOptions
from dcgan.spaces import Space
from images.incomplete import Incomplete
from images.masks import context_weights
from kernels.layers import fill_rows, row_count
from kernels.tensorflow import enough_memory, keras, tf
from ops import block_means, to_float, to_uint8

GUESS = 0.01  # the contextual loss's weight of a guessed pixel: enough for the color of hair
Measure = Callable[[Space, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Takes a space and z [batch, z_dim] in it.

Returns losses [batch, 3], the gradient of the last, [batch, z_dim], and the images, uint8 [batch, H, W, c_dim].
"""


class Target(NamedTuple):
    """The pictures that G(z) is compared with, distributed over the devices."""

    y: Any  # [batch, H, W, c_dim] in [-1, 1]
    weights: Any  # [batch, H, W, 1], of the contextual loss; 0 in the hole, except for guesses
    lam: Any
    lowres: int


class SearchLoss:
    """The loss of z: contextual + lam * perceptual + the penalty of the space (the post; paper, section 3.2).

    Contextual: the sum of weights * |G(z) - y| over the pixels, and with `lowres` of |difference| over block means.
    Perceptual: log(1 + exp(-D(G(z)))), which is small if D takes G(z) for real.
    """

    def __init__(self, discriminator: keras.Model, strategy: tf.distribute.Strategy):
        self.discriminator, self.strategy = discriminator, strategy

    def against(self, incomplete: Incomplete, options: SearchOptions) -> Measure:
        """The losses against these pictures, as a function of a space and z in it.

        The function raises UserError if the device runs out of memory.
        """
        window, floor = options.context_window, options.context_floor
        weights = np.stack([context_weights(mask, window, floor) for mask in incomplete.masks])
        weights[incomplete.guessed] = GUESS
        target = Target(
            self.strategy.run(to_float, (filled_parts(self.strategy, incomplete.pictures),)),
            filled_parts(self.strategy, weights[..., None]),
            tf.constant(options.lam),
            incomplete.lowres,
        )

        def measure(space: Space, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            with enough_memory(len(z), incomplete.pictures.shape[1]):
                parts = filled_parts(self.strategy, z.astype(np.float32))
                found = self._on_devices(space, parts, target)
            losses, gradient, images = (each.numpy()[: len(z)] for each in found)
            return losses.astype(float), gradient.astype(z.dtype), images

        return measure

    @tf.function(autograph=False)  # to convert the code takes longer than to trace it
    def _on_devices(self, space: Space, z, target: Target):
        """What a `Measure` returns. Each device computes its part."""
        parts = self.strategy.run(self._on_replica, (space, z, target))
        return tuple(joined(self.strategy, each) for each in parts)

    def _on_replica(self, space: Space, z, target: Target):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(z)
            x_fake = space.images(z)
            contextual = self._contextual(x_fake, target)
            perceptual = self._perceptual(x_fake) if space.judged else tf.fill(contextual.shape, math.nan)
            total = contextual + target.lam * perceptual if space.judged else contextual
            total += space.penalty(z)
        gradient = tape.gradient(total, z)
        finite = tf.reduce_all(tf.math.is_finite(gradient), axis=1)
        total = tf.where(finite, total, math.inf)
        losses = tf.stack([contextual, perceptual, total], axis=1)
        return losses, tf.where(finite[:, None], gradient, 0.0), to_uint8(x_fake)

    def _contextual(self, x_fake, target: Target):
        """[batch]: how far images are from the known pixels."""
        loss = tf.reduce_sum(target.weights * tf.abs(x_fake - target.y), axis=[1, 2, 3])
        if target.lowres:
            means, true_means = block_means(x_fake, target.lowres), block_means(target.y, target.lowres)
            loss += tf.reduce_sum(tf.abs(means - true_means), axis=[1, 2, 3])
        return loss

    def _perceptual(self, x_fake):
        """[batch]: the cross-entropy of D's logits with the label real."""
        return tf.nn.softplus(-fill_rows(self.discriminator(x_fake)))[: row_count(x_fake), 0]
