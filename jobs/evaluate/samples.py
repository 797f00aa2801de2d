"""Measures samples of a model: how close they are to real pictures, and how varied."""

import numpy as np

from dcgan.latent import random_z
from dcgan.options import DeviceOptions
from faces.detector import predictor_path
from faces.identity import descriptors, faces_found
from images.decoding import load_pictures
from images.likeness import alike, frechet, sliced_wasserstein
from images.sheets import grid
from jobs.evaluate.aligned import RECOGNIZER, model_to_measure
from jobs.evaluate.arguments import EvaluateOptions
from jobs.evaluate.report import Report, columns
from utils import Progress, UserError, say

SHOWN = 64  # samples in the picture
LOOKED_AT = 64  # pictures, to find out whether they are faces
FACES = 0.5  # share of them in which dlib must find a face


def evaluate_samples(options: EvaluateOptions, devices: DeviceOptions) -> None:
    """Writes a table and a picture of samples into `out_dir`. UserError if there is nothing to measure."""
    with Report.open(options, "generator.csv", "generator.png") as report:
        dcgan = model_to_measure(report.paths, options, devices)
        pictures = load_pictures(report.paths, dcgan.image_size, dcgan.c_dim)
        half = len(pictures) // 2
        if half < 2:
            raise UserError(f"{options.dataset} has {len(pictures)} readable pictures, but 4 are needed: add some")
        # Neighbors in a folder often show the same person, so the two halves are not interleaved.
        reference, others = pictures[:half], pictures[half : 2 * half]
        samples = np.concatenate(list(dcgan.generate(random_z(half, dcgan.z_dim))))
        say(f"{half} pictures as the reference, {half} others as the baseline, {half} samples")
        rows = compare(reference, {"samples": samples, "real": others})
        header = "set", "pictures", *rows["real"]
        report.add(*header)
        say("".join(f"{column:>10}" for column in header))
        for name, row in rows.items():
            report.add(name, half, *row.values())
            say(f"{name:>10}{half:>10}" + columns(row.values(), ".4g"))
        report.save("generator.png", grid(samples[:SHOWN]))


def compare(reference: np.ndarray, sets: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """The measures of each set by name. All sets and the reference are uint8 [N, H, W, C] of one size."""
    recognizer = predictor_path(None).with_name(RECOGNIZER)
    of_faces = faces_found(reference[:LOOKED_AT]).mean() >= FACES
    described = descriptors(recognizer, reference, Progress(len(reference), "faces").update) if of_faces else None
    rows = {}
    for name, pictures in sets.items():
        distances = sliced_wasserstein(pictures, reference)
        rows[name] = {"swd": float(distances.mean())}
        rows[name] |= {f"swd_{pictures.shape[1] >> i}": float(distance) for i, distance in enumerate(distances)}
        rows[name]["ms_ssim"] = alike(pictures)
        if described is not None:
            theirs = descriptors(recognizer, pictures, Progress(len(pictures), "faces").update)
            rows[name]["frechet"] = frechet(theirs, described)
            rows[name]["found"] = float(faces_found(pictures).mean())
    return rows
