"""Measures a training's samples by pictures that it does not see, and keeps the model that comes nearest to them."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np

from jobs.training_log import TrainingLog
from model import DCGAN
from ops import tf
from pictures.files import evenly, find_pictures, load_each, load_picture
from pictures.likeness import alike, sliced_wasserstein
from utils import UserError, read_rows, say, write_atomic, write_rows

COUNT = 512  # pictures to compare with, at most
SMALLEST = 16  # pixels: MS-SSIM sees nothing in less
COLUMNS = ("step", "pictures", "sliced_wasserstein", "ms_ssim")
BEST, CHOSEN = "best", "validation.json"


def samples_of(dcgan: DCGAN, count: int) -> np.ndarray:
    """uint8 [count, H, W, c_dim]: what G makes of random z, the same each time."""
    z = np.random.default_rng(0).uniform(-1, 1, (count, dcgan.z_dim)).astype(np.float32)
    return np.concatenate(list(dcgan.generate(z)))


def validation_pictures(folder: Path, dcgan: DCGAN) -> np.ndarray:
    """uint8 [N, H, W, c_dim], up to COUNT, spread over the folder; UserError if there are no two for such a model."""
    if dcgan.image_size < SMALLEST:
        raise UserError(
            f"--validation is for {SMALLEST} pixels and more, the model has {dcgan.image_size}: leave it out"
        )
    paths = evenly(find_pictures(folder), COUNT)
    loaded = load_each(dict(enumerate(paths)), lambda path: load_picture(path, dcgan.image_size, dcgan.c_dim)[0])
    if len(loaded) < 2:
        raise UserError(f"{folder} has not two pictures that can be read: name another folder for --validation")
    return np.stack(list(loaded.values()))


def check_best(checkpoint_dir: Path, run: str, real: np.ndarray) -> float:
    """The least distance so far, infinite if there is none; UserError if the model kept is not the nearest to `real`.

    run: whose model it has to be.
    """
    best = checkpoint_dir / BEST
    if not best.exists():
        return np.inf
    try:
        chosen = json.loads((best / CHOSEN).read_text())
        if (chosen["run"], chosen["pictures"]) == (run, _digest(real)):
            return float(chosen["sliced_wasserstein"])
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        pass
    raise UserError(
        f"{best} was chosen by other pictures, or in another run: name its folder by --validation, or move it away"
    )


def _digest(pictures: np.ndarray) -> str:
    return hashlib.sha256(pictures.tobytes()).hexdigest()


class Validation:
    """Writes how near samples come to real pictures, and keeps the model that comes nearest.

    The same z, patches and projections serve each time, so that steps differ by their weights alone.
    """

    def __init__(self, dcgan: DCGAN, real: np.ndarray, checkpoint_dir: Path, run: str, log: TrainingLog):
        """real: of `validation_pictures`, and such that `check_best` agrees. UserError if the CSV file is damaged."""
        self.dcgan, self.real, self.run, self.log = dcgan, real, run, log
        self.best_dir = checkpoint_dir / BEST
        self.nearest = check_best(checkpoint_dir, run, real)
        self.path = log.log_dir / "validation.csv"
        rows = self._earlier_rows(int(dcgan.step))
        write_atomic(self.path, lambda partial: write_rows(partial, [COLUMNS, *rows]))
        self.measured = int(rows[-1][0]) if rows else 0  # the last step that was

    def _earlier_rows(self, step: int) -> list[list[str]]:
        """The rows up to the `step` that the run is resumed at."""
        try:
            return [row for row in read_rows(self.path, len(COLUMNS))[1:] if int(row[0]) <= step]
        except FileNotFoundError:
            return []
        except (ValueError, csv.Error):
            raise UserError(f"{self.path} is damaged: restore it from a copy, or name another --log_dir") from None

    def measure(self) -> None:
        """Of the checkpoint just written or resumed from, if that has not been done; UserError if it cannot be kept."""
        step, count = int(self.dcgan.step), len(self.real)
        if step <= self.measured:
            return
        samples = samples_of(self.dcgan, count)
        distance, similar = float(sliced_wasserstein(samples, self.real).mean()), alike(samples)
        with self.log.events(step):
            tf.summary.scalar("sliced_wasserstein", distance)
            tf.summary.scalar("ms_ssim", similar)
        nearest = distance < self.nearest
        if nearest:
            self._keep(step, distance)
        write_rows(self.path, [[step, count, f"{distance:.5g}", f"{similar:.5g}"]])
        self.measured = step
        say(
            f"validation at step {step}, {count} pictures: sliced Wasserstein distance {distance:.2f}, "
            f"MS-SSIM {similar:.3f}; {f'kept in {self.best_dir}' if nearest else f'the nearest had {self.nearest:.2f}'}"
        )
        self.nearest = min(distance, self.nearest)

    def _keep(self, step: int, distance: float) -> None:
        """The model as the nearest one, alone in its folder."""
        self.dcgan.save(self.best_dir, keep=1)
        chosen = {"run": self.run, "pictures": _digest(self.real), "step": step, "sliced_wasserstein": distance}
        write_atomic(self.best_dir / CHOSEN, lambda partial: partial.write_text(json.dumps(chosen) + "\n"))
        for path in sorted(self.best_dir.glob("dcgan-*"), reverse=True):  # index before data
            if path.stem != f"dcgan-{step}":  # later ones, of a run that was resumed before them
                path.unlink()
