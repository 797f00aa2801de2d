#!/usr/bin/env python3
"""Completes pictures: searches a trained model for what belongs into their holes.

python complete.py data/your-test-data/aligned/*.png --outDir completions
python complete.py face.png --maskType left --approach pgd --checkpointDir checkpoints/pretrained
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cli import Parser, Progress, UserError, image_size, number, options_of, run
from masks import LOWRES_BLOCK, TYPES, hide, make_mask
from options import SearchOptions
from utils import PictureError, load_picture, unique_names


def parse_args():
    parser = Parser(__doc__)
    options = SearchOptions
    parser.add_argument(
        "imgs",
        metavar="IMG",
        type=Path,
        nargs="+",
        help="pictures, of any size",
    )
    parser.add_argument(
        "--approach",
        choices=["adam", "pgd"],
        default=options.approach,
        help="optimizer of z: adam, or pgd, gradient descent with momentum",
    )
    parser.add_argument("--lr", type=number(float, above=0), default=options.lr, help="step size")
    parser.add_argument("--beta1", type=number(float, 0, below=1), default=options.beta1, help="adam: beta1")
    parser.add_argument("--beta2", type=number(float, 0, below=1), default=options.beta2, help="adam: beta2")
    parser.add_argument("--eps", type=number(float, above=0), default=options.eps, help="adam: epsilon")
    parser.add_argument("--momentum", type=number(float, 0, below=1), default=options.momentum, help="pgd: momentum")
    parser.add_argument(
        "--nIter",
        dest="n_iter",
        metavar="N",
        type=number(int, 1),
        default=options.n_iter,
        help="iterations of the search",
    )
    parser.add_argument("--imgSize", type=image_size, metavar="N", help="stop unless the model has this size")
    parser.add_argument("--lam", type=number(float, 0), default=options.lam, help="weight of the perceptual loss")
    parser.add_argument(
        "--checkpointDir",
        type=Path,
        default=Path("checkpoints"),
        help="the model's directory; where the default holds none, the model in its `pretrained`",
    )
    parser.add_argument("--outDir", type=Path, default=Path("completions"), help="where everything is written")
    parser.add_argument(
        "--outInterval",
        dest="out_interval",
        metavar="N",
        type=number(int, 1),
        default=options.out_interval,
        help="iterations between two frames",
    )
    parser.add_argument("--maskType", choices=TYPES, default="center", help="what is hidden")
    parser.add_argument(
        "--centerScale",
        type=number(float, 0, 0.5),
        default=0.25,
        help="center: the hole reaches from this share of the side to 1 minus it",
    )
    parser.add_argument("--batchSize", type=number(int, 1), default=64, help="pictures searched at a time")
    parser.add_argument(
        "--seed",
        type=number(int, 0, 2**31 - 1),
        default=options.seed,
        help="what the first z and the random mask follow from",
    )
    return parser.parse_args()


def model_directory(named: Path) -> Path:
    """The directory named, or that of the bundled model where the default one holds none."""
    if named == Path("checkpoints") and not (named / "config.json").exists():
        return Path(__file__).resolve().parent / "checkpoints" / "pretrained"
    return named


def read_batch(paths: Sequence[Path], dcgan: Any) -> dict[int, np.ndarray]:
    """The pictures of `paths` that can be read, by their place among them; the others are named."""
    pictures = {}
    for place, path in enumerate(paths):
        try:
            pictures[place], fitted = load_picture(path, dcgan.image_size, dcgan.c_dim)
        except PictureError as error:
            print(f"left out: {error}", flush=True)
            continue
        if fitted:
            print(f"{path} was cropped to its central square and resized to the model's {dcgan.image_size} pixels")
    return pictures


def check_inputs(imgs: Sequence[Path], out: Path, earlier: Sequence[Path]) -> None:
    """UserError if a picture to complete is a result of an `earlier` call, which this one would replace."""
    results = {path.resolve() for path in (*earlier, *out.glob("final/*"))}
    for path in imgs:
        if path.resolve() in results:
            raise UserError(f"{path} lies where the results are written: name another --outDir")


def main() -> int:
    args = parse_args()
    options = options_of(args, SearchOptions)
    imgs = [path for path in args.imgs if path.name != "alignment.csv"]  # align.py's; the post's aligned/* names it too

    from model import DCGAN
    from recorder import CompletionRecorder, earlier_files

    earlier = earlier_files(args.outDir)
    check_inputs(imgs, args.outDir, earlier)
    directory = model_directory(args.checkpointDir)
    dcgan = DCGAN.load(directory)
    if args.imgSize and args.imgSize != dcgan.image_size:
        raise UserError(f"the model in {directory} is for --imgSize {dcgan.image_size}, not {args.imgSize}")
    print(f"model: {directory}, trained for {int(dcgan.step)} steps")
    mask = make_mask(args.maskType, dcgan.image_size, args.centerScale, args.seed)
    lowres = LOWRES_BLOCK if args.maskType == "lowres" else 0
    names = unique_names(imgs)
    starts = range(0, len(imgs), args.batchSize)
    progress = Progress(len(starts) * args.n_iter, "iterations")
    completed = batches = 0
    for start in starts:
        batch = read_batch(imgs[start : start + args.batchSize], dcgan)
        if not batch:
            continue
        if not batches:
            for path in earlier:
                path.unlink()
        batches += 1
        places = [start + place for place in batch]
        pictures = np.stack(list(batch.values()))
        recorder = CompletionRecorder(args.outDir, f"_{batches}" if batches > 1 else "", places, args.lam)
        recorder.save_grid("before", pictures)
        recorder.save_grid("masked", hide(pictures, mask, bool(lowres)))
        for state in dcgan.complete(pictures, mask, options, lowres, places):
            recorder.record(state)
            loss = np.mean(state.losses[-1] @ [1, args.lam])
            progress.update(start // args.batchSize * args.n_iter + state.iteration, f"loss {loss:.4g}")
        recorder.finish([names[place] for place in places], state.completed)
        completed += len(pictures)

    if not completed:
        raise UserError("none of the pictures can be read: name PNG or JPEG files")
    out = args.outDir
    print(f"look at {out}/before.png, {out}/masked.png, {out}/completed/{args.n_iter:04d}.png, {out}/completion.gif")
    print(f"completed pictures: {out}/final")
    if completed < len(names):
        raise UserError(f"{len(names) - completed} of {len(names)} pictures cannot be read; the others are completed")
    return 0


if __name__ == "__main__":
    run(main)
