#!/usr/bin/env python3
"""Completes pictures: searches a trained model for what belongs into their holes.

python complete.py data/your-test-data/aligned/*.png --outDir completions
python complete.py face.png --maskFile hole.png --outInterval 2 --checkpointDir checkpoints/pretrained
"""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dcgan.options import RATES, STARTS, SearchOptions
from dcgan.search import SEARCHES
from jobs.command import Parser, image_size, number, options_of, run, window
from pictures.files import load_each, load_picture, read_note, save_picture, unique_names
from pictures.options import BLENDS, MASK_TYPES, MaskOptions
from utils import Progress, UserError, only_writer


def parse_args():
    parser = Parser(__doc__)
    parser.add_argument("imgs", metavar="IMG", type=Path, nargs="+", help="pictures, of any size")
    parser.add_argument(
        "--checkpointDir",
        type=Path,
        default=Path("checkpoints"),
        help="the model's directory; where the default holds none, the model in its `pretrained`",
    )
    parser.add_argument("--imgSize", type=image_size, metavar="N", help="stop unless the model has this size")
    parser.add_argument("--outDir", type=Path, default=Path("completions"), help="where everything is written")
    parser.add_argument("--batchSize", type=number(int, 1), default=64, help="pictures searched at a time")
    parser.add_argument(
        "--allFrames", action="store_true", help="frames, logs and a GIF for every batch, not the first"
    )
    parser.add_argument(
        "--blend",
        choices=BLENDS,
        default=BLENDS[0],
        help="how G(z) is fitted into the hole: a spline in tension, the paper's poisson, or none",
    )
    add_masks(parser.add_argument_group("what is hidden"))
    add_search(parser.add_argument_group("search"))
    args = parser.parse_args()
    if args.invertMask and not (args.maskFile or args.maskDir):
        parser.error("--invertMask needs --maskFile or --maskDir")
    for name, flag in (("center_scale", "--centerScale"), ("random_share", "--randomShare")):
        kind = name.split("_")[0]
        usual = kind == "center" and not (args.maskFile or args.maskDir or args.maskType)
        if getattr(args, name) != getattr(MaskOptions, name) and args.maskType != kind and not usual:
            parser.error(f"{flag} needs --maskType {kind}")
    if args.lr and args.approach not in RATES:
        print(f"--lr has no effect on --approach {args.approach}")
    return args


def add_number(group, options: type, flag: str, name: str, kind: Callable, text: str) -> None:
    """Adds the option that fills the field `name` of the dataclass `options`."""
    group.add_argument(flag, dest=name, metavar="N", type=kind, default=getattr(options, name), help=text)


def add_masks(group) -> None:
    add = functools.partial(add_number, group, MaskOptions)
    masks = group.add_mutually_exclusive_group()
    masks.add_argument(
        "--maskType", choices=MASK_TYPES, help="hide this; unless given, what is transparent, or else the center"
    )
    masks.add_argument("--maskFile", type=Path, metavar="FILE", help="a picture, white where pixels are known")
    masks.add_argument("--maskDir", type=Path, metavar="DIR", help="a mask a picture, with the same stem")
    group.add_argument("--invertMask", action="store_true", help="white is the hole in --maskFile, --maskDir")
    share = number(float, above=0, below=1)
    add(
        "--centerScale",
        "center_scale",
        number(float, 0, 0.5),
        "center: the hole reaches from this share of the side to 1 minus it",
    )
    add("--randomShare", "random_share", share, "random: the share of the pixels that is hidden")
    add("--gridStep", "grid_step", number(int, 2), "grid: one pixel in N by N is kept")
    add("--lowresBlock", "lowres_block", number(int, 2), "lowres: side of the blocks whose means are kept")


