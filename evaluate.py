#!/usr/bin/env python3
"""Measures completions of test faces: the paper's experiment, beside the post's search and classical inpainting.

python evaluate.py data/your-test-data/aligned
python evaluate.py data/your-test-data/aligned --faces 8 --masks center half --methods default telea
"""

import dataclasses
import functools
import importlib.util
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dcgan.options import POST, SearchOptions
from jobs.command import Parser, number, run
from pictures.files import find_pictures, load_each, load_picture, save_picture
from pictures.options import MaskOptions
from pictures.sheets import framed
from utils import Progress, UserError, write_atomic, write_rows

MASKS = ("center", "pattern", "random80", "half")
RADIUS = 3  # pixels that OpenCV's methods look at around each, as in its examples
SHOWN = 8  # faces in the pictures
COLUMNS = ("psnr", "psnr_hole", "ssim", "ssim_hole", "seconds", "loss")

OURS = dataclasses.replace(SearchOptions(), out_interval=0)
POSTS = dataclasses.replace(POST, out_interval=0)
# What each method does; those of the model by their search and blending.
BY_MODEL = {
    "default": ("complete.py as it is: L-BFGS, and G(z) blended by a spline in tension", OURS, "tension"),
    "poisson": ("the same search, blended as in the paper", OURS, "poisson"),
    "unblended": ("the same search, G(z) as it is", OURS, "none"),
    "post": ("the post's search, G(z) as it is", POSTS, "none"),
    "post-fast": (
        "the post's loss minimised by L-BFGS from a fitted z, G(z) as it is",
        dataclasses.replace(POSTS, approach="lbfgs", start="fit", n_iter=90),
        "none",
    ),
}
BY_HAND = {
    "spline": "no model: the spline in tension through the known pixels",
    "telea": "no model: OpenCV's inpainting by Telea's method",
    "navier-stokes": "no model: OpenCV's inpainting by Navier and Stokes' equations",
    "biharmonic": "no model: scikit-image's biharmonic inpainting, if that is installed",
}
METHODS = {name: what for name, (what, *_) in BY_MODEL.items()} | BY_HAND


