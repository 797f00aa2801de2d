"""What training leaves on disk, besides its checkpoints: samples, losses, TensorBoard's events."""

import csv
import json
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dcgan.checkpoints import writable
from dcgan.devices import worker_of
from images.files import save_picture
from images.sheets import grid
from kernels.tensorflow import event_writer, plain_path, tf
from model import DCGAN, LOSSES, Pictures, TrainStep
from utils import UserError, clock, read_rows, say, write_atomic, write_rows

OWNER = "log.json"
COLUMNS = ["step", "epoch", "seconds", *LOSSES, "images_per_second"]
PACE = 5.0  # seconds between two lines of the log
RECORD_FRAME = 16  # bytes that the TFRecord format puts around a record: its length, and two checksums
WON, WON_STEPS = 0.1, 200  # D has won when its mean loss over so many steps is below this
ALIKE, ALIKE_STEP = 0.25, 200  # share of the pictures' spread below which samples are alike, once they could have any


class TrainingLog:
    """Records the states that `DCGAN.train` yields, and warns, once, where training goes wrong.

    Losses are fetched from the device only when they are written, so that training does not wait for its log.
    """

    def __init__(
        self,
        dcgan: DCGAN,
        pictures: Pictures,
        sample_dir: Path,
        log_dir: Path,
        steps: int,
        seed: int,
    ):
        """`steps` is the number of the run's last step; the fixed z of the samples follows from `seed`."""
        self.dcgan, self.sample_dir, self.steps = dcgan, sample_dir, steps
        rng = np.random.default_rng(seed)
        self.sample_z = rng.uniform(-1, 1, (64, dcgan.z_dim)).astype(np.float32)
        self.real_spread = spread(pictures[rng.integers(len(pictures), size=64)])
        self.spreads: deque[float] = deque(maxlen=2)
        self.d_losses: deque[float] = deque(maxlen=WON_STEPS)
        self.warned: set[str] = set()
        self.messages: list[str] = []
        self.log_dir, self.csv_path = log_dir, log_dir / "losses.csv"
        step = int(dcgan.step)
        rows = self._earlier_rows(step)
        self.earlier = float(rows[-1][2]) if rows else 0.0
        continued = self.csv_path.exists()
        if continued:
            cut_events(log_dir, step)
        with writable(log_dir):
            self.writer = event_writer(log_dir)
        if not continued:
            with self.events():
                tf.summary.graph(self._graph())
        # From here on the folder is this run's.
        write_atomic(self.csv_path, lambda partial: write_rows(partial, [COLUMNS, *rows]))
        self.pending: list[tuple[TrainStep, float]] = []
        self.start = self.written = time.monotonic()
        self.first: tuple[int, float] | None = None  # step and moment of the first, which takes long to compile

    def _earlier_rows(self, step: int) -> list[list[str]]:
        """The rows of losses.csv up to the `step` that the run is resumed at; UserError if they are not this run's."""
        if not step or not self.csv_path.exists():
            return []
        try:
            rows = [row for row in read_rows(self.csv_path, len(COLUMNS))[1:] if int(row[0]) <= step]
            if [int(row[0]) for row in rows[-1:]] != [step] or not float(rows[-1][2]) >= 0:
                raise ValueError
        except (ValueError, csv.Error):
            raise UserError(
                f"{self.csv_path} is damaged or another run's, it does not reach step {step}: name another --log_dir"
            ) from None
        return rows

    @contextmanager
    def events(self, step: int | None = None) -> Iterator[None]:
        """What tf.summary is told in here is on disk at the end."""
        with writable(self.log_dir), self.writer.as_default(step):
            yield

    def _graph(self) -> tf.Graph:
        networks = tf.function(lambda z: self.dcgan.discriminator(self.dcgan.generator(z)))
        return networks.get_concrete_function(tf.TensorSpec([None, self.dcgan.z_dim])).graph

    def record(self, state: TrainStep, sampling: bool) -> None:
        """Takes note of one step or more; writes and prints what is due. `sampling`: the fixed z's samples are."""
        self.pending.append((state, time.monotonic()))
        self.first = self.first or (state.step, time.monotonic())
        if sampling or time.monotonic() - self.written > PACE:
            self._write_losses()
        if sampling:
            self._sample(state)
        self._say()

    def flush(self) -> None:
        """Writes the losses noted since the last time, and prints the newest; UserError if one is not finite."""
        if self.pending:
            self._write_losses()
        self._say()

    def _say(self) -> None:
        """Prints what there is to say. Comes last: it raises BrokenPipeError when nobody reads the output any more."""
        messages, self.messages = self.messages, []
        for message in messages:
            say(message)

    def _write_losses(self) -> None:
        pending, self.pending = self.pending, []
        losses = [np.asarray(state.losses) for state, _ in pending]  # waits for the device
        now = time.monotonic()
        last, _ = pending[-1]
        images = sum(map(len, losses)) * last.z.shape[0] * worker_of(self.dcgan.strategy).count
        rate = images / max(now - self.written, 1e-6)  # some clocks tick slowly
        self.written = now
        rows = []
        with self.events():
            for (state, moment), of_steps in zip(pending, losses, strict=True):
                seconds = self.earlier + moment - self.start
                for step, values in enumerate(of_steps, state.step + 1 - len(of_steps)):
                    rows.append([step, state.epoch, f"{seconds:.3f}", *(f"{v:.8g}" for v in values), f"{rate:.2f}"])
                    for name, value in zip(LOSSES, values, strict=True):
                        tf.summary.scalar(name, value, step=step)
        write_rows(self.csv_path, rows)
        self.messages.append(
            f"Epoch: [{last.epoch:2d}] [{last.batch:4d}/{last.batches:4d}] "
            f"time: {self.earlier + now - self.start:.4f}, d_loss: {losses[-1][-1, 0]:.8f}, "
            f"g_loss: {losses[-1][-1, 3]:.8f}, {rate:.1f} images/s, {self._left(last.step, now)} left"
        )
        self._watch_losses(last.step, np.concatenate(losses))

    def _left(self, step: int, now: float) -> str:
        first_step, begun = self.first or (step, now)
        return clock((self.steps - step) * (now - begun) / (step - first_step)) if step > first_step else "?"

    def _watch_losses(self, last_step: int, losses: np.ndarray) -> None:
        first_step = last_step + 1 - len(losses)
        finite = np.isfinite(losses).all(axis=1)
        if not finite.all():
            raise UserError(
                f"the loss is not finite at step {first_step + int(np.argmin(finite))}: the last checkpoint is good; "
                "go on from it with a lower --learning_rate"
            )
        for step, d_loss in enumerate(losses[:, 0], first_step):
            self.d_losses.append(d_loss)
            if len(self.d_losses) == WON_STEPS and np.mean(self.d_losses) < WON:
                self._warn_once(
                    "won",
                    f"at step {step} d_loss has been {np.mean(self.d_losses):.2g} for {WON_STEPS} steps: D has won, "
                    "and G learns little from it; try a lower --learning_rate, more pictures, or --flip",
                )

    def _watch_samples(self, step: int, samples: np.ndarray) -> None:
        self.spreads.append(spread(samples) / max(self.real_spread, 1))
        if step >= ALIKE_STEP and max(self.spreads) < ALIKE:
            self._warn_once(
                "alike",
                f"at step {step} samples are alike: they differ {self.spreads[-1]:.0%} as much as the pictures; if "
                "they stay so, try a lower --learning_rate, another --seed, or more pictures",
            )

    def _warn_once(self, what: str, text: str) -> None:
        if what not in self.warned:
            self.messages.append(f"warning: {text}")
        self.warned.add(what)

    def _sample(self, state: TrainStep) -> None:
        """Writes the fixed z's samples, and TensorBoard's histograms and images."""
        samples = np.concatenate(list(self.dcgan.generate(self.sample_z)))
        sheet = grid(samples)
        save_picture(self.sample_dir / f"train_{state.epoch:02d}_{state.batch:04d}.png", sheet)
        with self.events(state.step):
            tf.summary.image("G", sheet[None])
            tf.summary.histogram("z", state.z)
            tf.summary.histogram("d", tf.sigmoid(state.d_logits_real))
            tf.summary.histogram("d_", tf.sigmoid(state.d_logits_fake))
        self._watch_samples(state.step, samples)


