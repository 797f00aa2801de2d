#!/usr/bin/env python3
"""Trains the network that corrects guesses of where a damaged face is (faces/placing.py): an hour on two cores.

python tools/train_placing.py data/your-dataset/raw data/your-dataset/aligned/alignment.csv

The table is the one that align.py wrote for these photos, by innerEyesAndBottomLip. Each time a photo is drawn, it gets
another hole, other colors and a wrong guess, and half of the time it is mirrored. The network learns to find back to
the face's place in the table.
"""

import argparse
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from faces.alignment import alignments, frame_by
from faces.detector import TEMPLATES
from faces.finding import LANDMARKS
from faces.frame import Frame, inverse
from faces.placing import SIDE, UNIT, WEIGHTS, view
from images.decoding import read_picture
from images.files import find_pictures
from images.photo import Photo
from kernels.tensorflow import keras, tf

FRAME = 64  # pixels of the frames' side
POINTS = np.array(list(TEMPLATES[LANDMARKS].values())) * FRAME
GRID = np.array([[x, y, 1] for x in np.linspace(0, 1, 5) for y in np.linspace(0, 1, 5)], np.float32)
BATCH, WIDTH, RATE = 64, 40, 3e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("alignment", type=Path)
    parser.add_argument("--steps", type=int, default=7000, help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, default=WEIGHTS, metavar="FILE", help="(default: %(default)s)")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    known = alignments(args.alignment, FRAME)
    faces = [(path, known[path.stem].frames[0]) for path in find_pictures(args.photos) if path.stem in known]
    if not faces:
        sys.exit(f"error: no photo in {args.photos} has a row in {args.alignment}: name the table of these photos")
    keras.utils.set_random_seed(0)
    net = network()
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, args.steps, alpha=0.01))

    @tf.function
    def step(x, right):
        with tf.GradientTape() as tape:
            error = tf.reduce_mean(errors(net(x, training=True), right))
        variables = net.trainable_variables
        optimizer.apply(tape.gradient(error, variables), variables)
        return error

    start = time.monotonic()
    lately: list[float] = []
    with ThreadPoolExecutor(2) as pool:
        drawn: list[Future] = [pool.submit(batch, faces, i) for i in range(4)]
        for i in range(args.steps):
            x, right = drawn.pop(0).result()
            drawn.append(pool.submit(batch, faces, i + 4))
            lately = [*lately[-499:], float(step(x, right))]
            if (i + 1) % 500 == 0 or i + 1 == args.steps:
                print(f"{i + 1}: {np.mean(lately):.3f} 64ths, {time.monotonic() - start:.0f} s", flush=True)
    np.savez_compressed(args.out, *folded(net))


def network() -> Any:
    """Four convolutions and two dense layers: [SIDE, SIDE, 4] -> [6], in UNITs."""
    layers = keras.layers
    stack = [keras.Input((SIDE, SIDE, 4))]
    for width in (WIDTH, 2 * WIDTH, 4 * WIDTH, 4 * WIDTH):
        stack += [layers.Conv2D(width, 5, strides=2, padding="same", use_bias=False), norm(), layers.ReLU()]
    stack += [layers.Flatten(), layers.Dense(128, use_bias=False), norm(), layers.ReLU()]
    return keras.Sequential([*stack, layers.Dense(6, kernel_initializer="zeros")])


def norm() -> Any:
    return keras.layers.BatchNormalization(momentum=0.95)


def folded(net: Any) -> list[np.ndarray]:
    """Weights and biases of each layer in float16, with batch normalization folded into them."""
    *inner, last = [layer for layer in net.layers if layer.weights]
    arrays = []
    for layer, normal in zip(inner[::2], inner[1::2], strict=True):
        gain = normal.gamma.numpy() / np.sqrt(normal.moving_variance.numpy() + normal.epsilon)
        arrays += [layer.kernel.numpy() * gain, normal.beta.numpy() - normal.moving_mean.numpy() * gain]
    return [array.astype(np.float16) for array in (*arrays, last.kernel.numpy(), last.bias.numpy())]


