"""What completion leaves on disk besides its results."""

from pathlib import Path

import numpy as np

from dcgan.checkpoints import writable
from images.files import save_gif, save_picture
from images.incomplete import Face, Incomplete
from images.sheets import ROWS, framed, grid, titled
from kernels.tensorflow import event_writer, tf
from model import SearchStep

GIF_FRAMES = 60  # at least, and at most twice as many, if there are so many


class Frames:
    """What the search for one batch leaves in `out` besides its results: grids 8 wide, logs, loss curves, a GIF.

    `suffix` keeps the files of one batch from overwriting another's.
    """

    def __init__(self, out: Path, suffix: str, incomplete: Incomplete, note: str):
        """Every picture carries the `note`."""
        self.out, self.suffix, self.note = out, suffix, note
        self.incomplete, self.masked = incomplete, incomplete.shown()
        self.frames: list[tuple[str, np.ndarray]] = []
        self.seen, self.stride = 0, 1
        self.losses: list[np.ndarray] = []
        (out / "logs").mkdir(parents=True, exist_ok=True)
        # The suffix tells these curves from train-dcgan.py's, should the two share a folder.
        with writable(out / "logs"):
            self.writer = event_writer(out / "logs", f".completion{suffix}")
        self._save_grid("before", incomplete.pictures)
        self._save_grid("masked", self.masked)

    def _save_grid(self, name: str, pictures: np.ndarray) -> None:
        save_picture(self.out / f"{name}{self.suffix}.png", grid(pictures), self.note)

    def record(self, state: SearchStep) -> None:
        """Notes a SearchStep's losses; if it has pictures, writes them and all that was noted."""
        self.losses.append(state.losses)
        if state.generated is None:
            return
        self._save_grid(f"hats_imgs/{state.iteration:04d}", state.generated)
        self._save_grid(f"completed/{state.iteration:04d}", state.completed)
        self._keep(f"iteration {state.iteration}", state.completed)
        for face, (*_, total), z in zip(self.incomplete.ids, state.losses, state.z, strict=True):
            with open(self.out / "logs" / log_name(face), "a") as file:
                print(state.iteration, f"{total:.8g}", *(f"{value:.8g}" for value in z), file=file)
        with writable(self.out / "logs"), self.writer.as_default():
            for i, losses in enumerate(self.losses, state.iteration + 1 - len(self.losses)):
                for name, mean in zip(("contextual_loss", "perceptual_loss", "loss"), losses.mean(axis=0), strict=True):
                    if not np.isnan(mean):  # as the perceptual loss is while G's feature maps are searched
                        tf.summary.scalar(name + self.suffix, mean, step=i)
        self.losses = []

    def _keep(self, title: str, frame: np.ndarray) -> None:
        """Keeps frames for the GIF, evenly spaced."""
        if self.seen % self.stride == 0:
            self.frames.append((title, frame))
        self.seen += 1
        if len(self.frames) == 2 * GIF_FRAMES:
            self.frames = self.frames[::2]
            self.stride *= 2

    def finish(self, completed: np.ndarray, blended: np.ndarray, note: str) -> None:
        """Writes the GIF, which ends on the `blended` results, and at last the sheet with a `note`, a row a picture."""
        frames = [("masked", self.masked), *self.frames, ("blended", blended)]
        pictures = [titled(framed(frame), [title]) for title, frame in frames]
        save_gif(self.out / f"completion{self.suffix}.gif", pictures, self.note)
        rows = np.stack([self.incomplete.pictures, self.masked, completed, blended], axis=1)[:ROWS]
        sheet = framed(rows.reshape(-1, *rows.shape[2:]), columns=4)
        save_picture(
            self.out / f"sheet{self.suffix}.png", titled(sheet, ["before", "masked", "completed", "blended"]), note
        )


def log_name(face: Face) -> str:
    """Name of the log of a search: hats_02.log for photo 2, hats_02_2.log for its second face."""
    return f"hats_{face.photo:02d}{f'_{face.index + 1}' if face.index else ''}.log"
