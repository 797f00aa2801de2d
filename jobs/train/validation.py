"""Validates a model in training, and keeps the best one."""

import hashlib
import json
from pathlib import Path

import numpy as np

from dcgan.checkpoints import remove
from images.decoding import load_pictures
from images.files import evenly, find_pictures
from images.likeness import alike, sliced_wasserstein
from images.metrics import SMALLEST
from jobs.train.log import TrainingLog, earlier_rows
from jobs.train.run import BEST, Run
from kernels.tensorflow import tf
from model import DCGAN
from outputs import Outputs
from utils import UserError, write_rows

COUNT = 512  # real pictures, at most
COLUMNS = ("step", "pictures", "sliced_wasserstein", "ms_ssim")
TABLE, CHOSEN = "validation.csv", "validation.json"


class Validation:
    """Compares samples with real pictures at each checkpoint, and keeps the best model.

    The best model has the lowest sliced Wasserstein distance from pictures that are not trained on. All measurements
    use the same z, patches and projections, so that steps differ by their weights alone.
    """

    def __init__(self, run: Run, folder: Path, dcgan: DCGAN):
        """Compares with up to COUNT pictures of the folder. Writes nothing yet.

        Raises UserError if the folder has fewer than two pictures, if they are too small to be measured, if the best
        model so far was chosen by others or in another run, or if the table is damaged or the user's.
        """
        if dcgan.image_size < SMALLEST:
            raise UserError(
                f"--validation needs an --image_size of {SMALLEST} or more, not {dcgan.image_size}: omit --validation"
            )
        self.dcgan, self.run, self.logs = dcgan, run.record.run, run.logs
        self.real = load_pictures(evenly(find_pictures(folder), COUNT), dcgan.image_size, dcgan.c_dim)
        if len(self.real) < 2:
            raise UserError(f"{folder} has fewer than two pictures that can be read: choose another --validation")
        self.pictures = hashlib.sha256(self.real.tobytes()).hexdigest()
        self.best = Outputs(run.checkpoints.folder / BEST, "--checkpoint_dir")
        self.lowest = self._lowest_so_far()
        self.logs.check(TABLE)
        self.rows = earlier_rows(self.logs.folder / TABLE, COLUMNS, int(dcgan.step))

    def _lowest_so_far(self) -> float:
        """The distance of the best model so far, infinite if there is none. UserError if it is not this run's."""
        if not self.best.folder.exists():
            return np.inf
        if self.best.owns(CHOSEN):
            chosen = json.loads((self.best.folder / CHOSEN).read_text())
            if (chosen["run"], chosen["pictures"]) == (self.run, self.pictures):
                return chosen["sliced_wasserstein"]
        raise UserError(
            f"{self.best.folder} was not chosen by these pictures in this run: use the same --validation again, or "
            "move the folder away"
        )

    def begin(self, log: TrainingLog) -> None:
        """Starts the table. Measures the checkpoint that the run resumes from if that was not done."""
        self.log = log
        self.logs.write(TABLE, lambda path: write_rows(path, [COLUMNS, *self.rows]), self.run, grows=True)
        if int(self.dcgan.step) > (int(self.rows[-1][0]) if self.rows else 0):
            self.measure()

    def measure(self) -> None:
        """Measures the model's samples; keeps the model if they are the best so far."""
        step, count = int(self.dcgan.step), len(self.real)
        z = np.random.default_rng(0).uniform(-1, 1, (count, self.dcgan.z_dim)).astype(np.float32)
        samples = np.concatenate(list(self.dcgan.generate(z)))
        distance, similarity = float(sliced_wasserstein(samples, self.real).mean()), alike(samples)
        with self.log.events.recording(step):
            tf.summary.scalar("sliced_wasserstein", distance)
            tf.summary.scalar("ms_ssim", similarity)
        is_best = distance < self.lowest
        if is_best:
            self._keep(step, distance)
        self.logs.add_rows(TABLE, [[step, count, f"{distance:.5g}", f"{similarity:.5g}"]])
        self.log.messages.append(
            f"validation at step {step}, {count} pictures: sliced Wasserstein distance {distance:.2f}, MS-SSIM "
            f"{similarity:.3f}; {f'kept in {self.best.folder}' if is_best else f'the lowest was {self.lowest:.2f}'}"
        )
        self.lowest = min(distance, self.lowest)

    def _keep(self, step: int, distance: float) -> None:
        """Saves the model as the best one, alone in its folder."""
        if not self.best.folder.exists():
            self._note(step, np.inf)  # marks the folder as this run's, should the run be killed while it saves
        self.dcgan.save(self.best.folder, keep=1)
        self._note(step, distance)
        remove(self.best, [step])  # those of later steps, too, which `save` leaves

    def _note(self, step: int, distance: float) -> None:
        chosen = {"run": self.run, "pictures": self.pictures, "step": step, "sliced_wasserstein": distance}
        self.best.write(CHOSEN, lambda path: path.write_text(json.dumps(chosen) + "\n"))
