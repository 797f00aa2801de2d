"""Moves a damaged face into place, by a small convolutional network that is told what is hidden.

It sees the frame that a guess brings the face into and half as much around it, and says by which affine map the face
comes from there into the frame that align.py would find in the undamaged photo. Trained as tools/train_placing.py does
it, but in PyTorch on a GPU, on photos with holes and wrong guesses, 10,363 of Labeled Faces in the Wild, without the
people held out (checkpoints/pretrained/README.md).
"""

from functools import lru_cache
from pathlib import Path

import numpy as np

from faces.compositing import close_up, in_frames
from faces.detector import chained, displacement, in_sides, inverse

SIDE, WIDE = 64, 1.5  # pixels of what the network sees, and frames that it is wide
TIMES = 4  # that it looks, each time nearer
UNIT, MOST = 0.1, 4  # of its answers, and UNITs that are believed: so few turn nothing over
WEIGHTS = Path(__file__).with_name("placing.npz")


def zoomed(zoom: float, x: float = 0, y: float = 0) -> np.ndarray:
    """A map [2, 3] of a frame with side 1: its middle stays, and all is moved by (x, y) after that."""
    return np.array([[zoom, 0, x + (1 - zoom) / 2], [0, zoom, y + (1 - zoom) / 2]])


# Of a face the network ends in the same place from all of these; farther ones find more wrong ones, and lose real ones.
STARTS = (zoomed(1), zoomed(1.1, x=0.08), zoomed(0.9, x=-0.08), zoomed(0.9, y=0.08), zoomed(1.1, y=-0.08))


def placed(photo: np.ndarray, known: np.ndarray, guess: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """[2, 3]: the map of a face in the photo, uint8 [H, W, 3], into a frame of `size` pixels; `guess` is one nearby.

    It is the mean of those found from the guess as it is and moved by the other STARTS, and comes with how far these
    lie from it, in 64ths of the frame's side: from all of them a face is found in one place, and what is none in
    several. What is not `known`, bool [H, W], has no say; where nothing is, the guesses stay.
    """
    photo, known, closer = close_up(photo, known, guess, size, SIDE / WIDE)
    guess = chained(guess, inverse(closer))
    maps = [_moved(photo, known, chained(in_pixels(start, size), guess), size) for start in STARTS]
    mean = np.mean(maps, axis=0)
    return chained(mean, closer), float(np.mean([displacement(each, mean, size) for each in maps]))


def _moved(photo: np.ndarray, known: np.ndarray, guess: np.ndarray, size: int) -> np.ndarray:
    """[2, 3]: where the network moves one guess."""
    for _ in range(TIMES):
        x = view(photo, known, guess, size)
        if not x[..., 3].any():
            break
        moved = np.eye(2, 3) + UNIT * answer(x).clip(-MOST, MOST).reshape(2, 3)
        guess = chained(in_pixels(moved, size), guess)
    return guess


def surroundings(guess: np.ndarray, size: int) -> np.ndarray:
    """[2, 3]: the map of what the network sees, from a guess at the map into a frame of `size`, into SIDE pixels."""
    return chained(inverse(in_sides(SIDE)), chained(zoomed(1 / WIDE), chained(in_sides(size), guess)))


def in_pixels(moved: np.ndarray, size: int) -> np.ndarray:
    """A map [2, 3] of a frame of `size` pixels, given as one of a frame whose side is 1."""
    return chained(inverse(in_sides(size)), chained(moved, in_sides(size)))


def view(photo: np.ndarray, known: np.ndarray, guess: np.ndarray, size: int) -> np.ndarray:
    """float32 [SIDE, SIDE, 4]: what the network sees: colours in [-1, 1], 0 where they are hidden; and 1 where not."""
    around = in_frames(photo, known, [surroundings(guess, size)], SIDE)
    seen = around.masks[0, ..., None].astype(np.float32)
    return np.dstack([(around.pictures[0] / np.float32(127.5) - 1) * seen, seen])


def answer(x: np.ndarray) -> np.ndarray:
    """[6]: what the network says to a view, in UNITs of the frame's side."""
    *layers, (last, shift) = _layers()
    for weights, bias in layers:
        x = _convolved(x, weights) if weights.ndim == 4 else x.ravel() @ weights
        x = np.maximum(x + bias, 0)
    return x @ last + shift


def _convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """[2s, 2s, c] with kernel [5, 5, c, n], in steps of two pixels: [s, s, n]; as TensorFlow's SAME."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((1, 2), (1, 2), (0, 0))), (5, 5), axis=(0, 1))
    return np.tensordot(windows[::2, ::2], kernel, axes=((3, 4, 2), (0, 1, 2)))


@lru_cache
def _layers() -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and biases, layer after layer."""
    with np.load(WEIGHTS) as stored:
        arrays = [stored[name].astype(np.float32) for name in stored.files]
    return list(zip(arrays[::2], arrays[1::2], strict=True))