def spread(pictures: np.ndarray) -> float:
    """How much uint8 pictures [N, H, W, C] differ: the standard deviation of a pixel, on average."""
    return float(pictures.std(axis=0).mean())


def check_owner(log_dir: Path, run: str, newest: int) -> None:
    """UserError unless the logs in there, if any, are those of the run. newest: the step of its newest checkpoint."""
    path = log_dir / OWNER
    try:
        owner = json.loads(path.read_text())
        known, step = owner["run"], int(owner["step"])
    except FileNotFoundError:
        known, step = "", 0
        if not (log_dir / "losses.csv").exists() and not events_files(log_dir):
            return
    except (ValueError, TypeError, LookupError, RecursionError):
        known, step = "", 0
    if known != run:
        raise UserError(f"{log_dir} holds the losses of another run: name another --log_dir")
    if step > newest:
        raise UserError(
            f"{log_dir} goes on to a checkpoint of step {step}, which this run has not: it is a copy, or has lost it; "
            "name another --log_dir"
        )


def note_owner(log_dir: Path, run: str, step: int) -> None:
    """Notes whose logs these are, and the step of its newest checkpoint."""
    text = json.dumps({"run": run, "step": step}) + "\n"
    write_atomic(log_dir / OWNER, lambda partial: partial.write_text(text))


def events_files(log_dir: Path) -> list[Path]:
    """A training's TensorBoard files, but for links, and not those of a completion that shares the folder."""
    return [
        path
        for path in log_dir.glob("events.out.tfevents.*")
        if path.is_file() and not path.is_symlink() and ".completion" not in path.name
    ]


def cut_events(log_dir: Path, step: int) -> None:
    """Cuts off from a training run's TensorBoard files what lies after `step`, which is to be trained again.

    UserError if one may not be read or written.
    """
    for path in events_files(log_dir):
        try:
            length = _length_up_to(path, step)
            if length is not None and length < path.stat().st_size:
                os.truncate(path, length)
        except (tf.errors.OpError, OSError) as error:
            reason = error.message if isinstance(error, tf.errors.OpError) else error.strerror
            raise UserError(f"cannot cut {path} after step {step} ({reason}): see to its permissions") from error


def _length_up_to(path: Path, step: int) -> int | None:
    """Bytes of an events file up to a step; None if it is damaged."""
    length = 0
    try:
        with plain_path(path) as plain:
            for record in tf.data.TFRecordDataset(plain).as_numpy_iterator():
                if tf.compat.v1.Event.FromString(record).step > step:
                    break
                length += RECORD_FRAME + len(record)
    except tf.errors.DataLossError as error:
        if "truncated" not in error.message:  # the last record, when a run was killed; other damage is not ours
            return None
    return length
