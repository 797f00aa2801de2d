"""Measures what G makes of random z: how near to real pictures, and how much of a kind."""

import functools

import numpy as np

from dcgan.checkpoints import model_directory
from dcgan.options import DeviceOptions
from jobs.aligning import predictor_path
from jobs.evaluating import RECOGNIZER, chosen_pictures
from jobs.options import EvaluateOptions
from jobs.validating import SMALLEST, samples_of
from model import DCGAN
from pictures.files import load_each, load_picture, save_picture
from pictures.identity import descriptors, faces_found
from pictures.likeness import alike, frechet, sliced_wasserstein
from pictures.sheets import grid
from utils import Progress, UserError, say, write_atomic, write_rows

SHOWN = 64  # samples in the picture
AT_ONCE = 64  # faces between two lines of progress
FACES = 0.5  # share of the first pictures in which dlib finds a face, from which on they are taken for faces


def evaluate_samples(options: EvaluateOptions, devices: DeviceOptions) -> None:
    """Prints the table, and writes it and samples into `out_dir`; UserError if there is nothing to measure."""
    with chosen_pictures(options) as paths:
        directory = model_directory(options.checkpoint_dir)
        dcgan = DCGAN.load(directory, precision=devices.of_search)
        if dcgan.image_size < SMALLEST:
            raise UserError(f"the model in {directory} is for {dcgan.image_size} pixels: name one for 16 or more")
        loaded = load_each(dict(enumerate(paths)), lambda path: load_picture(path, dcgan.image_size, dcgan.c_dim)[0])
        half = len(loaded) // 2
        if half < 2:
            raise UserError(
                f"{options.dataset} has {len(loaded)} pictures that can be read, and 4 are needed: name another folder"
            )
        pictures = np.stack(list(loaded.values()))
        # Neighbours in a folder are often of one person: halves, not every other.
        reference, others = pictures[:half], pictures[half : 2 * half]
        samples = samples_of(dcgan, half)
        say(f"model: {directory}, trained for {int(dcgan.step)} steps; {half} real pictures, {half} others and samples")
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
    of_faces = faces_found(reference[:AT_ONCE]).mean() >= FACES
    progress = Progress((1 + len(sets)) * len(reference), "faces")
    described = look_at(reference, progress, 0)[0] if of_faces else None
    rows = {}
    for nth, (name, pictures) in enumerate(sets.items(), 1):
        distances = sliced_wasserstein(pictures, reference)
        rows[name] = {"swd": float(distances.mean())}
        rows[name] |= {f"swd_{pictures.shape[1] >> i}": float(distance) for i, distance in enumerate(distances)}
        rows[name]["ms_ssim"] = alike(pictures)
        if described is not None:
            theirs, found = look_at(pictures, progress, nth * len(reference))
            rows[name] |= {"frechet": frechet(theirs, described), "found": float(found.mean())}
    return rows


def look_at(pictures: np.ndarray, progress: Progress, before: int) -> tuple[np.ndarray, np.ndarray]:
    """The descriptors of N faces, and whether each is found; `progress` counts them from `before` on."""
    recognizer = predictor_path(None).with_name(RECOGNIZER)
    parts = []
    for first in range(0, len(pictures), AT_ONCE):
        part = pictures[first : first + AT_ONCE]
        parts.append((descriptors(recognizer, part), faces_found(part)))
        progress.update(before + first + len(part))
    described, found = map(np.concatenate, zip(*parts, strict=True))
    return described, found
