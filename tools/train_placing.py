#!/usr/bin/env python3
"""Trains the scout, the network that finds damaged faces (faces/placing.py): half an hour on two cores with AMX.

python tools/train_placing.py data/your-dataset/raw data/your-dataset/aligned/alignment.csv

Takes one or more folders of photos. After each folder, name the table that align.py wrote for it with the landmarks
innerEyesAndBottomLip, best with --all. Each time a photo is drawn, it gets other edges, holes, colors and wrong
guesses, and half of the time it is mirrored. The network learns to move a guess to the face's place in the table. It
also learns to tell faces from other parts of the photo; it trains on those parts that it takes for faces most. Each
example is learned three times, the second and third time with the guess as the network corrected it.
"""

import argparse
import sys
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from dcgan.devices import chosen, dtype_policy
from faces.alignment import alignments, frame_by
from faces.detector import TEMPLATES
from faces.finding import LANDMARKS
from faces.frame import Frame, chained, inverse, to_unit
from faces.placing import SCOUT, SIDE, UNIT, change_by, view, zoomed
from images.decoding import read_picture
from images.files import find_pictures
from images.photo import Photo
from kernels.convolutions import Conv2D
from kernels.layers import BatchNorm
from kernels.tensorflow import keras, tf

FRAME = 64  # pixels of the frames' side
POINTS = np.array(list(TEMPLATES[LANDMARKS].values())) * FRAME
GRID = np.array([[x, y, 1] for x in np.linspace(0, 1, 5) for y in np.linspace(0, 1, 5)], np.float32)
PHOTOS, ROUNDS = 32, 3  # of a batch; how often it is learned
# Examples of each photo: near its face, anywhere else, and the share of these that are learned, the most like faces.
AT_FACE, ELSEWHERE, HARDEST = 2, 6, 1 / 3
WIDTH, RATE = 32, 3e-3
NEAR, FAR = 14, 22  # in 64ths of the frame's side: a nearer guess shows the face, a farther one does not


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="+", metavar="PHOTOS TABLE")
    parser.add_argument("--steps", type=int, default=8000, help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, default=SCOUT, metavar="FILE", help="(default: %(default)s)")
    args = parser.parse_args()
    if len(args.sources) % 2:
        parser.error("name a table after each folder of photos")
    cv2.setNumThreads(1)
    photos = [photo for pair in zip(args.sources[::2], args.sources[1::2], strict=True) for photo in photos_of(*pair)]
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(dtype_policy(chosen("auto")))
    net = network()
    train(net, photos, args.steps, args.out)


def photos_of(folder: Path, table: Path) -> list[tuple[Path, list[Frame]]]:
    """The photos with a row in the table, and their faces."""
    known = alignments(table, FRAME)
    photos = [(path, known[path.stem].frames) for path in find_pictures(folder) if path.stem in known]
    if not photos:
        sys.exit(f"error: no photo in {folder} has a row in {table}: name the table of these photos")
    return photos


# ----------------------------------------------------------------------------------- the network


def network() -> Any:
    """Four convolutions and two dense layers: [SIDE, SIDE, 4] -> [7], six in UNITs, and the logit of a face."""
    layers = keras.layers
    stack = [keras.Input((SIDE, SIDE, 4))]
    for width in (WIDTH, 2 * WIDTH, 4 * WIDTH, 4 * WIDTH):
        convolution = Conv2D(width, 5, strides=2, padding="same")
        stack += [convolution, BatchNorm(momentum=0.95), layers.ReLU()]
    stack += [layers.Flatten(), layers.Dense(128), layers.BatchNormalization(momentum=0.95), layers.ReLU()]
    return keras.Sequential([*stack, layers.Dense(7, kernel_initializer="zeros", dtype="float32")])


def folded(net: Any) -> list[np.ndarray]:
    """Weights and biases of each layer in float16, with batch normalization folded into them."""
    *inner, last = [layer for layer in net.layers if layer.weights]
    arrays = []
    for layer, normal in zip(inner[::2], inner[1::2], strict=True):
        gain = normal.gamma.numpy() / np.sqrt(normal.moving_variance.numpy() + normal.epsilon)
        shift = normal.beta.numpy() + gain * (layer.bias.numpy() - normal.moving_mean.numpy())
        arrays += [layer.kernel.numpy() * gain, shift]
    return [array.astype(np.float16) for array in (*arrays, last.kernel.numpy(), last.bias.numpy())]


