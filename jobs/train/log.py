"""Logs a training run: losses.csv, TensorBoard's events, and lines on the terminal."""

import csv
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dcgan.devices import worker_of
from jobs.events import EventFile
from jobs.train.run import LOSS_FILE
from kernels.tensorflow import tf
from model import DCGAN, LOSSES, TrainStep
from outputs import Outputs
from utils import UserError, clock, read_rows, say, write_rows

COLUMNS = ("step", "epoch", "seconds", *LOSSES, "images_per_second")
PACE = 5.0  # seconds between two lines
WON, WON_STEPS = 0.1, 200  # D has won if its mean loss over so many steps is lower


class TrainingLog:
    """Logs the steps that `DCGAN.train` yields, and warns if D wins.

    Losses are fetched from the device only when they are written, so that training does not wait for its log. Messages
    are printed after all else that is due at a step, so that a closed pipe stops the run when its files are written.
    """

    def __init__(self, dcgan: DCGAN, outputs: Outputs, run: str, last: int):
        """Continues the logs after the model's step. run: its identity. last: its last step."""
        self.dcgan, self.outputs, self.run, self.last = dcgan, outputs, run, last
        self.d_losses: deque[float] = deque(maxlen=WON_STEPS)
        self.warned: set[str] = set()
        self.messages: list[str] = []
        step = int(dcgan.step)
        path = outputs.folder / LOSS_FILE
        rows = earlier_rows(path, COLUMNS, step)
        if step and path.exists() and (not rows or int(rows[-1][0]) != step):
            raise UserError(f"{path} is damaged, because step {step} is missing: choose another --log_dir")
        self.earlier = float(rows[-1][2]) if rows else 0.0  # seconds of earlier calls
        outputs.write(LOSS_FILE, lambda path: write_rows(path, [COLUMNS, *rows]), run, grows=True)
        self.events = EventFile(outputs, "", run)
        if not rows:
            self._record_graph()
        self.pending: list[tuple[TrainStep, float]] = []
        self.start = self.written = time.monotonic()
        self.first: tuple[int, float] | None = None  # step and time of the first, which includes compiling

    def _record_graph(self) -> None:
        networks = tf.function(lambda z: self.dcgan.discriminator(self.dcgan.generator(z)))
        with self.events.recording():
            tf.summary.graph(networks.get_concrete_function(tf.TensorSpec([None, self.dcgan.z_dim])).graph)

    def record(self, state: TrainStep) -> None:
        """Remembers the losses, and writes them every few seconds."""
        self.pending.append((state, time.monotonic()))
        self.first = self.first or (state.step, time.monotonic())
        if time.monotonic() - self.written > PACE:
            self.flush()

    def say(self) -> None:
        """Prints the collected messages. Raises BrokenPipeError if the pipe is closed."""
        messages, self.messages = self.messages, []
        for message in messages:
            say(message)

    def warn_once(self, topic: str, text: str) -> None:
        """Collects a warning, unless there was one about this topic."""
        if topic not in self.warned:
            self.messages.append(f"warning: {text}")
        self.warned.add(topic)

    def flush(self) -> None:
        """Writes the pending losses. Raises UserError if one is not finite."""
        if not self.pending:
            return
        pending, self.pending = self.pending, []
        losses = [np.asarray(state.losses) for state, _ in pending]  # waits for the device
        now = time.monotonic()
        last, _ = pending[-1]
        images = sum(map(len, losses)) * last.z.shape[0] * worker_of(self.dcgan.strategy).count
        rate = images / max(now - self.written, 1e-6)  # some clocks tick slowly
        self.written = now
        rows = []
        with self.events.recording():
            for (state, moment), of_steps in zip(pending, losses, strict=True):
                seconds = self.earlier + moment - self.start
                for step, values in enumerate(of_steps, state.step + 1 - len(of_steps)):
                    rows.append([step, state.epoch, f"{seconds:.3f}", *(f"{v:.8g}" for v in values), f"{rate:.2f}"])
                    for name, value in zip(LOSSES, values, strict=True):
                        tf.summary.scalar(name, value, step=step)
        self.outputs.add_rows(LOSS_FILE, rows)
        self.messages.append(
            f"Epoch: [{last.epoch:2d}] [{last.batch:4d}/{last.batches:4d}] "
            f"time: {self.earlier + now - self.start:.4f}, d_loss: {losses[-1][-1, 0]:.8f}, "
            f"g_loss: {losses[-1][-1, 3]:.8f}, {rate:.1f} images/s, {self._left(last.step, now)} left"
        )
        self._watch(last.step, np.concatenate(losses))

    def _left(self, step: int, now: float) -> str:
        first_step, begun = self.first or (step, now)
        return clock((self.last - step) * (now - begun) / (step - first_step)) if step > first_step else "?"

    def _watch(self, last_step: int, losses: np.ndarray) -> None:
        """Raises UserError if a loss is not finite, and warns if D has won."""
        first_step = last_step + 1 - len(losses)
        finite = np.isfinite(losses).all(axis=1)
        if not finite.all():
            raise UserError(
                f"the loss is not finite at step {first_step + int(np.argmin(finite))}: resume from the last "
                "checkpoint with a lower --learning_rate"
            )
        for step, d_loss in enumerate(losses[:, 0], first_step):
            self.d_losses.append(d_loss)
            if len(self.d_losses) == WON_STEPS and np.mean(self.d_losses) < WON:
                self.warn_once(
                    "D has won",
                    f"at step {step} D has won: its mean loss over {WON_STEPS} steps is {np.mean(self.d_losses):.2g}, "
                    "so that G learns little. Try a lower --learning_rate, more pictures, or --flip",
                )


def earlier_rows(path: Path, columns: Sequence[str], step: int) -> list[list[str]]:
    """The rows of numbers up to the `step` that the run resumes at, without the header. UserError if damaged."""
    try:
        rows = [row for row in read_rows(path, len(columns))[1:] if step and int(row[0]) <= step]
        np.array(rows, float)  # raises ValueError if a cell is not a number
    except FileNotFoundError:
        return []
    except (ValueError, csv.Error):
        raise UserError(f"{path} is damaged: restore it from a copy, or choose another --log_dir") from None
    return rows