def add_search(group) -> None:
    options = SearchOptions
    add = functools.partial(add_number, group, options)
    group.add_argument(
        "--approach",
        choices=SEARCHES,
        default=options.approach,
        help="limited-memory BFGS, Adam, the post's projected gradient descent, or Hamiltonian Monte Carlo",
    )
    group.add_argument(
        "--start",
        choices=STARTS,
        default=options.start,
        help="the first z: zero, random, or a linear regression on the known pixels",
    )
    add("--nIter", "n_iter", number(int, 1), "iterations of the search")
    add("--outInterval", "out_interval", number(int, 0), "iterations between two frames; 0: results only")
    add("--contextWindow", "context_window", window, "side of the contextual loss' window; 0: equal weights")
    add("--lam", "lam", number(float, 0), "weight of the perceptual loss")
    add("--zPenalty", "z_penalty", number(float, 0), "weight of |z|^2 in the loss")
    rates = ", ".join(f"{rate:g} for {approach}" for approach, rate in RATES.items())
    add("--lr", "lr", number(float, above=0), f"adam, pgd: step size (default: {rates})")
    group.add_argument(
        "--lrDecay", dest="lr_decay", choices=["cosine", "none"], default=options.lr_decay, help="adam, pgd: its course"
    )
    add("--beta1", "beta1", number(float, 0, below=1), "adam: beta1")
    add("--beta2", "beta2", number(float, 0, below=1), "adam: beta2")
    add("--eps", "eps", number(float, above=0), "adam: epsilon")
    add("--momentum", "momentum", number(float, 0, below=1), "pgd: momentum")
    add("--hmcBeta", "hmc_beta", number(float, above=0), "hmc: what the loss is multiplied by")
    add("--hmcEps", "hmc_eps", number(float, above=0), "hmc: size of a leapfrog step")
    add("--hmcL", "hmc_l", number(int, 1), "hmc: leapfrog steps an iteration")
    add("--hmcAnneal", "hmc_anneal", number(float, above=0), "hmc: what hmcBeta is multiplied by after each iteration")
    add("--seed", "seed", number(int, 0, 2**31 - 1), "what random masks and random z follow from")


def loader(args, size: int, c_dim: int) -> Callable[[Path], Any]:
    """What makes masks.Loaded of a picture's path, as the options about masks say; UserError if they fit none."""
    from pictures.masks import WITHOUT_HOLE, Loaded, find_mask, fit_mask, load_masked, make_mask, read_mask

    if args.maskDir:
        if not args.maskDir.is_dir():
            raise UserError(f"no folder {args.maskDir}: name a folder of masks")
        return lambda path: load_masked(path, size, c_dim, read_mask(find_mask(args.maskDir, path), args.invertMask))
    if args.maskFile:
        mask = read_mask(args.maskFile, args.invertMask)
        fit_mask(mask, size, f"the mask {args.maskFile}")
        return lambda path: load_masked(path, size, c_dim, mask)
    made = make_mask(args.maskType or "center", size, options_of(args, MaskOptions), args.seed)
    if args.maskType in WITHOUT_HOLE:
        return lambda path: Loaded(path, made, *load_picture(path, size, c_dim))
    return lambda path: load_masked(path, size, c_dim, made, by_transparency=not args.maskType)


def check_inputs(imgs: Sequence[Path], out: Path, earlier: Sequence[Path]) -> None:
    """UserError if a picture to complete is a result of an `earlier` call, which this one would replace."""
    results = {os.path.realpath(path) for path in (*earlier, *out.glob("final/*"))}
    for path in imgs:
        if os.path.realpath(path) in results:
            raise UserError(f"{path} lies where the results are written: name another --outDir")


