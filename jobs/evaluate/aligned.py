"""Measures completions of test faces: the paper's experiment, beside the post's search and classical inpainting."""

import functools
import importlib.util
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from completion.models import open_model
from dcgan.options import POST, DeviceOptions, SearchOptions
from faces.detector import face_fills, predictor_path
from faces.identity import FaceJudge
from images.blending import blend
from images.files import evenly, find_pictures, load_each, load_picture, read_picture, save_picture
from images.incomplete import Incomplete
from images.mask_options import MaskOptions
from images.masks import HALVES, make_mask
from images.metrics import SMALLEST, psnr, sharpness, ssim
from images.sheets import framed
from jobs.evaluate.arguments import ALIGNED_METHODS, PAPERS_MASKS, EvaluateOptions
from utils import Progress, UserError, only_writer, say, some, write_atomic, write_rows

if TYPE_CHECKING:
    from model import DCGAN

RADIUS = 3  # pixels that OpenCV's methods look at around each, as in its examples
SHOWN = 8  # faces in the pictures
MEASURES = ("psnr", "psnr_hole", "ssim", "ssim_hole", "sharp", "identity", "found")
RECOGNIZER = "dlib_face_recognition_resnet_model_v1.dat"  # beside the landmark model
COLUMNS = (*MEASURES, "seconds", "own_loss")

OURS = SearchOptions(out_interval=0)
POSTS = replace(POST, out_interval=0)
# The searches and blending of METHODS that use the model.
BY_MODEL = {
    "default": (OURS, "tension"),
    "likely": (replace(OURS, z_length=0.0), "tension"),
    "lively": (replace(OURS, z_length=0.85), "tension"),
    "unrefined": (replace(OURS, refine=0), "tension"),
    "poisson": (OURS, "poisson"),
    "unblended": (OURS, "none"),
    "hmc": (replace(OURS, approach="hmc"), "tension"),
    "post": (POSTS, "none"),
    "post-fast": (replace(POSTS, approach="lbfgs", start="fit", n_iter=90), "none"),
}


def evaluate(options: EvaluateOptions, devices: DeviceOptions) -> None:
    """Prints the table, and writes it and a picture a mask into `out_dir`; UserError if there is nothing to measure."""
    with chosen_pictures(options) as paths:
        methods = usable(options.methods)
        predictor = predictor_path(None)
        dcgan = model_to_measure(options, devices)
        loaded = load_each(dict(enumerate(paths)), lambda path: load_picture(path, dcgan.image_size, dcgan.c_dim))
        if not loaded:
            raise UserError(f"none of the {len(paths)} pictures can be read")
        fitted = [paths[number] for number, (_, fitted) in loaded.items() if fitted]
        faceless = [path for path in fitted[:SHOWN] if face_fills(read_picture(path)) is False]
        if faceless:
            say(f"no face fills {some(faceless)}: whole photos are measured by --photo")
        pictures = np.stack([picture for picture, _ in loaded.values()])
        say(f"measured by {len(pictures)} faces")
        compile_search(dcgan, pictures[: options.batch_size])
        judge = FaceJudge(predictor, predictor.with_name(RECOGNIZER), pictures)
        errors = (f"{name}_error" for name in MEASURES)  # standard errors of the means
        table: list[list] = [["mask", "method", "faces", *COLUMNS, *errors]]
        kinds = options.masks or PAPERS_MASKS
        for kind in kinds:
            for row in measure_mask(kind, methods, dcgan, pictures, judge, options):
                table.append(row)
                write_atomic(options.out_dir / "evaluation.csv", functools.partial(write_rows, rows=table))
        named = ", ".join(f"{options.out_dir}/{kind}.png" for kind in kinds)
        say(f"look at {options.out_dir}/evaluation.csv and {named}")


