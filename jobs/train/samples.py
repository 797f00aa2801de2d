"""Samples during training: pictures of a fixed z, and TensorBoard's images and histograms."""

from collections import deque

import numpy as np

from images.files import save_picture
from images.sheets import grid
from jobs.train.log import TrainingLog
from kernels.tensorflow import tf
from model import DCGAN, Pictures, TrainStep
from outputs import Outputs

ALIKE, ALIKE_STEP = 0.25, 200  # samples are alike below this share of the pictures' spread, once G could have learned


class Samples:
    """Writes samples of 64 fixed z, and warns if they are alike."""

    def __init__(self, dcgan: DCGAN, pictures: Pictures, outputs: Outputs, log: TrainingLog, seed: int):
        """The fixed z follow from the seed. pictures: the real ones; samples should vary as much."""
        self.dcgan, self.outputs, self.log = dcgan, outputs, log
        rng = np.random.default_rng(seed)
        self.z = rng.uniform(-1, 1, (64, dcgan.z_dim)).astype(np.float32)
        self.real_spread = spread(pictures[rng.integers(len(pictures), size=64)])
        self.spreads: deque[float] = deque(maxlen=2)

    def write(self, state: TrainStep) -> None:
        """Writes the samples after a step, into a file and for TensorBoard. Logs the losses up to it first."""
        self.log.flush()
        samples = np.concatenate(list(self.dcgan.generate(self.z)))
        sheet = grid(samples)
        name = f"train_{state.epoch:02d}_{state.batch:04d}.png"
        self.outputs.write(name, lambda path: save_picture(path, sheet), self.log.run)
        with self.log.events.recording(state.step):
            tf.summary.image("G", sheet[None])
            tf.summary.histogram("z", state.z)
            tf.summary.histogram("d", tf.sigmoid(state.d_logits_real))
            tf.summary.histogram("d_", tf.sigmoid(state.d_logits_fake))
        self._watch(state.step, samples)

    def _watch(self, step: int, samples: np.ndarray) -> None:
        self.spreads.append(spread(samples) / max(self.real_spread, 1))
        if step >= ALIKE_STEP and max(self.spreads) < ALIKE:
            self.log.warn_once(
                "samples are alike",
                f"at step {step} samples are alike: their variation is {self.spreads[-1]:.0%} of that of the pictures. "
                "If that does not change, try a lower --learning_rate, another --seed, or more pictures",
            )


def spread(pictures: np.ndarray) -> float:
    """The mean standard deviation of the pixels of [N, H, W, C]."""
    return float(pictures.std(axis=0).mean())
