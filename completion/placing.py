"""The networks of faces/placing.py in TensorFlow."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from faces.placing import WEIGHTS
from kernels.layers import fill_batch, fill_rows
from kernels.tensorflow import tf

AT_ONCE = 256  # views; their feature maps take 100 MB


class PlacingNetwork:
    """Convolutions of stride 2 and dense layers with ReLU between them. An answer does not depend on other views."""

    def __init__(self, weights: Path = WEIGHTS):
        self.weights = weights

    @cached_property
    def layers(self) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Weights and bias of each layer."""
        with np.load(self.weights) as stored:
            arrays = [tf.constant(stored[name], tf.float32) for name in stored.files]
        return list(zip(arrays[::2], arrays[1::2], strict=True))

    def __call__(self, views: list[np.ndarray]) -> Sequence[np.ndarray]:
        """Takes a list of views [N, SIDE, SIDE, 4], returns for each the answers [N, 6 or 7]."""
        x = np.concatenate(views)
        answers = np.concatenate([self._answers(x[first : first + AT_ONCE]) for first in range(0, len(x), AT_ONCE)])
        return np.split(answers, np.cumsum([len(each) for each in views])[:-1])

    def _answers(self, views: np.ndarray) -> np.ndarray:
        x = tf.constant(fill_batch(views))
        *inner, (last, shift) = self.layers
        for weights, bias in inner:
            if len(weights.shape) == 4:
                x = tf.nn.conv2d(x, weights, 2, "SAME")
            else:
                x = fill_rows(tf.reshape(x, [len(x), -1])) @ weights
            x = tf.nn.relu(x + bias)
        return (x @ last + shift).numpy()[: len(views)]