@contextmanager
def chosen_pictures(options: EvaluateOptions) -> Iterator[list[Path]]:
    """The pictures to measure by, while this process alone writes `out_dir`; UserError if that is their own folder."""
    if os.path.realpath(options.out_dir) == os.path.realpath(options.dataset):
        raise UserError(f"{options.dataset} holds the pictures: name another --outDir")
    with only_writer(options.out_dir):
        paths = find_pictures(options.dataset, [options.out_dir])
        yield evenly(paths, options.count)


def model_to_measure(options: EvaluateOptions, devices: DeviceOptions) -> "DCGAN":
    """The model; UserError if its pictures are too small to be measured."""
    dcgan = open_model(options.checkpoint_dir, precision=devices.of_search)
    if dcgan.image_size < SMALLEST:
        raise UserError(
            f"the model in {options.checkpoint_dir} is for {dcgan.image_size} pixels, and {SMALLEST} are needed: name "
            "another by --checkpointDir"
        )
    return dcgan


def usable(named: Sequence[str] | None) -> list[str]:
    """The methods named, or all but the slow `post` for which there is what they need.

    UserError if one named lacks it.
    """
    methods = list(named or (name for name in ALIGNED_METHODS if name != "post"))
    if "biharmonic" in methods and not importlib.util.find_spec("skimage"):
        if named:
            raise UserError("biharmonic needs scikit-image: pip install scikit-image")
        say("biharmonic is left out: pip install scikit-image brings it")
        methods.remove("biharmonic")
    return methods


def compile_search(dcgan: "DCGAN", pictures: np.ndarray) -> None:
    """Has the search compiled for the batch, so that this is not timed."""
    for _ in dcgan.complete(Incomplete(pictures, np.eye(dcgan.image_size)), replace(OURS, n_iter=1)):
        pass


def measure_mask(
    kind: str,
    methods: Sequence[str],
    dcgan: "DCGAN",
    pictures: np.ndarray,
    judge: FaceJudge,
    options: EvaluateOptions,
) -> Iterator[list]:
    """The table's rows for one kind of mask, printed, as each is measured; writes a picture of the first faces."""
    masks = np.stack([paper_mask(kind, dcgan.image_size, options.seed + i) for i in range(len(pictures))])
    hidden = Incomplete(Incomplete(pictures, masks).shown(), masks)  # no method sees more
    shown = {"true": pictures[:SHOWN], "masked": hidden.pictures[:SHOWN]}
    say(f"{kind:14}" + "".join(f"{column:>10}" for column in COLUMNS))
    for method, completed, seconds, loss in complete_by(methods, dcgan, hidden, options.batch_size):
        faces = judge.distance(completed), judge.found(completed)
        measured = np.stack([*closeness(completed, pictures, masks), *faces])
        means, errors = mean_and_error(measured)
        values = [*means, seconds, loss]
        say(f"{method:14}" + columns(values))
        say(f"{'  +-':14}" + columns(errors))
        cells = ("" if np.isnan(value) else f"{value:.5g}" for value in (*values, *errors))
        shown[method] = completed[:SHOWN]
        save_named_rows(options.out_dir / f"{kind}.png", shown)
        yield [kind, method, len(pictures), *cells]


def columns(values: Iterable[float]) -> str:
    """The values below each other's names; nothing where one is not a number."""
    return "".join(f"{'' if np.isnan(value) else f'{value:.3f}':>10}" for value in values).rstrip()


def paper_mask(kind: str, size: int, seed: int) -> np.ndarray:
    """One of the paper's masks (section 4), bool [size, size], 1 where a pixel is known; `half` is any of the four."""
    if kind == "random80":
        return make_mask("random", size, MaskOptions(kind="random", random_share=0.8), seed)
    if kind == "half":
        kind = HALVES[np.random.default_rng(seed).integers(len(HALVES))]
    return make_mask(kind, size, MaskOptions(), seed)


