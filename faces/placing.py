"""Corrects a rough guess of where a damaged face is, by a small convolutional network.

The network sees the guessed frame and a margin of a quarter of its side, and which pixels are known. It answers with
the affine map that corrects the guess toward the frame that align.py would find in the undamaged photo. It was trained
as by tools/train_placing.py, but in PyTorch on a GPU, with random holes and wrong guesses in 10,363 photos of Labeled
Faces in the Wild, without the people held out (checkpoints/pretrained/README.md).
"""

from functools import lru_cache
from pathlib import Path

import numpy as np

from faces.frame import Frame, chained, inverse, to_unit
from images.photo import Photo

SIDE, WIDE = 64, 1.5  # pixels of the network's view; its width in frames
TIMES = 4  # corrections in a row
UNIT, MOST = 0.1, 4  # unit of the network's answers, and their limit, so that no face is turned over
WEIGHTS = Path(__file__).with_name("placing.npz")


def zoomed(zoom: float, x: float = 0, y: float = 0) -> np.ndarray:
    """The map [2, 3] of a frame of side 1 that zooms around its center, then moves by (x, y)."""
    return np.array([[zoom, 0, x + (1 - zoom) / 2], [0, zoom, y + (1 - zoom) / 2]])


# From all of these the network finds the same place of a real face. Starts farther away would miss real faces and find
# more false ones.
STARTS = (zoomed(1), zoomed(1.1, x=0.08), zoomed(0.9, x=-0.08), zoomed(0.9, y=0.08), zoomed(1.1, y=-0.08))


def placed(photo: Photo, guess: Frame) -> tuple[Frame, float]:
    """The frame of the face near `guess`, and how much the answers scatter, in 64ths of the frame's side.

    The frame is the mean of those found from all STARTS. The scatter is their mean displacement from it, small for a
    real face. Where no pixel is known, the guesses stay as they are.
    """
    near, closer = guess.close_up(photo, SIDE / WIDE)
    guess = guess.after(inverse(closer))
    found = [_corrected(near, guess.moved(start)) for start in STARTS]
    mean = Frame(np.mean([each.transform for each in found], axis=0), guess.size)
    return mean.after(closer), float(np.mean([each.displacement(mean) for each in found]))


def _corrected(photo: Photo, guess: Frame) -> Frame:
    """The frame that the network finds from one guess."""
    for _ in range(TIMES):
        x = view(photo, guess)
        if not x[..., 3].any():
            break
        guess = guess.moved(np.eye(2, 3) + UNIT * answer(x).clip(-MOST, MOST).reshape(2, 3))
    return guess


def surroundings(guess: Frame) -> Frame:
    """The frame of SIDE pixels that the network sees around a guess."""
    unit = chained(to_unit(guess.size), guess.transform)
    return Frame(chained(inverse(to_unit(SIDE)), chained(zoomed(1 / WIDE), unit)), SIDE)


def view(photo: Photo, guess: Frame) -> np.ndarray:
    """float32 [SIDE, SIDE, 4]: the network's input: colors in [-1, 1], 0 in the hole, and 1 where they are known."""
    pixels, known = surroundings(guess).view(photo)
    seen = known[..., None].astype(np.float32)
    return np.dstack([(pixels / np.float32(127.5) - 1) * seen, seen])


def answer(x: np.ndarray) -> np.ndarray:
    """[6]: the network's output for a view: the map minus the identity, in UNITs of the frame's side."""
    *layers, (last, shift) = _layers()
    for weights, bias in layers:
        x = _convolved(x, weights) if weights.ndim == 4 else x.ravel() @ weights
        x = np.maximum(x + bias, 0)
    return x @ last + shift


def _convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """[2s, 2s, c] * kernel [5, 5, c, n] -> [s, s, n], with stride 2 and TensorFlow's SAME padding."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((1, 2), (1, 2), (0, 0))), (5, 5), axis=(0, 1))
    return np.tensordot(windows[::2, ::2], kernel, axes=((3, 4, 2), (0, 1, 2)))


@lru_cache
def _layers() -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and biases of each layer."""
    with np.load(WEIGHTS) as stored:
        arrays = [stored[name].astype(np.float32) for name in stored.files]
    return list(zip(arrays[::2], arrays[1::2], strict=True))
