"""Measures samples of a model: how close they are to real pictures, and how varied."""

import numpy as np

from dcgan.latent import random_z
from dcgan.options import DeviceOptions
from faces.detector import predictor_path
from faces.identity import descriptors, faces_found
from images.decoding import load_pictures
from images.files import save_picture
from images.likeness import alike, frechet, sliced_wasserstein
from images.sheets import grid
from jobs.evaluate.aligned import RECOGNIZER, chosen_pictures, model_to_measure
from jobs.evaluate.arguments import EvaluateOptions
from utils import Progress, UserError, say, write_rows

SHOWN = 64  # samples in the picture
LOOKED_AT = 64  # pictures, to find out whether they are faces
FACES = 0.5  # share of them in which dlib must find a face
TABLE, PICTURE = "generator.csv", "generator.png"


def evaluate_samples(options: EvaluateOptions, devices: DeviceOptions) -> None:
    """Prints the table and writes it, with a picture of samples, into `out_dir`.

    UserError if there is nothing to measure.
    """
    with chosen_pictures(options, TABLE, PICTURE) as (outputs, paths):
        dcgan = model_to_measure(options, devices)
        pictures = load_pictures(paths, dcgan.image_size, dcgan.c_dim)
        half = len(pictures) // 2
        if half < 2:
            raise UserError(f"{options.dataset} has {len(pictures)} readable pictures, but 4 are needed: add some")
        # Neighbors in a folder often show the same person, so the two halves are not interleaved.
        reference, others = pictures[:half], pictures[half : 2 * half]
        samples = np.concatenate(list(dcgan.generate(random_z(half, dcgan.z_dim))))
        say(f"{half} pictures as the reference, {half} others as the baseline, {half} samples")
        rows = compare(reference, {"samples": samples, "real": others})
        table: list[list] = [["set", "pictures", *rows["real"]]]
        table += [[name, half, *(f"{value:.5g}" for value in row.values())] for name, row in rows.items()]
        say("".join(f"{column:>10}" for column in table[0]))
        for name, row in rows.items():
            say(f"{name:>10}{half:>10}" + "".join(f"{value:>10.4g}" for value in row.values()))
        outputs.write(TABLE, lambda path: write_rows(path, table))
        outputs.write(PICTURE, lambda path: save_picture(path, grid(samples[:SHOWN])))
        say(f"look at {options.out_dir / TABLE}, {options.out_dir / PICTURE}")


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
