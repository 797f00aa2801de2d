"""Corrects a rough guess of where a damaged face is, by a small convolutional network.

The network sees the guessed frame and a margin of a quarter of its side, and which pixels are known. It answers with
the affine map that corrects the guess toward the frame that align.py would find in the undamaged photo. It was trained
as by tools/train_placing.py, but in PyTorch on a GPU, with random holes and wrong guesses in 10,363 photos of Labeled
Faces in the Wild, without the people held out (checkpoints/pretrained/README.md).
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from faces.frame import Frame, chained, inverse, to_unit
from faces.together import Ask, Asking
from images.photo import Photo

SIDE, WIDE = 64, 1.5  # pixels of the network's view; its width in frames
TIMES = 4  # corrections in a row
UNIT, MOST = 0.1, 4  # unit of the network's answers, and their limit, so that no face is turned over
WEIGHTS = Path(__file__).with_name("placing.npz")

Network = Callable[[list[np.ndarray]], Sequence[np.ndarray]]
"""Takes a list of views [N, SIDE, SIDE, 4], returns for each the answers [N, 6].

An answer is the map that corrects a guess, minus the identity, in UNITs of the frame's side.
"""


def zoomed(zoom: float, x: float = 0, y: float = 0) -> np.ndarray:
    """The map [2, 3] of a frame of side 1 that zooms around its center, then moves by (x, y)."""
    return np.array([[zoom, 0, x + (1 - zoom) / 2], [0, zoom, y + (1 - zoom) / 2]])


# From all of these the network finds the same place of a real face. Starts farther away would miss real faces and find
# more false ones.
STARTS = (zoomed(1), zoomed(1.1, x=0.08), zoomed(0.9, x=-0.08), zoomed(0.9, y=0.08), zoomed(1.1, y=-0.08))


def placed(photo: Photo, guess: Frame, network: Network) -> Asking:
    """Returns the frame of the face near `guess`, and how much the answers scatter, in 64ths of the frame's side.

    The frame is the mean of those found from all STARTS. The scatter is their mean displacement from it, small for a
    real face. Where no pixel is known, the guesses stay as they are.
    """
    near, closer = guess.close_up(photo, SIDE / WIDE)
    guess = guess.after(inverse(closer))
    found = [guess.moved(start) for start in STARTS]
    for _ in range(TIMES):
        views = np.stack([view(near, frame) for frame in found])
        changes = UNIT * (yield Ask(network, views)).clip(-MOST, MOST) * views[..., 3:].any(axis=(1, 2))
        found = [frame.moved(np.eye(2, 3) + change.reshape(2, 3)) for frame, change in zip(found, changes, strict=True)]
    mean = Frame(np.mean([each.transform for each in found], axis=0), guess.size)
    return mean.after(closer), float(np.mean([each.displacement(mean) for each in found]))


def surroundings(guess: Frame) -> Frame:
    """The frame of SIDE pixels that the network sees around a guess."""
    unit = chained(to_unit(guess.size), guess.transform)
    return Frame(chained(inverse(to_unit(SIDE)), chained(zoomed(1 / WIDE), unit)), SIDE)


def view(photo: Photo, guess: Frame) -> np.ndarray:
    """float32 [SIDE, SIDE, 4]: the network's input: colors in [-1, 1], 0 in the hole, and 1 where they are known."""
    pixels, known = surroundings(guess).view(photo)
    seen = known[..., None].astype(np.float32)
    return np.dstack([(pixels / np.float32(127.5) - 1) * seen, seen])
