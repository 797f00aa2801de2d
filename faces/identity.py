"""Judges small pictures of faces by dlib: whether it detects a face, and whose it is."""

from collections.abc import Callable
from pathlib import Path

import cv2
import dlib
import numpy as np

from faces.detector import FaceFinder, look

SIDE = 160  # pixels to which a picture is enlarged, because the detector misses faces of less than 80
MARGIN = SIDE // 4  # added around it, because the detector expects more of a head than aligned pictures show
CHIP, PADDING = 150, 0.25  # side of the descriptor network's input, and its padding around the face


class FaceJudge:
    """Compares the faces in completed pictures with those in the true ones, uint8 [N, H, W, C]."""

    def __init__(self, predictor: Path, recognizer: Path, pictures: np.ndarray):
        """Loads dlib's landmark and face recognition models; RuntimeError if a file is something else."""
        self.finder = FaceFinder(str(predictor))
        self.network = dlib.face_recognition_model_v1(str(recognizer))
        self.chips = [self._chip(picture) for picture in pictures]
        self.descriptors = self._descriptors(pictures)

    def found(self, completed: np.ndarray) -> np.ndarray:
        """[N]: 1 if a face is detected, else 0; NaN if none is detected in the true picture."""
        return np.where([chip is None for chip in self.chips], np.nan, faces_found(completed))

    def distance(self, completed: np.ndarray) -> np.ndarray:
        """[N]: the distance between the faces' descriptors, 0 for the same picture; NaN as in `found`."""
        return np.linalg.norm(self._descriptors(completed) - self.descriptors, axis=1)

    def _chip(self, picture: np.ndarray) -> dlib.chip_details | None:
        """The face's place in the enlarged picture; None if no face is detected."""
        enlarged = _enlarged(picture)
        boxes = look(enlarged, 0)
        return (
            dlib.get_face_chip_details(self.finder.predictor(enlarged, boxes[0][0]), CHIP, PADDING) if boxes else None
        )

    def _descriptors(self, pictures: np.ndarray) -> np.ndarray:
        """[N, 128]: descriptors of the faces, at their places in the true pictures."""
        found = np.full((len(pictures), 128), np.nan)
        for i, (picture, chip) in enumerate(zip(pictures, self.chips, strict=True)):
            if chip:
                found[i] = self.network.compute_face_descriptor(dlib.extract_image_chip(_enlarged(picture), chip))
        return found


def faces_found(pictures: np.ndarray) -> np.ndarray:
    """bool [N]: whether a face is detected in each picture, uint8 [N, H, W, C]."""
    return np.array([bool(look(_enlarged(picture), 0)) for picture in pictures])


def descriptors(recognizer: Path, pictures: np.ndarray, progress: Callable[[int], None]) -> np.ndarray:
    """[N, 128]: dlib's face descriptors of aligned faces, uint8 [N, H, W, C].

    The whole picture counts as the face, without a detector, so that poor faces have descriptors, too. `progress` is
    called with the number of pictures done. RuntimeError if the file is not a face recognition model.
    """
    network = dlib.face_recognition_model_v1(str(recognizer))
    found = np.empty((len(pictures), 128))
    for i, picture in enumerate(pictures):
        whole = cv2.resize(_in_color(picture), (CHIP, CHIP), interpolation=cv2.INTER_CUBIC)
        found[i] = network.compute_face_descriptor(whole)
        progress(i + 1)
    return found


def _enlarged(picture: np.ndarray) -> np.ndarray:
    """A picture [H, W, C] as dlib needs it: in color, enlarged, with its edge pixels continued outwards."""
    large = cv2.resize(_in_color(picture), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return cv2.copyMakeBorder(large, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REPLICATE)


def _in_color(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if picture.shape[2] == 1 else picture
