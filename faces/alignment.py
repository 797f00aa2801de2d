"""Frames that a user gives: by an alignment.csv of align.py, or by three points of a face."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faces.detector import TEMPLATES
from faces.finding import LANDMARKS, by_landmarks
from faces.frame import Frame
from faces.table import earlier_rows
from images.photo import Photo, same_proportions
from utils import UserError

LARGEST = 1e6  # pixels; no photo is so large
# How many times longer or wider a face by --points may be than the mean face. Among 10,363 photos no face that
# align.py found is above 1.85, and with the lip given before an eye 99.9 % of them would be above 3.6.
MOST_STRETCHED = 3


@dataclass(frozen=True)
class Alignment:
    """The faces of a photo, as an alignment.csv has them."""

    shape: tuple[int, int]  # of the photo: height and width
    frames: list[Frame]

    def in_photo(self, path: object, photo: Photo) -> list[Frame]:
        """The frames in a photo of another resolution. UserError if it has other proportions or shows no such face."""
        (h, w), (height, width) = self.shape, photo.shape
        if not same_proportions(self.shape, photo.shape):
            fault = f"{path} is {width}x{height} but the photo of this name in --alignment was {w}x{h}"
            raise UserError(f"{fault}: give both the same proportions")
        across, down = w / width, h / height
        to_aligned = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]])
        frames = [frame.after(to_aligned) for frame in self.frames]
        if not all(frame.shows(photo.whole()) for frame in frames):
            raise UserError(f"{path} shows nothing of a face in --alignment: align the photo again")
        return frames


def alignments(path: Path, size: int) -> dict[str, Alignment]:
    """The faces in an alignment.csv by their photos' stems. UserError if it has none, is damaged, or lacks sizes."""
    sources: dict[str, str] = {}
    found: dict[str, Alignment] = {}
    for source, _, status, *cells in earlier_rows(path):
        if status != "aligned":
            continue
        stem = Path(source).stem
        if sources.setdefault(stem, source) != source:
            raise UserError(f"{path} has several photos named {stem}: rename them, and align them again")
        if not any(cells[6:9]):
            again = f"align.py RAW align innerEyesAndBottomLip {path.parent} --size {size}"
            raise UserError(f"{path} is of an earlier version, without the sizes of the photos: run {again}")
        try:
            transform, (width, height, side) = np.array(cells[:6], float).reshape(2, 3), map(int, cells[6:9])
            frame = _plausible(transform, size, side, float(cells[-1] or 0))
            found.setdefault(stem, Alignment((height, width), [])).frames.append(frame)
            if min(width, height) < 1:
                raise ValueError(f"{width}x{height} is not the size of a photo")
        except (ValueError, ZeroDivisionError):
            raise UserError(f"{path} is damaged at {source}: align the photos again") from None
    if not found:
        raise UserError(f"{path} has no aligned face: name the alignment.csv that align.py wrote for the photos")
    return found


def _plausible(transform: np.ndarray, size: int, side: int, margin: float) -> Frame:
    """The frame of a map [2, 3] into pictures of this side and margin; ValueError if no photo can have it."""
    with np.errstate(all="ignore"):
        within = Frame(transform, side).widened(-margin / (1 + 2 * margin))
        frame = within.resized(size)
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