def errors(answers, right):
    """[batch]: mean distance of a frame's points under the two maps, in 64ths of its side."""
    difference = UNIT * tf.reshape(answers, [-1, 2, 3]) + tf.eye(2, 3) - right
    apart = tf.einsum("bij,gj->bgi", difference, GRID) + 1e-8  # at 0 the norm has no gradient
    return 64 * tf.reduce_mean(tf.norm(apart, axis=2), axis=1)


def batch(faces: list[tuple[Path, Frame]], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Views [BATCH, SIDE, SIDE, 4], and the right answers as maps [BATCH, 2, 3] of a frame of side 1."""
    rng = np.random.default_rng(seed)
    drawn = [example(*faces[rng.integers(len(faces))], rng) for _ in range(BATCH)]
    return np.stack([x for x, _ in drawn]), np.stack([right for _, right in drawn]).astype(np.float32)


def example(path: Path, frame: Frame, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A view of a photo with a face in `frame`, and the map [2, 3] that corrects its guess."""
    pixels = read_picture(path)
    if rng.random() < 0.5:
        points = frame.back @ np.column_stack([POINTS, np.ones(3)]).T
        points[0] = pixels.shape[1] - 1 - points[0]
        pixels, frame = np.ascontiguousarray(pixels[:, ::-1]), frame_by(points.T, FRAME)
    # The hole is displaced a little, or its edges would tell where the frame is.
    hole = frame.moved(disturbance(rng)).under(mask(rng), pixels.shape[:2])
    photo = Photo(pixels, ~hole)
    if rng.random() < 0.3:
        photo, smaller = photo.shrunk(int(rng.integers(2, 5)))
        frame = frame.after(inverse(smaller))
    wrong = disturbance(rng)
    return recolored(view(photo, frame.moved(wrong)), rng), inverse(wrong)


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
    """A random mask, bool [FRAME, FRAME], True is known: hides a box, a half, ellipses, a stroke or nothing."""
    hole = np.zeros((FRAME, FRAME), np.uint8)
    kind = rng.choice(["box", "half", "ellipses", "stroke", "nothing"], p=[0.35, 0.2, 0.2, 0.15, 0.1])
    if kind == "box":
        size = rng.uniform(0.2, 0.95, 2)
        (left, top), (right, bottom) = (FRAME * (corner := rng.uniform(-0.1, 1.1 - size)), FRAME * (corner + size))
        cv2.rectangle(hole, (int(left), int(top)), (int(right), int(bottom)), 1, -1)
    elif kind == "half":
        (hole if rng.random() < 0.5 else hole.T)[: FRAME // 2] = 1
        hole = hole if rng.random() < 0.5 else hole[::-1, ::-1]
    elif kind == "ellipses":
        for _ in range(rng.integers(1, 3)):
            (x, y), axes = rng.integers(0, FRAME, 2), rng.uniform(0.08, 0.4, 2) * FRAME
            cv2.ellipse(hole, (int(x), int(y)), (int(axes[0]), int(axes[1])), rng.uniform(0, 180), 0, 360, 1, -1)
    elif kind == "stroke":
        corners = rng.integers(-5, FRAME + 5, (rng.integers(2, 6), 1, 2)).astype(np.int32)
        cv2.polylines(hole, [corners], False, 1, int(rng.integers(3, 16)))
    return hole == 0


def recolored(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A view with other colors, sometimes in gray."""
    colors, seen = x[..., :3], x[..., 3:]
    if rng.random() < 0.15:
        colors = colors.mean(axis=2, keepdims=True).repeat(3, axis=2)
    gain = rng.uniform(0.6, 1.3) * rng.uniform(0.9, 1.1, 3)
    shift = rng.uniform(-0.3, 0.3) + rng.uniform(-0.1, 0.1, 3)
    return np.dstack([((colors * gain + shift) * seen).clip(-1, 1), seen]).astype(np.float32)


if __name__ == "__main__":
    main()
