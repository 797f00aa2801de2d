"""Measures a training's samples by pictures that it does not see."""

import csv
from pathlib import Path

import numpy as np

from jobs.sampling import generated
from jobs.training_log import TrainingLog
from model import DCGAN
from ops import tf
from pictures.files import evenly, find_pictures, load_each, load_picture
from pictures.likeness import sliced_wasserstein
from pictures.metrics import WINDOW, ms_ssim
from utils import UserError, read_rows, say, write_atomic, write_rows

COUNT = 1024  # pictures to compare with, at most
COLUMNS = ("step", "pictures", "sliced_wasserstein", "ms_ssim")
BEST = "best"


def samples_of(dcgan: DCGAN, count: int) -> np.ndarray:
    """uint8 [count, H, W, c_dim]: what G makes of random z, the same each time."""
    z = np.random.default_rng(0).uniform(-1, 1, (count, dcgan.z_dim)).astype(np.float32)
    return np.concatenate(list(generated(dcgan, z)))


def alike(pictures: np.ndarray) -> float:
    """How alike pictures are: the mean MS-SSIM of one in the first half and one in the second."""
    half = len(pictures) // 2
    return float(ms_ssim(pictures[:half], pictures[half : 2 * half]).mean())


class Validation:
    """Writes how near samples come to real pictures, and keeps the model that comes nearest.

    The same z, patches and projections serve each time, so that steps differ by their weights alone.
    """

    def __init__(self, dcgan: DCGAN, folder: Path, checkpoint_dir: Path, log: TrainingLog):
        """UserError if there are no two pictures in the folder that can be compared with samples."""
        if dcgan.image_size < WINDOW:
            raise UserError(f"--validation needs 16 pixels or more, and the model has {dcgan.image_size}")
        self.dcgan, self.log, self.best_dir = dcgan, log, checkpoint_dir / BEST
        self.path = log.log_dir / "validation.csv"
        paths = evenly(find_pictures(folder), COUNT)
        loaded = load_each(dict(enumerate(paths)), lambda path: load_picture(path, dcgan.image_size, dcgan.c_dim)[0])
        if len(loaded) < 2:
            raise UserError(f"{folder} has not two pictures that can be read: name another folder for --validation")
        self.real = np.stack(list(loaded.values()))
        self.rows = self._earlier_rows(int(dcgan.step))
        write_atomic(self.path, lambda partial: write_rows(partial, [COLUMNS, *self.rows]))

    def _earlier_rows(self, step: int) -> list[list[str]]:
        """The rows up to the `step` that the run is resumed at."""
        try:
            return [row for row in read_rows(self.path, len(COLUMNS))[1:] if 0 < int(row[0]) <= step]
        except FileNotFoundError:
            return []
        except (ValueError, csv.Error):
            raise UserError(f"{self.path} is damaged: restore it from a copy, or name another --log_dir") from None

    def measure(self) -> None:
        """Of the model as it is now; UserError if it cannot be written."""
        step, count = int(self.dcgan.step), len(self.real)
        samples = samples_of(self.dcgan, count)
        distance, similar = float(sliced_wasserstein(samples, self.real).mean()), alike(samples)
        with self.log.events(step):
            tf.summary.scalar("sliced_wasserstein", distance)
            tf.summary.scalar("ms_ssim", similar)
        nearest = min((float(row[2]) for row in self.rows if int(row[1]) == count), default=np.inf)
        if distance < nearest:
            self.dcgan.save(self.best_dir, keep=1)
        row = [str(step), str(count), f"{distance:.5g}", f"{similar:.5g}"]
        write_rows(self.path, [row])
        self.rows.append(row)
        say(
            f"validation at step {step}, {count} pictures: sliced Wasserstein distance {distance:.2f}, "
            f"MS-SSIM {similar:.3f}; " + (f"kept in {self.best_dir}" if distance < nearest else "not the nearest")
        )
