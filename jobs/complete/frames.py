"""Frames of a completion: pictures, logs and curves of the search."""

from functools import partial

import numpy as np

from completion.batches import Batch
from images.files import save_gif, save_picture
from images.sheets import framed, grid, titled
from jobs.complete.results import frames_note, log_name, suffix
from jobs.events import EventFile
from kernels.tensorflow import tf
from model import SearchStep
from outputs import Outputs

GIF_FRAMES = 60  # a GIF has from 60 to 119 frames, or fewer if the search has fewer


class Frames:
    """Writes the frames of one batch's best guesses: grids 8 pictures wide, logs, loss curves and a GIF."""

    def __init__(self, outputs: Outputs, batch: Batch):
        """UserError if a foreign file has the name of a frame."""
        self.outputs, self.suffix, self.note = outputs, suffix(batch.nth), frames_note(batch.nth)
        self.incomplete = batch.best_guesses
        self.masked, self.count = self.incomplete.shown(), len(self.incomplete)
        self.frames: list[tuple[str, np.ndarray]] = []
        self.seen, self.stride = 0, 1
        self.losses: list[np.ndarray] = []
        # Its suffix tells the file from those of train-dcgan.py.
        self.events = EventFile(outputs, "logs", self.note, f".completion{self.suffix}")
        self._save("before", grid(self.incomplete.pictures))
        self._save("masked", grid(self.masked))

    def _save(self, name: str, pixels: np.ndarray) -> None:
        self.outputs.write(f"{name}{self.suffix}.png", partial(save_picture, pixels=pixels), self.note)

    def record(self, state: SearchStep) -> None:
        """Collects the losses. If the state has pictures, writes these and the collected losses."""
        self.losses.append(state.losses[: self.count])
        if state.generated is None:
            return
        generated, completed = state.generated[: self.count], state.completed[: self.count]
        self._save(f"hats_imgs/{state.iteration:04d}", grid(generated))
        self._save(f"completed/{state.iteration:04d}", grid(completed))
        self._keep(f"iteration {state.iteration}", completed)
        for face, (*_, total), z in zip(self.incomplete.ids, self.losses[-1], state.z[: self.count], strict=True):
            line = " ".join([str(state.iteration), *(f"{value:.8g}" for value in (total, *z))])
            self.outputs.add_text(log_name(face), line + "\n", self.note)
        with self.events.recording():
            for i, losses in enumerate(self.losses, state.iteration + 1 - len(self.losses)):
                for name, mean in zip(("contextual_loss", "perceptual_loss", "loss"), losses.mean(axis=0), strict=True):
                    if not np.isnan(mean):  # the search in feature maps has no perceptual loss
                        tf.summary.scalar(name + self.suffix, mean, step=i)
        self.losses = []

    def _keep(self, title: str, frame: np.ndarray) -> None:
        """Keeps evenly spaced frames for the GIF."""
        if self.seen % self.stride == 0:
            self.frames.append((title, frame))
        self.seen += 1
        if len(self.frames) == 2 * GIF_FRAMES:
            self.frames = self.frames[::2]
            self.stride *= 2

    def finish(self, blended: np.ndarray) -> None:
        """Writes the GIF, which ends with the `blended` results."""
        frames = [("masked", self.masked), *self.frames, ("blended", blended[: self.count])]
        pictures = [titled(framed(frame), [title]) for title, frame in frames]
        self.outputs.write(f"completion{self.suffix}.gif", partial(save_gif, frames=pictures), self.note)
