"""What completion leaves on disk besides its results."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dcgan.checkpoints import writable
from model import SearchState
from ops import tf
from pictures.files import save_gif, save_picture
from pictures.sheets import framed, grid

# The files that a completion writes, but for its results in final/.
OWN = re.compile(
    r"((before|masked|completion|sheet|(hats_imgs|completed)/\d+)(?P<suffix>(_\d+)?)\.(png|gif))"
    r"|logs/hats_\d+\.log|logs/events\.out\.tfevents\..*\.completion(?P<suffix_of_events>(_\d+)?)"
)
SHEET_ROWS = 8
GIF_FRAMES = 60  # at least, and at most twice as many, if there are so many


class CompletionRecorder:
    """What the search for one batch leaves in `out` besides its results: grids 8 wide, logs, loss curves, a GIF.

    `suffix` keeps the files of one batch from overwriting another's; what an earlier call left under it is removed.
    """

    def __init__(
        self, out: Path, suffix: str, note: str, places: Sequence[int], pictures: np.ndarray, masked: np.ndarray
    ):
        """`masked` is what the search sees of the `pictures`; the finished sheet carries the `note`."""
        self.out, self.suffix, self.note, self.places = out, suffix, note, places
        self.pictures, self.masked = pictures, masked
        self.frames: list[np.ndarray] = []
        self.seen, self.stride = 0, 1
        self.losses: list[np.ndarray] = []
        for path in earlier_files(out, suffix):
            path.unlink()
        (out / "logs").mkdir(parents=True, exist_ok=True)
        for place in places:
            (out / "logs" / f"hats_{place:02d}.log").unlink(missing_ok=True)
        # The suffix tells these curves from train-dcgan.py's, should the two share a folder.
        with writable(out / "logs"):
            self.writer = tf.summary.create_file_writer(str(out / "logs"), filename_suffix=f".completion{suffix}")
        self._save_grid("before", pictures)
        self._save_grid("masked", masked)

    def _save_grid(self, name: str, pictures: np.ndarray) -> None:
        save_picture(self.out / f"{name}{self.suffix}.png", grid(pictures))

    def record(self, state: SearchState) -> None:
        """Notes a SearchState's losses; if it has pictures, writes them and all that was noted."""
        self.losses.append(state.losses)
        if state.generated is None:
            return
        self._save_grid(f"hats_imgs/{state.iteration:04d}", state.generated)
        self._save_grid(f"completed/{state.iteration:04d}", state.completed)
        self._keep(state.completed)
        for place, (*_, total), z in zip(self.places, state.losses, state.z, strict=True):
            with open(self.out / "logs" / f"hats_{place:02d}.log", "a") as file:
                print(state.iteration, f"{total:.8g}", *(f"{value:.8g}" for value in z), file=file)
        with writable(self.out / "logs"), self.writer.as_default():
            for i, losses in enumerate(self.losses, state.iteration + 1 - len(self.losses)):
                for name, mean in zip(("contextual_loss", "perceptual_loss", "loss"), losses.mean(axis=0), strict=True):
                    tf.summary.scalar(name + self.suffix, mean, step=i)
        self.losses = []

    def _keep(self, frame: np.ndarray) -> None:
        """Keeps frames for the GIF, evenly spaced."""
        if self.seen % self.stride == 0:
            self.frames.append(frame)
        self.seen += 1
        if len(self.frames) == 2 * GIF_FRAMES:
            self.frames = self.frames[::2]
            self.stride *= 2

    def finish(self, completed: np.ndarray, blended: np.ndarray) -> None:
        """Writes the GIF, which ends on the `blended` results, and at last the sheet, a row a picture."""
        frames = [framed(frame) for frame in (self.masked, *self.frames, blended)]
        save_gif(self.out / f"completion{self.suffix}.gif", frames)
        rows = np.stack([self.pictures, self.masked, completed, blended], axis=1)[:SHEET_ROWS]
        sheet = framed(rows.reshape(-1, *self.pictures.shape[1:]), columns=4)
        save_picture(self.out / f"sheet{self.suffix}.png", sheet, self.note)


def earlier_files(out: Path, suffix: str | None = None) -> list[Path]:
    """What an earlier completion left in `out`, but for `final` and only for the batch of that `suffix`, if given."""
    owned = ((path, OWN.fullmatch(path.relative_to(out).as_posix())) for path in (*out.glob("*"), *out.glob("*/*")))
    return [
        path
        for path, match in owned
        if match and (suffix is None or suffix in (match["suffix"], match["suffix_of_events"]))
    ]
