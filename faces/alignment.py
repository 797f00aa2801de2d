"""Frames that a user gives: by an alignment.csv of align.py, or by three points of a face."""

import csv
import os
from pathlib import Path

import numpy as np

from faces.detector import TEMPLATES
from faces.finding import LANDMARKS, by_landmarks
from faces.frame import Frame
from images.decoding import PictureError, picture_size
from utils import UserError, read_rows

COLUMNS = ["source", "output", "status", "a", "b", "tx", "c", "d", "ty"]
LARGEST = 1e6  # pixels; no photo is so large
# How many times longer or wider a face by --points may be than the mean face. Among 10,363 photos no face that
# align.py found is above 1.85, and with the lip given before an eye 99.9 % of them would be above 3.6.
MOST_STRETCHED = 3


def earlier_rows(log: Path) -> list[list[str]]:
    """The rows of an alignment.csv, none if there is no such file; UserError if it is something else."""
    if not log.exists():
        return []
    try:
        header, *rows = read_rows(log, len(COLUMNS)) or [COLUMNS if not log.stat().st_size else []]
    except csv.Error as error:
        raise UserError(f"{log} is damaged ({error}): restore it from a copy, or choose another folder") from error
    if header != COLUMNS:
        raise UserError(f"{log} was not written by align.py, or is damaged: choose another folder")
    return [row for row in rows if "\0" not in row[1] and len(os.fsencode(row[1])) < 256]


def aligned_frames(path: Path, size: int) -> dict[str, Frame]:
    """The frames of the faces in an alignment.csv by their photos' stems. UserError if it has none or is damaged."""
    frames: dict[str, Frame] = {}
    for source, output, status, *numbers in earlier_rows(path):
        if status != "aligned":
            continue
        stem = Path(source).stem
        if stem in frames:
            raise UserError(f"{path} has several photos named {stem}: rename them, and align them again")
        try:
            side = np.sqrt(np.prod(picture_size(path.parent / output)))
        except PictureError:
            side = size  # the faces were deleted; probably they had the model's size
        try:
            frames[stem] = _plausible(np.array(numbers, float).reshape(2, 3), size, side)
        except ValueError:
            raise UserError(f"{path} is damaged at {source}: align the photos again") from None
    if not frames:
        raise UserError(f"{path} has no aligned face: name the alignment.csv that align.py wrote for the photos")
    return frames


def _plausible(transform: np.ndarray, size: int, side: float) -> Frame:
    """The frame of a map [2, 3] into pictures of this side; ValueError if no photo can have it."""
    with np.errstate(all="ignore"):
        frame = Frame(transform * size / side, size)
        if not (1 <= frame.side < LARGEST and np.abs(frame.corners()).max() < LARGEST):
            raise ValueError(f"{transform} is not the map of a face")
    return frame


def as_points(points: np.ndarray) -> str:
    """Three points, [3, 2] (x, y), as --points takes them."""
    return " ".join(f"{x:.10g},{y:.10g}" for x, y in points)


def frame_by(points: np.ndarray, size: int) -> Frame:
    """The frame of the face with inner eye corners and lower lip at `points`, [3, 2]. UserError if no face fits."""
    (ax, ay), (bx, by) = points[1] - points[0], points[2] - points[0]
    landmarks = np.zeros((68, 2))
    landmarks[list(TEMPLATES[LANDMARKS])] = points if ax * by > ay * bx else points[[1, 0, 2]]
    frame = by_landmarks(landmarks, size)
    most, least = np.linalg.svd(frame.transform[:, :2], compute_uv=False)
    if not most < MOST_STRETCHED * least:  # both are 0 for points on one line
        what_to_do = "give the inner corners of its eyes, then its lower lip"
        raise UserError(f"--points {as_points(points)} are not those of a face: {what_to_do}")
    return frame