def train(net: Any, photos: Sequence[tuple[Path, list[Frame]]], steps: int, out: Path) -> None:
    """Trains the network, prints the means of both losses, and saves the weights, every 500 steps."""
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps, alpha=0.01))

    @tf.function
    def step(x, right):
        with tf.GradientTape() as tape:
            answers = net(x, training=True)
            of_place, of_face = losses(answers, right)
            loss = of_place + 5 * of_face
        variables = net.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return answers, of_place, of_face

    answer = tf.function(lambda x: net(x, training=False))
    start, lately = time.monotonic(), deque[list[float]](maxlen=500)
    with ThreadPoolExecutor(2) as pool:
        drawn = deque(pool.submit(fresh, photos, seed) for seed in range(4))
        for i in range(1, steps + 1):
            batch = drawn.popleft().result()
            if not batch.round:
                batch = hardest(batch, answer(batch.x).numpy())
            x = recolored(batch.x, np.random.default_rng(i))
            answers, *both = step(x, batch.right)
            lately.append([float(loss) for loss in both])
            more = batch.round + 1 < ROUNDS
            drawn.append(pool.submit(corrected, batch, answers.numpy()) if more else pool.submit(fresh, photos, i + 3))
            if i % 500 == 0 or i == steps:
                place, face = np.mean(lately, axis=0)
                print(f"{i}: {place:.3f} 64ths, {face:.4f}, {time.monotonic() - start:.0f} s", flush=True)
                np.savez_compressed(out, *folded(net))


def losses(answers, right):
    """Mean error of the corrections, in 64ths of the frame's side; cross-entropy of the logits. Both of clear cases."""
    distance = apart(tf.eye(2, 3), right)
    near, far = (tf.cast(where, tf.float32) for where in (distance < NEAR, distance > FAR))
    error = apart(UNIT * tf.reshape(answers[:, :6], [-1, 2, 3]) + tf.eye(2, 3), right)
    doubt = tf.nn.sigmoid_cross_entropy_with_logits(near, answers[:, 6])
    return mean(error, 1 - far), mean(doubt, near + far)


def mean(values, weights):
    return tf.math.divide_no_nan(tf.reduce_sum(weights * values), tf.reduce_sum(weights))


def apart(maps, right):
    """[batch]: mean distance of a frame's points under two maps, in 64ths of its side."""
    moved = tf.einsum("bij,gj->bgi", maps - right, GRID) + 1e-8  # at 0 the norm has no gradient
    return 64 * tf.reduce_mean(tf.norm(moved, axis=2), axis=1)


# ---------------------------------------------------------------------------------- the examples


@dataclass(frozen=True)
class Example:
    """A photo with a hole, its faces, and a guess."""

    photo: Photo
    faces: Sequence[Frame]
    guess: Frame

    @property
    def right(self) -> np.ndarray:
        """float32 [2, 3]: the map of a frame of side 1 that moves the guess to the nearest face."""
        unit, back = to_unit(FRAME), inverse(chained(to_unit(FRAME), self.guess.transform))
        maps = [chained(chained(unit, face.transform), back) for face in self.faces]
        return min(maps, key=lambda each: np.abs((each - np.eye(2, 3)) @ GRID.T).sum()).astype(np.float32)


class Batch(NamedTuple):
    """Examples, their views [N, SIDE, SIDE, 4], and the maps [N, 2, 3] that correct their guesses."""

    examples: list[Example]
    x: np.ndarray
    right: np.ndarray
    round: int = 0  # how often the network has corrected the guesses


