"""Measures completions of aligned faces, as in the paper, and compares searches with classical inpainting."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from completion.models import open_model
from completion.searching import search_batches
from dcgan.options import DeviceOptions, NetworkOptions, Preset, SearchOptions
from faces.detector import face_fills, predictor_path
from faces.identity import FaceJudge
from faces.table import check_margin
from images.blending import blend
from images.decoding import load_picture, read_picture
from images.files import load_each
from images.incomplete import Incomplete
from images.mask_options import MaskOptions
from images.masks import HALVES, make_mask
from images.metrics import SMALLEST, psnr, sharpness, ssim
from jobs.evaluate.arguments import PAPERS_MASKS, EvaluateOptions
from jobs.evaluate.methods import METHODS, Method
from jobs.evaluate.report import Report, columns, mean_and_error
from utils import UserError, say, some

if TYPE_CHECKING:
    from model import DCGAN

SHOWN = 8  # faces in the pictures
MEASURES = ("psnr", "psnr_hole", "ssim", "ssim_hole", "sharp", "identity", "found")
RECOGNIZER = "dlib_face_recognition_resnet_model_v1.dat"  # beside the landmark model
COLUMNS = (*MEASURES, "seconds", "own_loss")
# Holes of faces: (left, top, right, bottom) in shares of the aligned square, beyond which the last two reach.
BOXES = {
    "eyes": (0.06, 0.03, 0.94, 0.34),
    "mouth": (0.19, 0.59, 0.81, 0.94),
    "hair": (-0.12, -0.36, 1.12, 0.36),
    "head": (-0.42, -0.42, 0.5, 1.42),
}


def evaluate(options: EvaluateOptions, devices: DeviceOptions) -> None:
    """Writes a table, and a picture for each mask, into `out_dir`. UserError if there is nothing to measure."""
    kinds = options.masks or PAPERS_MASKS
    with Report.open(options, "evaluation.csv", *map("{}.png".format, kinds)) as report:
        methods = methods_of(options)
        dcgan = model_to_measure(report.paths, options, devices)
        pictures = aligned_faces(report.paths, dcgan)
        predictor = predictor_path(None)
        judge = FaceJudge(predictor, predictor.with_name(RECOGNIZER), pictures)
        compile_search(dcgan, pictures[: options.batch_size])
        report.add("mask", "method", "faces", *COLUMNS, *map("{}_error".format, MEASURES))
        for kind in kinds:
            masks = np.stack([mask_of(kind, dcgan.options, options.seed + i) for i in range(len(pictures))])
            faces = HiddenFaces(dcgan, pictures, masks, options.batch_size)
            shown = {"true": pictures[:SHOWN], "masked": faces.incomplete.pictures[:SHOWN]}
            say(f"{kind:14}" + "".join(f"{column:>10}" for column in COLUMNS))
            for method in methods:
                completed: Completed = method.run(faces)
                of_faces = judge.distance(completed.pictures), judge.found(completed.pictures)
                close = closeness(completed.pictures, pictures, masks)
                means, errors_of_means = mean_and_error(np.stack([*close, *of_faces]))
                values = [*means, completed.seconds, completed.loss]
                say(f"{method.name:14}" + columns(values))
                say(f"{'  +-':14}" + columns(errors_of_means))
                report.add(kind, method.name, len(pictures), *values, *errors_of_means)
                shown[method.name] = completed.pictures[:SHOWN]
                report.draw(f"{kind}.png", shown)


# ------------------------------------------------------------------------------- what is measured


def methods_of(options: EvaluateOptions) -> list[Method]:
    """The methods that are named, or all that are fast."""
    fast = [method.name for method in METHODS.values() if options.kind in method.kinds and not method.slow]
    return [METHODS[name] for name in options.methods or fast]


def model_to_measure(paths: Sequence[Path], options: EvaluateOptions, devices: DeviceOptions) -> "DCGAN":
    """Opens the model. UserError if its pictures are too small to be measured, or if those in `paths` do not fit it."""
    dcgan = open_model(options.checkpoint_dir, precision=devices.of_search)
    if dcgan.image_size < SMALLEST:
        makes = f"the model makes pictures of {dcgan.image_size} pixels"
        raise UserError(f"{makes}, but SSIM needs {SMALLEST}: choose another --checkpointDir")
    check_margin(paths, dcgan.options.margin)
    return dcgan


def aligned_faces(paths: Sequence[Path], dcgan: "DCGAN") -> np.ndarray:
    """Reads the pictures, uint8 [N, H, W, C], at the model's size. UserError if none can be read."""
    loaded = load_each(dict(enumerate(paths)), lambda path: load_picture(path, dcgan.image_size, dcgan.c_dim))
    if not loaded:
        raise UserError(f"none of the {len(paths)} pictures can be read")
    fitted = [paths[number] for number, each in loaded.items() if each.fitted]
    faceless = [path for path in fitted[:SHOWN] if face_fills(read_picture(path)) is False]
    if faceless:
        say(f"measured, although no face fills the picture: {some(faceless)}. To measure whole photos, add --photo")
    say(f"faces: {len(loaded)}")
    return np.stack([each.pixels for each in loaded.values()])


