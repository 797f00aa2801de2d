"""Measures what G makes of random z: how near to real pictures, and how much of a kind."""

import functools

import numpy as np

from dcgan.options import DeviceOptions
from faces.detector import predictor_path
from faces.identity import descriptors, faces_found
from images.files import load_pictures, save_picture
from images.likeness import alike, frechet, sliced_wasserstein
from images.sheets import grid
from jobs.evaluate.aligned import RECOGNIZER, chosen_pictures, model_to_measure
from jobs.evaluate.arguments import EvaluateOptions
from utils import Progress, UserError, say, write_atomic, write_rows

SHOWN = 64  # samples in the picture
LOOKED_AT = 64  # pictures, whether they are faces
FACES = 0.5  # share of these in which dlib finds one, from which on they are


def evaluate_samples(options: EvaluateOptions, devices: DeviceOptions) -> None:
    """Prints the table, and writes it and samples into `out_dir`; UserError if there is nothing to measure."""
    with chosen_pictures(options) as paths:
        dcgan = model_to_measure(options, devices)
        pictures = load_pictures(paths, dcgan.image_size, dcgan.c_dim)
        half = len(pictures) // 2
        if half < 2:
            raise UserError(
                f"{options.dataset} has {len(pictures)} pictures that can be read, and 4 are needed: name another"
            )
        # Neighbours in a folder are often of one person: halves, not every other.
        reference, others = pictures[:half], pictures[half : 2 * half]
        from jobs.train.validation import samples_of  # which loads TensorFlow

        samples = samples_of(dcgan, half)
        say(f"{half} real pictures, {half} others and samples")
        rows = compare(reference, {"samples": samples, "real": others})
        table: list[list] = [["set", "pictures", *rows["real"]]]
        table += [[name, half, *(f"{value:.5g}" for value in row.values())] for name, row in rows.items()]
        say("".join(f"{column:>10}" for column in table[0]))
        for name, row in rows.items():
            say(f"{name:>10}{half:>10}" + "".join(f"{value:>10.4g}" for value in row.values()))
        write_atomic(options.out_dir / "generator.csv", functools.partial(write_rows, rows=table))
        save_picture(options.out_dir / "generator.png", grid(samples[:SHOWN]))
        say(f"look at {options.out_dir}/generator.csv and {options.out_dir}/generator.png")


def compare(reference: np.ndarray, sets: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """The measures, by their names, of each set of as many pictures as `reference` has, uint8 [N, H, W, C]."""
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