def fresh(photos: Sequence[tuple[Path, list[Frame]]], seed: int) -> Batch:
    """A batch of other photos, or of the same ones with other holes."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(photos), size=PHOTOS)
    return batch_of([each for i in drawn for each in examples_of(*photos[int(i)], rng)])


def hardest(batch: Batch, answers: np.ndarray) -> Batch:
    """The batch without the guesses that are far from a face and that the network does not take for one."""
    far = apart(tf.eye(2, 3), batch.right).numpy() > FAR
    order = np.argsort(np.where(far, -answers[:, 6], -np.inf), kind="stable")
    kept = order[: round(PHOTOS * (AT_FACE + HARDEST * ELSEWHERE))]
    return Batch([batch.examples[i] for i in kept], batch.x[kept], batch.right[kept])


def corrected(batch: Batch, answers: np.ndarray) -> Batch:
    """The examples of a batch with the guesses as the network corrected them."""
    guesses = [each.guess.moved(change_by(answer)) for each, answer in zip(batch.examples, answers, strict=True)]
    moved = [replace(each, guess=guess) for each, guess in zip(batch.examples, guesses, strict=True)]
    return batch_of(moved, batch.round + 1)


def batch_of(examples: list[Example], number: int = 0) -> Batch:
    x = np.stack([view(each.photo, each.guess) for each in examples])
    return Batch(examples, x, np.stack([each.right for each in examples]), number)


def examples_of(path: Path, faces: Sequence[Frame], rng: np.random.Generator) -> list[Example]:
    """Examples of a photo: AT_FACE near its first face, and ELSEWHERE anywhere."""
    pixels = read_picture(path)
    if rng.random() < 0.5:
        pixels, faces = np.ascontiguousarray(pixels[:, ::-1]), [mirrored(face, pixels.shape[1]) for face in faces]
    part = cut(faces[0], pixels.shape[:2], rng)
    whole, faces = Photo(pixels, np.ones(pixels.shape[:2], bool))[part], [face.in_part(part) for face in faces]
    found = []
    for number in range(AT_FACE + ELSEWHERE):
        near = number < AT_FACE
        guess = faces[0].moved(disturbance(rng)) if near else anywhere(faces[0], whole.shape, rng)
        # The hole is displaced a little, or its edges would tell where the frame is.
        hidden = (faces[0] if near else guess).moved(disturbance(rng)).widened(0.5)
        photo, smaller = whole.hiding(hidden.under(mask(rng), whole.shape)).shrunk(
            int(rng.integers(2, 5)) if rng.random() < 0.3 else 1
        )
        to_photo = inverse(smaller)
        found.append(Example(photo, [face.after(to_photo) for face in faces], guess.after(to_photo)))
    return found


def mirrored(face: Frame, width: int) -> Frame:
    """The face in the mirrored photo of this width, as align.py would find it."""
    x, y = face.back @ np.column_stack([POINTS, np.ones(3)]).T
    return frame_by(np.column_stack([width - 1 - x, y]), FRAME)


def cut(frame: Frame, shape: Sequence[int], rng: np.random.Generator) -> tuple[slice, slice]:
    """A random part of a photo [H, W] with most of the frame, so that the edges tell little of where the frame is."""
    parts = []
    for inside, length in zip(frame.box(shape), shape, strict=True):
        reach = (inside.stop - inside.start) / 8
        low, high = rng.uniform(0, (inside.start + reach, length - inside.stop + reach)) * (rng.random(2) < 0.5)
        parts.append(slice(int(low), length - int(high)))
    return parts[0], parts[1]


def anywhere(frame: Frame, shape: Sequence[int], rng: np.random.Generator) -> Frame:
    """A guess of about the size of `frame`, anywhere in a photo [H, W]."""
    x, y = chained(to_unit(FRAME), frame.transform) @ (*rng.uniform(0, shape[::-1]), 1)
    return frame.moved(zoomed(1, 0.5 - x, 0.5 - y)).moved(zoomed(np.exp(rng.normal(0, 0.5)))).moved(disturbance(rng))


def disturbance(rng: np.random.Generator) -> np.ndarray:
    """A random map [2, 3] of a frame of side 1: about as far from the identity as guesses are from the truth."""
    amount = rng.choice([0.2, 0.5, 1.0, 2.0])
    angle = np.deg2rad(amount * rng.normal(0, 6))
    shear, stretch = amount * rng.normal(0, 0.04, 2)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = np.exp(amount * rng.normal(0, 0.09)) * turned @ [[np.exp(stretch), shear], [0, np.exp(-stretch)]]
    middle = np.full(2, 0.5)
    return np.column_stack([linear, middle - linear @ middle + amount * rng.normal(0, 0.06, 2)])


def mask(rng: np.random.Generator) -> np.ndarray:
    """A random mask, bool [2 FRAME, 2 FRAME], True is known, of a frame with a margin of half its side.

    It hides a box, a half, ellipses, strokes of a brush or nothing.
    """
    hole = np.zeros((2 * FRAME, 2 * FRAME), np.uint8)
    kind = rng.choice(["box", "half", "ellipses", "strokes", "nothing"], p=[0.2, 0.15, 0.15, 0.45, 0.05])
    if kind == "box":
        size = rng.uniform(0.2, 0.95, 2)
        (left, top), (right, bottom) = (FRAME * (corner := rng.uniform(0.4, 1.6 - size)), FRAME * (corner + size))
        cv2.rectangle(hole, (int(left), int(top)), (int(right), int(bottom)), 1, -1)
    elif kind == "half":
        (hole if rng.random() < 0.5 else hole.T)[:FRAME] = 1
        hole = hole if rng.random() < 0.5 else hole[::-1, ::-1]
    elif kind == "ellipses":
        for _ in range(rng.integers(1, 3)):
            (x, y), axes = rng.integers(FRAME // 2, FRAME * 3 // 2, 2), rng.uniform(0.08, 0.4, 2) * FRAME
            cv2.ellipse(hole, (int(x), int(y)), (int(axes[0]), int(axes[1])), rng.uniform(0, 180), 0, 360, 1, -1)
    elif kind == "strokes":
        width = int(rng.integers(3, 22))
        for _ in range(rng.integers(1, 5)):
            corners = rng.integers(FRAME // 4, FRAME * 7 // 4, (rng.integers(2, 5), 1, 2)).astype(np.int32)
            cv2.polylines(hole, [corners], False, 1, width)
    return hole == 0


def recolored(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Views [N, SIDE, SIDE, 4] with other colors, some in gray."""
    colors, seen = x[..., :3], x[..., 3:]
    shape = len(x), 1, 1, 1
    colors = np.where(rng.random(shape) < 0.15, colors.mean(axis=3, keepdims=True), colors)
    gain = rng.uniform(0.6, 1.3, shape) * rng.uniform(0.9, 1.1, (*shape[:3], 3))
    shift = rng.uniform(-0.3, 0.3, shape) + rng.uniform(-0.1, 0.1, (*shape[:3], 3))
    changed = (colors * gain.astype(np.float32) + shift.astype(np.float32)) * seen
    return np.concatenate([changed.clip(-1, 1), seen], axis=3)


if __name__ == "__main__":
    main()
