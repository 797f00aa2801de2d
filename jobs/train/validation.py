"""Measures a training's samples by pictures that it does not see, and keeps the model that comes nearest to them."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np

from images.files import evenly, find_pictures, load_pictures
from images.likeness import alike, sliced_wasserstein
from images.metrics import SMALLEST
from jobs.train.arguments import RunOptions
from jobs.train.log import TrainingLog
from kernels.tensorflow import tf
from model import DCGAN
from utils import UserError, read_rows, say, write_atomic, write_rows

COUNT = 512  # pictures to compare with, at most
COLUMNS = ("step", "pictures", "sliced_wasserstein", "ms_ssim")
BEST, CHOSEN = "best", "validation.json"


def samples_of(dcgan: DCGAN, count: int) -> np.ndarray:
    """uint8 [count, H, W, c_dim]: what G makes of random z, the same each time."""
    z = np.random.default_rng(0).uniform(-1, 1, (count, dcgan.z_dim)).astype(np.float32)
    return np.concatenate(list(dcgan.generate(z)))


class Validation:
    """Writes how near samples come to real pictures, and keeps the model that comes nearest.

    The same z, patches and projections serve each time, so that steps differ by their weights alone.
    """

    def __init__(self, files: RunOptions, folder: Path, dcgan: DCGAN, run: str):
        """Up to COUNT of the folder's pictures are compared with. run: the identity of the run; writes nothing yet.

        UserError if these are fewer than two, or not for such a model; if the model kept so far was not chosen by them
        in this run; or if the table is damaged.
        """
        if dcgan.image_size < SMALLEST:
            raise UserError(f"the model has {dcgan.image_size} pixels, and --validation needs {SMALLEST}: leave it out")
        self.dcgan, self.run = dcgan, run
        self.real = load_pictures(evenly(find_pictures(folder), COUNT), dcgan.image_size, dcgan.c_dim)
        if len(self.real) < 2:
            raise UserError(f"{folder} has not two pictures that can be read: name another folder for --validation")
        self.digest = hashlib.sha256(self.real.tobytes()).hexdigest()
        self.best_dir, self.path = files.checkpoint_dir / BEST, files.log_dir / "validation.csv"
        self.nearest = self._nearest_so_far()
        self.rows = self._earlier_rows(int(dcgan.step))

    def _nearest_so_far(self) -> float:
        """The distance of the model kept, infinite if there is none; UserError if others have chosen it."""
        if not self.best_dir.exists():
            return np.inf
        try:
            chosen = json.loads((self.best_dir / CHOSEN).read_text())
            if (chosen["run"], chosen["pictures"]) == (self.run, self.digest):
                return float(chosen["sliced_wasserstein"])
        except (OSError, ValueError, TypeError, LookupError, RecursionError):
            pass
        what = f"{self.best_dir} was chosen by other pictures, or in another run"
        raise UserError(f"{what}: name its folder by --validation, or move it away")

    def _earlier_rows(self, step: int) -> list[list[str]]:
        """The rows up to the `step` that the run is resumed at."""
        try:
            return [row for row in read_rows(self.path, len(COLUMNS))[1:] if int(row[0]) <= step]
        except FileNotFoundError:
            return []
        except (ValueError, csv.Error):
            raise UserError(f"{self.path} is damaged: restore it from a copy, or name another --log_dir") from None

    def begin(self, log: TrainingLog) -> None:
        """From here on the table is this run's; measures the checkpoint resumed from if a stop has prevented that."""
        write_atomic(self.path, lambda partial: write_rows(partial, [COLUMNS, *self.rows]))
        if int(self.dcgan.step) > (int(self.rows[-1][0]) if self.rows else 0):
            self.measure(log)

    def measure(self, log: TrainingLog) -> None:
        """Of the checkpoint just written; UserError if it cannot be kept."""
        step, count = int(self.dcgan.step), len(self.real)
        samples = samples_of(self.dcgan, count)
        distance, similar = float(sliced_wasserstein(samples, self.real).mean()), alike(samples)
        with log.events(step):
            tf.summary.scalar("sliced_wasserstein", distance)
            tf.summary.scalar("ms_ssim", similar)
        nearest = distance < self.nearest
        if nearest:
            self._keep(step, distance)
        write_rows(self.path, [[step, count, f"{distance:.5g}", f"{similar:.5g}"]])
        say(
            f"validation at step {step}, {count} pictures: sliced Wasserstein distance {distance:.2f}, "
            f"MS-SSIM {similar:.3f}; {f'kept in {self.best_dir}' if nearest else f'the nearest had {self.nearest:.2f}'}"
        )
        self.nearest = min(distance, self.nearest)

    def _keep(self, step: int, distance: float) -> None:
        """The model as the nearest one, alone in its folder."""
        if not self.best_dir.exists():
            self._note(step, np.inf)  # or what a stop leaves of a first model would be taken for another run's
        self.dcgan.save(self.best_dir, keep=1)
        self._note(step, distance)
        for path in sorted(self.best_dir.glob("dcgan-*"), reverse=True):  # index before data
            if path.stem != f"dcgan-{step}":  # later ones, of a run that was resumed before them
                path.unlink()

    def _note(self, step: int, distance: float) -> None:
        chosen = {"run": self.run, "pictures": self.digest, "step": step, "sliced_wasserstein": distance}
        write_atomic(self.best_dir / CHOSEN, lambda partial: partial.write_text(json.dumps(chosen) + "\n"))
