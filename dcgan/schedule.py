"""Which pictures each training step takes, and which steps are executed at once."""

from collections.abc import Iterator, Sequence

import numpy as np

from dcgan.options import TrainOptions


class Schedule:
    """The batches of a training run; they depend only on seed and step."""

    def __init__(self, pictures: int, options: TrainOptions, origin: int):
        """pictures: how many there are. origin: the step that epochs are counted from."""
        self.batch_size, self.batches = min(options.batch_size, pictures), options.batches(pictures)
        self.pictures, self.seed, self.origin = pictures, options.seed, origin
        self.last = origin + options.epochs * self.batches
        self.shuffled: tuple[int, np.ndarray] | None = None  # the latest epoch asked for, and its order

    def place(self, step: int) -> tuple[int, int]:
        """The step's epoch, and its place in the epoch; all count from 0."""
        return divmod(step - self.origin, self.batches)

    def indices(self, step: int) -> np.ndarray:
        """[batch]: the indices of the pictures that the step takes."""
        epoch, batch = self.place(step)
        if not self.shuffled or self.shuffled[0] != epoch:
            self.shuffled = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.pictures)
        return self.shuffled[1][batch * self.batch_size : (batch + 1) * self.batch_size]

    def executions(self, first: int, most: int, intervals: Sequence[int]) -> Iterator[range]:
        """Yields the steps of each execution, at most `most`, from `first` to the end.

        An execution ends with an epoch, and after each step that is a multiple of one of the `intervals`.
        """
        while first < self.last:
            epoch_end = first + self.batches - self.place(first)[1]
            stop = min(first + most, epoch_end, *(first + interval - first % interval for interval in intervals))
            yield range(first, stop)
            first = stop