def compile_search(dcgan: "DCGAN", pictures: np.ndarray) -> None:
    """Compiles the search for this batch size, so that the time of no method includes it."""
    for _ in dcgan.complete(Incomplete(pictures, np.eye(dcgan.image_size)), SearchOptions(n_iter=1, out_interval=0)):
        pass


def mask_of(kind: str, networks: NetworkOptions, seed: int) -> np.ndarray:
    """One of the MASKS, bool [size, size], True where a pixel is known; `half` is a random half."""
    size, margin = networks.image_size, networks.margin
    if kind in BOXES:
        left, top, right, bottom = (round((share + margin) / (1 + 2 * margin) * size) for share in BOXES[kind])
        mask = np.ones((size, size), bool)
        mask[top:bottom, left:right] = False
        return mask
    if kind == "random80":
        return make_mask("random", size, MaskOptions(kind="random", random_share=0.8), seed)
    if kind == "half":
        kind = HALVES[np.random.default_rng(seed).integers(len(HALVES))]
    return make_mask(kind, size, MaskOptions(), seed)


# ------------------------------------------------------------------------------ how it is completed


class Completed(NamedTuple):
    """Aligned faces that a method completed."""

    pictures: np.ndarray  # uint8 [N, H, W, C]
    seconds: float  # time a picture
    loss: float = np.nan  # mean loss of the search


class HiddenFaces:
    """Aligned faces with holes, for a Method. A search that several methods share runs once."""

    def __init__(self, dcgan: "DCGAN", pictures: np.ndarray, masks: np.ndarray, batch_size: int):
        self.dcgan, self.batch_size = dcgan, batch_size
        hidden = Incomplete(pictures, masks).shown()  # the true pixels are gone
        self.incomplete = Incomplete(hidden, masks).with_tones()
        self.found: dict[SearchOptions, Completed] = {}

    def by_search(self, preset: Preset) -> Completed:
        """Completes the faces by the preset's search and blending."""
        if preset.search not in self.found:
            self.found[preset.search] = self._searched(preset)
        start, found = time.perf_counter(), self.found[preset.search]
        blended = blend(found.pictures, self.incomplete, preset.blend)
        return Completed(blended, found.seconds + self._seconds_since(start), found.loss)

    def by_filling(self, fill: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Completed:
        """Completes the faces one by one."""
        start = time.perf_counter()
        pairs = zip(self.incomplete.pictures, self.incomplete.masks, strict=True)
        return Completed(np.stack([fill(picture, mask) for picture, mask in pairs]), self._seconds_since(start))

    def _searched(self, preset: Preset) -> Completed:
        """G(z) of the z that the search finds."""
        start = time.perf_counter()
        states = list(search_batches(self.dcgan, self.incomplete, preset.search, self.batch_size, preset.name))
        generated, losses = (np.concatenate([getattr(s, name) for s in states]) for name in ("generated", "losses"))
        return Completed(generated, self._seconds_since(start), float(losses[:, 2].mean()))

    def _seconds_since(self, start: float) -> float:
        return (time.perf_counter() - start) / len(self.incomplete)


# -------------------------------------------------------------------------------- how good it is


def closeness(completed: np.ndarray, pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """[5, N], the first MEASURES: PSNR in dB and SSIM, each of the picture and of the hole, and sharpness.

    The SSIM of a hole is that of the windows around its pixels, not a number if all of them are at the edge.
    """
    similar = ssim(completed, pictures)
    edge = (pictures.shape[1] - similar.shape[1]) // 2
    hole = ~masks[:, edge:-edge, edge:-edge]
    in_hole = [values[where].mean() if where.any() else np.nan for values, where in zip(similar, hole, strict=True)]
    whole = psnr(completed, pictures), psnr(completed, pictures, ~masks), similar.mean(axis=(1, 2))
    return np.stack([*whole, np.array(in_hole), sharpness(completed, pictures, ~masks)])
