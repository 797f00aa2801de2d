"""Finds undamaged faces and their landmarks by dlib, and OpenFace's map of a face into its frame."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import dlib
import numpy as np

from images.photo import shrunk_to
from utils import UserError

# Three of dlib's 68 landmarks with their places (x, y) in OpenFace's mean face, scaled to the unit square
# (openface/align_dlib.py, TEMPLATE).
TEMPLATES = {
    "innerEyesAndBottomLip": {
        39: (0.363784947, 0.177946862),
        42: (0.618963134, 0.172778126),
        57: (0.500203960, 0.750584384),
    },
    "outerEyesAndNose": {
        36: (0.194156995, 0.169266902),
        45: (0.788859082, 0.158171151),
        33: (0.494950915, 0.514441322),
    },
}
# What `dlib.get_frontal_face_detector().save(path)` writes. To unpack the copy in dlib itself takes 500 times as long.
DETECTOR = Path(__file__).with_name("frontal_faces.svm")
LOOK = 640  # pixels of the longer side, in which `face_fills` looks for faces
# Of a side: dlib's box takes 0.84 or more of OpenFace's frame; the next smaller size that dlib knows takes 0.7.
FILLS = 0.65
HUGE = 3 * 40_000_000  # bytes of a photo's pixels; larger photos are searched at a lower resolution


Boxes = list[tuple[dlib.rectangle, float]]
"""Boxes that may show faces, with their scores, the highest first."""


def look(photo: np.ndarray, doublings: int, least: float = 0) -> Boxes:
    """dlib's boxes in a photo, uint8 [H, W, 3].

    doublings: how often the photo is enlarged by two, to find smaller faces than 80 pixels. least: of the scores.
    """
    # Loaded each time, in a millisecond, because two threads must not use one detector at a time.
    boxes, scores, _ = dlib.fhog_object_detector(os.fsencode(DETECTOR)).run(photo, doublings, least)
    return list(zip(boxes, scores, strict=True))


class FaceFinder:
    """Finds faces and their landmarks. RuntimeError if the file `predictor` is not a landmark model of dlib."""

    def __init__(self, predictor: str):
        self.predictor = dlib.shape_predictor(predictor)

    def faces(self, photo: np.ndarray) -> list[dlib.rectangle]:
        """Boxes of the faces in a photo, uint8 [H, W, 3], the largest first."""
        # Upsampled once, as in OpenFace, to find faces of 40 pixels. In a huge photo 80 must do, to save memory.
        boxes = [box for box, _ in look(photo, int(photo.size < HUGE))]
        return sorted(boxes, key=lambda box: box.width() * box.height(), reverse=True)

    def landmarks(self, photo: np.ndarray, box: dlib.rectangle) -> np.ndarray:
        """[68, 2]: the landmarks (x, y) of the face in the box, in pixels."""
        return np.array([(p.x, p.y) for p in self.predictor(photo, box).parts()])


def face_transform(landmarks: np.ndarray, kind: str, size: int) -> np.ndarray:
    """[2, 3]: the affine map of three landmarks onto those of the mean face, as in OpenFace's `align`.

    It takes (x, y, 1) in the photo to a point in a frame of `size` pixels. landmarks: [68, 2] (x, y) in pixels. kind:
    one of TEMPLATES.
    """
    template = TEMPLATES[kind]
    source = np.array(landmarks, np.float32)[list(template)]
    return cv2.getAffineTransform(source, size * np.array(list(template.values()), np.float32))


def filled(photo: np.ndarray, known: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] with its hole filled smoothly from the `known` pixels, bool [H, W].

    dlib finds damaged faces in the result as often as after OpenCV's inpainting, which is slow for large holes.
    """
    if known.all() or known.size == 1:
        return photo * known[..., None]
    height, width = known.shape
    half = (width + 1) // 2, (height + 1) // 2
    share = cv2.resize(known.astype(np.float32), half, interpolation=cv2.INTER_AREA)
    means = cv2.resize(photo * known[..., None], half, interpolation=cv2.INTER_AREA)
    means = (means / np.maximum(share, 1e-6)[..., None]).clip(0, 255).astype(np.uint8)
    around = cv2.resize(filled(means, share > 0), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(known[..., None], photo, around)


def face_fills(photo: np.ndarray, doublings: int = 1) -> bool | None:
    """Whether a face fills the central square of a picture, uint8 [H, W, 3]; None if no face is found.

    doublings: as in `look`, if none is found without.
    """
    photo = shrunk_to(photo, LOOK)
    boxes = look(photo, 0) or (look(photo, doublings) if doublings else [])
    return fills(boxes, photo.shape) if boxes else None


def fills(boxes: Boxes, shape: Sequence[int]) -> bool:
    """Whether a box fills the central square of a picture [H, W, ...]."""
    side = min(shape[:2])
    top, left = ((n - side) // 2 for n in shape[:2])
    square = dlib.rectangle(left, top, left + side - 1, top + side - 1)
    within = [box.intersect(square) for box, _ in boxes]
    return any(min(box.width(), box.height()) >= FILLS * side for box in within)


def predictor_path(named: Path | None) -> Path:
    """The landmark model: the file `named`, or that of the package face_recognition_models; UserError if missing."""
    if not named:
        # The package is not imported, because that needs pkg_resources of an old setuptools.
        spec = importlib.util.find_spec("face_recognition_models")
        if not spec or not spec.submodule_search_locations:
            raise UserError("the landmark model is missing: pip install face_recognition_models")
        named = Path(spec.submodule_search_locations[0], "models", "shape_predictor_68_face_landmarks.dat")
    if not named.is_file():
        raise UserError(f"no file {named}: name a landmark model of dlib with 68 points by --dlibFacePredictor")
    return named