def complete_by(
    methods: Sequence[str], dcgan: "DCGAN", incomplete: Incomplete, batch_size: int
) -> Iterator[tuple[str, np.ndarray, float, float]]:
    """(method, completed pictures, seconds a picture, mean loss of its search) of each method."""
    found: dict[SearchOptions, tuple[np.ndarray, float, float]] = {}
    for method in methods:
        start = time.perf_counter()
        seconds, loss = 0.0, np.nan
        if method in BY_MODEL:
            search, kind = BY_MODEL[method]
            if search not in found:
                generated, loss = found_by(dcgan, incomplete, search, batch_size, method)
                found[search] = generated, loss, time.perf_counter() - start
            start = time.perf_counter()
            generated, loss, seconds = found[search]
            completed = blend(generated, incomplete, kind)
        else:
            pairs = zip(incomplete.pictures, incomplete.masks, strict=True)
            completed = np.stack([inpaint(method, picture, mask) for picture, mask in pairs])
        yield method, completed, (seconds + time.perf_counter() - start) / len(incomplete), loss


def found_by(
    dcgan: "DCGAN", incomplete: Incomplete, search: SearchOptions, batch_size: int, name: str
) -> tuple[np.ndarray, float]:
    """G(z), uint8 like the pictures, of the z that are found, and the mean of their losses."""
    generated, losses = [], []
    firsts = range(0, len(incomplete), batch_size)
    progress = Progress(len(firsts) * search.iterations, "iterations")
    for nth, first in enumerate(firsts):
        for state in dcgan.complete(incomplete[first : first + batch_size], search):
            progress.update(nth * search.iterations + state.iteration, name)
        generated.append(state.generated)
        losses.append(state.losses[:, 2])
    return np.concatenate(generated), float(np.mean(np.concatenate(losses)))


def inpaint(method: str, picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """One picture [H, W, C] by a method that has no model. mask: [H, W], 1 where a pixel is known."""
    if method == "spline":
        return blend(np.zeros_like(picture)[None], Incomplete(picture[None], mask))[0]
    if method == "biharmonic":
        from skimage.restoration import inpaint_biharmonic

        return (255 * inpaint_biharmonic(picture / 255, ~mask, channel_axis=-1).clip(0, 1)).round().astype(np.uint8)
    kind = cv2.INPAINT_TELEA if method == "telea" else cv2.INPAINT_NS
    return cv2.inpaint(picture, (~mask).astype(np.uint8), RADIUS, kind).reshape(picture.shape)


def closeness(completed: np.ndarray, pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """[5, N], the first MEASURES of each picture: PSNR in dB and SSIM, over all pixels and over the hole; sharpness."""
    similar = ssim(completed, pictures)
    edge = (pictures.shape[1] - similar.shape[1]) // 2
    hole = ~masks[:, edge:-edge, edge:-edge]
    # A hole within 5 pixels of the edge has no window of its own.
    in_hole = [values[where].mean() if where.any() else np.nan for values, where in zip(similar, hole, strict=True)]
    return np.stack(
        [
            psnr(completed, pictures),
            psnr(completed, pictures, ~masks),
            similar.mean(axis=(1, 2)),
            np.array(in_hole),
            sharpness(completed, pictures, ~masks),
        ]
    )


def mean_and_error(measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[M] and [M]: the means of [M, N] without what is not a number, and their standard errors."""
    count = (~np.isnan(measured)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.nansum(measured, axis=1) / count
        squares = np.nansum((measured - mean[:, None]) ** 2, axis=1)
        return mean, np.sqrt(squares / (count - 1) / count)


def save_named_rows(path: Path, rows: dict[str, np.ndarray]) -> None:
    """Writes a picture with a row for each name, the pictures beside it."""
    sheet = framed(np.concatenate(list(rows.values())), len(next(iter(rows.values()))))
    names = np.full((len(sheet), 180, 3), 255, np.uint8)
    for i, name in enumerate(rows):
        height = round((i + 0.5) * len(sheet) / len(rows))
        cv2.putText(names, name, (8, height), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
    save_picture(path, np.concatenate([names, np.broadcast_to(sheet, (*sheet.shape[:2], 3))], axis=1))
