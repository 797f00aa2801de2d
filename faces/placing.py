"""Corrects rough guesses of where damaged faces are, and tells whether there is one, by small convolutional networks.

A network sees the guessed frame and a margin of a quarter of its side, and which pixels are known. It answers with the
affine map that corrects the guess toward the frame that align.py would find in the undamaged photo. Of the two
networks, the scout finds faces: it corrects guesses that are farther away, and also scores how likely there is a face.
The other one then places them more precisely. Both learned from photos with random holes and wrong guesses, without the
people held out (checkpoints/pretrained/README.md): the scout from Labeled Faces in the Wild, CelebA and FFHQ by
tools/train_placing.py, the other one from Labeled Faces in the Wild alone by an earlier version, without the score.
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
WEIGHTS, SCOUT = (Path(__file__).with_name(name) for name in ("placing.npz", "scouting.npz"))
# Of the guesses of `scan`: side of the largest ones, in shares of the photo's shorter side; number of sides, and their
# ratio; distance of two guesses of one side, in shares of it.
LARGEST, SIZES, RATIO, STEP = 1, 6, 1.4, 0.35
SMALLEST = LARGEST * RATIO ** (1 - SIZES)
TINY = 16  # pixels: guesses with a smaller side are left out, or a long strip would have a million
LIKELIEST, APART = 8, 12  # of the guesses that `scan` returns: their number, and least displacements in 64ths
AT_ONCE = 16  # views of a photo, to save memory when many photos are searched

Network = Callable[[list[np.ndarray]], Sequence[np.ndarray]]
"""Takes a list of views [N, SIDE, SIDE, 4], returns for each the answers [N, 6], or [N, 7] of the scout.

An answer is the map that corrects a guess, minus the identity, in UNITs of the frame's side; then the logit of a face.
"""


def zoomed(zoom: float, x: float = 0, y: float = 0) -> np.ndarray:
    """The map [2, 3] of a frame of side 1 that zooms around its center, then moves by (x, y)."""
    return np.array([[zoom, 0, x + (1 - zoom) / 2], [0, zoom, y + (1 - zoom) / 2]])


# From all of these the network finds the same place of a real face.
STARTS = (zoomed(1), zoomed(1.1, x=0.08), zoomed(0.9, x=-0.08), zoomed(0.9, y=0.08), zoomed(1.1, y=-0.08))


def placed(photo: Photo, guess: Frame, network: Network) -> Asking:
    """Returns the frame of the face near `guess`, and the logit of there being one, which is 0 without a scout.

    Both are the means of those found from all STARTS. Where no pixel is known, the guesses stay as they are.
    """
    near, closer = guess.close_up(photo, SIDE / WIDE)
    guess = guess.after(inverse(closer))
    found = [guess.moved(start) for start in STARTS]
    for _ in range(TIMES):
        answers = yield from _answers(near, found, network)
        found = [frame.moved(change_by(answer)) for frame, answer in zip(found, answers, strict=True)]
    mean = Frame(np.mean([each.transform for each in found], axis=0), guess.size)
    return mean.after(closer), float(answers[:, 6:].sum(axis=1).mean())


def scan(photo: Photo, size: int, scout: Network) -> Asking:
    """Returns the guesses, of `size` pixels, that most likely show a face at the photo's hole, the likeliest first."""
    near, closer = photo.shrunk(int(SMALLEST * min(photo.shape) * WIDE / SIDE))
    sides = min(near.shape) * LARGEST * RATIO ** -np.arange(SIZES)
    guesses = [guess for side in sides if side >= TINY for guess in _spread(near, side, size)]
    if not guesses:  # the photo is tiny, or the hole lies where `shrunk` cuts the photo off
        return []
    scores = (yield from _answers(near, guesses, scout))[:, 6]
    chosen: list[Frame] = []
    for i in np.argsort(-scores, kind="stable"):
        if scores[i] > 0 and len(chosen) < LIKELIEST and all(guesses[i].displacement(c) > APART for c in chosen):
            chosen.append(guesses[i])
    return [guess.after(closer) for guess in chosen]


def _spread(photo: Photo, side: float, size: int) -> list[Frame]:
    """Frames of `size` pixels and this side in the photo, STEP apart, that meet the hole."""
    (top, bottom), (left, right) = ((part.start, part.stop) for part in photo.around_hole())
    scale = size / side
    guesses = [
        Frame(np.array([[scale, 0, (size - 1) / 2 - scale * x], [0, scale, (size - 1) / 2 - scale * y]]), size)
        for y in _along(top, bottom, side)
        for x in _along(left, right, side)
    ]
    return [guess for guess in guesses if guess.meets_hole(photo)]


def _along(start: int, stop: int, side: float) -> np.ndarray:
    count = int((stop - start + side / 2) / (STEP * side)) + 1
    return (start + stop - 1) / 2 + STEP * side * (np.arange(count) - (count - 1) / 2)


def _answers(photo: Photo, guesses: Sequence[Frame], network: Network) -> Asking:
    """Returns the network's answers to guesses; 0 where no pixel is known."""
    answers = []
    for first in range(0, len(guesses), AT_ONCE):
        views = np.stack([view(photo, guess) for guess in guesses[first : first + AT_ONCE]])
        answers.append((yield Ask(network, views)) * views[..., 3:].any(axis=(1, 2)))
    return np.concatenate(answers)


def change_by(answer: np.ndarray) -> np.ndarray:
    """The map [2, 3] of a frame of side 1 by which an answer of the network corrects a guess."""
    return np.eye(2, 3) + UNIT * answer[:6].clip(-MOST, MOST).reshape(2, 3)


def surroundings(guess: Frame) -> Frame:
    """The frame of SIDE pixels that the network sees around a guess."""
    unit = chained(to_unit(guess.size), guess.transform)
    return Frame(chained(inverse(to_unit(SIDE)), chained(zoomed(1 / WIDE), unit)), SIDE)


def view(photo: Photo, guess: Frame) -> np.ndarray:
    """float32 [SIDE, SIDE, 4]: the network's input: colors in [-1, 1], 0 in the hole, and 1 where they are known."""
    pixels, known = surroundings(guess).view(photo)
    seen = known[..., None].astype(np.float32)
    return np.dstack([(pixels / np.float32(127.5) - 1) * seen, seen])