def digest(*parts: Any) -> str:
    """A short text that differs if a part differs. The parts are arrays and what has a faithful repr."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return total.hexdigest()


def complete_batch(
    dcgan: Any, batch: dict[int, Any], options: SearchOptions, lowres: int, kind: str, frames: Any, progress: Progress
) -> dict[int, np.ndarray]:
    """The results for a loaded `batch`, blended, by the pictures' numbers; says which have none.

    frames: called with the numbers, the pictures and what the search sees, makes a recorder; None: no frames.
    """
    from pictures.blending import blend
    from pictures.masks import hide

    places = list(batch)
    pictures = np.stack([each.picture for each in batch.values()])
    masks = np.stack([each.mask for each in batch.values()])
    recorder = frames and frames(places, pictures, hide(pictures, masks, lowres))
    before = progress.done
    for state in dcgan.complete(pictures, masks, options, lowres, places):
        if recorder:
            recorder.record(state)
        progress.update(before + state.iteration, f"loss {np.mean(state.losses[:, 2]):.4g}")
    results = blend(state.generated, pictures, masks, kind)
    if recorder:
        recorder.finish(state.completed, results)
    found = np.isfinite(state.losses[:, 2])
    for each, restarts, good in zip(batch.values(), state.restarts, found, strict=True):
        if restarts:
            outcome = "" if good else ", in vain: it is left out"
            print(f"{each.path}: the loss was not finite, its search began anew {restarts} times{outcome}")
    return {place: result for place, result, good in zip(places, results, found, strict=True) if good}


def open_model(args) -> Any:
    """The model to complete with; UserError if there is none, or none for these options."""
    from model import DCGAN, model_directory

    directory = model_directory(args.checkpointDir)
    dcgan = DCGAN.load(directory)
    size = dcgan.image_size
    if args.imgSize and args.imgSize != size:
        raise UserError(f"the model in {directory} is for --imgSize {size}, not {args.imgSize}")
    if args.maskType == "lowres" and size % args.lowres_block:
        raise UserError(f"--lowresBlock {args.lowres_block} does not divide the model's {size} pixels: try 4 or 8")
    print(f"model: {directory}, trained for {int(dcgan.step)} steps")
    return dcgan


def report(args, completed: int, kept: int, fitted: int) -> None:
    """Says what has become of the pictures; UserError if not all are completed."""
    pictures = len(args.imgs)
    if fitted:
        print(f"cropped to a square and resized to the model's size: {fitted} of {pictures} pictures")
    if kept:
        print(f"{kept} of {pictures} pictures were completed by an earlier call with the same options")
    if not completed and not kept:
        raise UserError("none of the pictures can be completed, see above")
    if args.out_interval:
        frame = f"completed/{args.n_iter:04d}.png"
        names = ("sheet.png", "completion.gif", "before.png", "masked.png", frame)
        print("look at " + ", ".join(f"{args.outDir}/{name}" for name in names))
    print(f"completed pictures: {args.outDir}/final")
    left_out = pictures - completed - kept
    if left_out:
        raise UserError(f"{left_out} of {pictures} pictures are left out, see above; the others are completed")


def complete(args: Any) -> int:
    """Completes the pictures that an earlier call has not; the exit code."""
    options = options_of(args, SearchOptions)
    args.imgs = [path for path in args.imgs if path.name != "alignment.csv"]  # align.py's, which aligned/* names too

    from jobs.frames import CompletionRecorder, earlier_files

    check_inputs(args.imgs, args.outDir, earlier_files(args.outDir))
    dcgan = open_model(args)
    load = loader(args, dcgan.image_size, dcgan.c_dim)
    lowres = args.lowres_block if args.maskType == "lowres" else 0
    model = digest(*dcgan.generator.get_weights(), *dcgan.discriminator.get_weights())
    finals = [args.outDir / "final" / f"{name}.png" for name in unique_names(args.imgs)]
    firsts = range(0, len(args.imgs), args.batchSize)
    progress = Progress(len(firsts) * args.n_iter, "iterations")
    of_results = dataclasses.replace(options, out_interval=0)
    call = digest(args.imgs, args.batchSize, args.allFrames, args.out_interval)
    completed = kept = fitted = nth = 0
    for first in firsts:
        batch = load_each(args.imgs[first : first + args.batchSize], load, first)
        fitted += sum(each.fitted for each in batch.values())
        nth += bool(batch)
        suffix = f"_{nth}" if nth > 1 else ""
        with_frames = args.out_interval and (nth == 1 or args.allFrames)
        # A result carries what it was made of and how, so that the same call again does only what is missing.
        keys = {
            place: digest(model, of_results, lowres, args.blend, place, each.picture, each.mask)
            for place, each in batch.items()
        }
        frames_key = digest(call, keys)
        whole = not with_frames or read_note(args.outDir / f"sheet{suffix}.png") == frames_key
        if not batch or (whole and all(read_note(finals[place]) == key for place, key in keys.items())):
            kept += len(batch)
            progress.skip(args.n_iter)
            continue
        if nth == 1:
            for path in earlier_files(args.outDir):
                path.unlink()
        frames = functools.partial(CompletionRecorder, args.outDir, suffix, frames_key) if with_frames else None
        batch_options = options if with_frames else of_results
        results = complete_batch(dcgan, batch, batch_options, lowres, args.blend, frames, progress)
        for place, result in results.items():
            save_picture(finals[place], result, keys[place])
        completed += len(results)
    report(args, completed, kept, fitted)
    return 0


def main() -> int:
    args = parse_args()
    with only_writer(args.outDir):
        return complete(args)


if __name__ == "__main__":
    run(main)