def parse_args():
    parser = Parser(__doc__ + "\nMethods:\n" + "\n".join(f"  {name}: {what}" for name, what in METHODS.items()))
    parser.add_argument("dataset", metavar="DIR", type=Path, help="folder of aligned faces that training has not seen")
    parser.add_argument(
        "--checkpointDir",
        type=Path,
        default=Path("checkpoints"),
        help="the model's directory; where the default holds none, the model in its `pretrained`",
    )
    parser.add_argument("--outDir", type=Path, default=Path("evaluation"), help="where the table and pictures go")
    parser.add_argument("--faces", type=number(int, 1), default=64, help="how many faces, spread over the folder")
    parser.add_argument("--masks", nargs="+", choices=MASKS, help="which of the paper's masks (default: all)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="which methods (default: all)")
    parser.add_argument("--batchSize", type=number(int, 1), default=64, help="pictures searched at a time")
    parser.add_argument("--seed", type=number(int, 0, 2**31 - 1), default=0, help="what masks and random z follow from")
    return parser.parse_args()


def paper_mask(kind: str, size: int, seed: int) -> np.ndarray:
    """One of the paper's masks (section 4), bool [size, size], 1 where a pixel is known; `half` is any of the four."""
    from pictures.masks import HALVES, make_mask

    if kind == "random80":
        return make_mask("random", size, MaskOptions(random_share=0.8), seed)
    if kind == "half":
        kind = HALVES[np.random.default_rng(seed).integers(len(HALVES))]
    return make_mask(kind, size, MaskOptions(), seed)


def search(
    dcgan: Any, pictures: np.ndarray, masks: np.ndarray, options: SearchOptions, batch_size: int, name: str
) -> tuple[np.ndarray, float]:
    """G(z), uint8 like `pictures`, of the z that are found, and the mean of their losses."""
    generated, losses = [], []
    firsts = range(0, len(pictures), batch_size)
    progress = Progress(len(firsts) * options.n_iter, "iterations")
    for nth, first in enumerate(firsts):
        batch = slice(first, first + batch_size)
        for state in dcgan.complete(pictures[batch], masks[batch], options, places=range(len(pictures))[batch]):
            progress.update(nth * options.n_iter + state.iteration, name)
        generated.append(state.generated)
        losses.append(state.losses[:, 2])
    return np.concatenate(generated), float(np.mean(np.concatenate(losses)))


def inpaint(method: str, picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """One picture [H, W, C] by a method that has no model. mask: [H, W], 1 where a pixel is known."""
    if method == "spline":
        from pictures.blending import blend

        return blend(np.zeros_like(picture)[None], picture[None], mask)[0]
    if method == "biharmonic":
        from skimage.restoration import inpaint_biharmonic

        return (255 * inpaint_biharmonic(picture / 255, ~mask, channel_axis=-1).clip(0, 1)).round().astype(np.uint8)
    import cv2

    kind = cv2.INPAINT_TELEA if method == "telea" else cv2.INPAINT_NS
    return cv2.inpaint(picture, (~mask).astype(np.uint8), RADIUS, kind).reshape(picture.shape)


def complete_by(
    methods: Sequence[str], dcgan: Any, pictures: np.ndarray, masks: np.ndarray, batch_size: int
) -> Iterator[tuple[str, np.ndarray, float, float]]:
    """(method, completed pictures, seconds a picture, mean loss of its search) of each method."""
    from pictures.blending import blend

    found: dict[SearchOptions, tuple[np.ndarray, float, float]] = {}
    for method in methods:
        start = time.perf_counter()
        seconds, loss = 0.0, np.nan
        if method in BY_MODEL:
            _, options, kind = BY_MODEL[method]
            if options not in found:
                generated, loss = search(dcgan, pictures, masks, options, batch_size, method)
                found[options] = generated, loss, time.perf_counter() - start
            start = time.perf_counter()
            generated, loss, seconds = found[options]
            completed = blend(generated, pictures, masks, kind)
        else:
            completed = np.stack([inpaint(method, *each) for each in zip(pictures, masks, strict=True)])
        yield method, completed, (seconds + time.perf_counter() - start) / len(pictures), loss


def measure(completed: np.ndarray, pictures: np.ndarray, masks: np.ndarray) -> list[float]:
    """Means over the pictures: PSNR in dB and SSIM, each over all pixels and over the hole."""
    from pictures.metrics import psnr, ssim

    similar = ssim(completed, pictures)
    edge = (pictures.shape[1] - similar.shape[1]) // 2
    hole = ~masks[:, edge:-edge, edge:-edge]
    in_hole = [values[where].mean() for values, where in zip(similar, hole, strict=True) if where.any()]
    return [
        psnr(completed, pictures).mean(),
        psnr(completed, pictures, ~masks).mean(),
        similar.mean(),
        float(np.mean(in_hole)),
    ]


def save_rows(path: Path, rows: dict[str, np.ndarray]) -> None:
    """Writes a picture with a row for each name, the pictures beside it."""
    import cv2

    sheet = framed(np.concatenate(list(rows.values())), len(next(iter(rows.values()))))
    names = np.full((len(sheet), 180, 3), 255, np.uint8)
    for i, name in enumerate(rows):
        height = round((i + 0.5) * len(sheet) / len(rows))
        cv2.putText(names, name, (8, height), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
    save_picture(path, np.concatenate([names, np.broadcast_to(sheet, (*sheet.shape[:2], 3))], axis=1))


def main() -> int:
    args = parse_args()
    paths = find_pictures(args.dataset)
    paths = [paths[i * len(paths) // args.faces] for i in range(args.faces)] if args.faces < len(paths) else paths
    methods = list(args.methods or METHODS)
    if "biharmonic" in methods and not importlib.util.find_spec("skimage"):
        if args.methods:
            raise UserError("biharmonic needs scikit-image: pip install scikit-image")
        print("biharmonic is left out: pip install scikit-image brings it")
        methods.remove("biharmonic")

    from model import DCGAN, model_directory
    from pictures.masks import hide

    directory = model_directory(args.checkpointDir)
    dcgan = DCGAN.load(directory)
    if dcgan.image_size < 16:
        raise UserError(f"the model in {directory} is for {dcgan.image_size} pixels: SSIM needs 16 or more")
    args.outDir.mkdir(parents=True, exist_ok=True)
    loaded = load_each(paths, lambda path: load_picture(path, dcgan.image_size, dcgan.c_dim)[0])
    if not loaded:
        raise UserError(f"none of the {len(paths)} pictures can be read")
    pictures = np.stack(list(loaded.values()))
    print(f"model: {directory}, trained for {int(dcgan.step)} steps; {len(pictures)} faces")
    for _ in dcgan.complete(pictures[: args.batchSize], np.eye(dcgan.image_size), dataclasses.replace(OURS, n_iter=1)):
        pass  # has the search compiled before it is timed
    kinds = args.masks or MASKS
    table: list[list] = [["mask", "method", "faces", *COLUMNS]]
    for kind in kinds:
        masks = np.stack([paper_mask(kind, dcgan.image_size, args.seed + i) for i in range(len(pictures))])
        hidden = hide(pictures, masks)  # no method sees more
        rows = {"true": pictures[:SHOWN], "masked": hidden[:SHOWN]}
        print(f"{kind:14}" + "".join(f"{column:>10}" for column in COLUMNS), flush=True)
        for method, completed, seconds, loss in complete_by(methods, dcgan, hidden, masks, args.batchSize):
            values = [*measure(completed, pictures, masks), seconds, loss]
            print(f"{method:14}" + "".join(f"{value:10.3f}" for value in values if not np.isnan(value)), flush=True)
            table.append(
                [kind, method, len(pictures), *("" if np.isnan(value) else f"{value:.5g}" for value in values)]
            )
            rows[method] = completed[:SHOWN]
        save_rows(args.outDir / f"{kind}.png", rows)
        write_atomic(args.outDir / "evaluation.csv", functools.partial(write_rows, rows=table))
    print(f"look at {args.outDir}/evaluation.csv and {', '.join(f'{args.outDir}/{kind}.png' for kind in kinds)}")
    return 0


if __name__ == "__main__":
    run(main)
