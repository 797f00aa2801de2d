"""A training: what changes in it, but for the networks that sampling and completion use, too; and its schedule."""

from collections.abc import Iterator, Sequence

import numpy as np

from dcgan.checkpoints import named_variables
from dcgan.options import TrainOptions
from kernels.layers import Adam
from kernels.tensorflow import keras, tf


class Training:
    """The generator that is updated, whose average is the model's, an optimizer for each network, and the step."""

    def __init__(
        self, generator: keras.Model, discriminator: keras.Model, step: tf.Variable, loss_scale: float | None = None
    ):
        """`generator` is to be updated; `discriminator` and `step`, the number of steps done, are the model's own.

        loss_scale: what losses are multiplied by on their way back, which keeps small gradients from being lost.
        """
        self.generator, self.discriminator, self.step = generator, discriminator, step
        strategy = tf.distribute.get_strategy()
        self.share = 1 / strategy.num_replicas_in_sync  # of a replica's loss: gradients are summed
        self.g_optimizer, self.d_optimizer = (
            Adam(epsilon=1e-8, loss_scale_factor=loss_scale, name="adam") for _ in range(2)
        )
        self.g_optimizer.build(generator.trainable_variables)
        self.d_optimizer.build(discriminator.trainable_variables)

    def update_generator(self, tape: tf.GradientTape, g_loss) -> None:
        """One of Adam's steps down the loss that the tape has seen."""
        self._update(self.g_optimizer, self.generator, tape, g_loss)

    def update_discriminator(self, tape: tf.GradientTape, d_loss) -> None:
        """One of Adam's steps down the loss that the tape has seen."""
        self._update(self.d_optimizer, self.discriminator, tape, d_loss)

    def _update(self, optimizer: Adam, network: keras.Model, tape: tf.GradientTape, loss) -> None:
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, variables, optimizer.scale_loss(tf.constant(self.share))), variables)

    def named_variables(self) -> dict[str, tf.Variable]:
        """What a checkpoint holds of it."""
        optimizers = {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}
        return named_variables("live_generator", self.generator) | {
            f"{name}/{variable.path.split('/', 1)[1]}": variable.value
            for name, optimizer in optimizers.items()
            for variable in optimizer.variables
        }


class Schedule:
    """Which pictures each step of a training takes, and which steps are one execution."""

    def __init__(self, pictures: int, options: TrainOptions, origin: int):
        """Of so many `pictures`; epochs are counted from step `origin`."""
        self.batch_size, self.batches = min(options.batch_size, pictures), options.batches(pictures)
        self.pictures, self.seed, self.origin = pictures, options.seed, origin
        self.last = origin + options.epochs * self.batches
        self.shuffled: tuple[int, np.ndarray] | None = None  # the epoch last asked for, and its order

    def place(self, step: int) -> tuple[int, int]:
        """The step's epoch, and its place in there; all counted from 0."""
        return divmod(step - self.origin, self.batches)

    def indices(self, step: int) -> np.ndarray:
        """[batch]: which pictures the step takes."""
        epoch, batch = self.place(step)
        if not self.shuffled or self.shuffled[0] != epoch:
            self.shuffled = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.pictures)
        return self.shuffled[1][batch * self.batch_size : (batch + 1) * self.batch_size]

    def executions(self, first: int, most: int, intervals: Sequence[int]) -> Iterator[range]:
        """The steps from the `first` on, `most` of them at once or fewer.

        One execution ends with an epoch, and where one of the `intervals` divides the number of steps done.
        """
        while first < self.last:
            epoch_end = first + self.batches - self.place(first)[1]
            stop = min(first + most, epoch_end, *(first + interval - first % interval for interval in intervals))
            yield range(first, stop)
            first = stop
