"""dlib's opinion of small pictures of faces: whether there is a face in them, and whose it is."""

from collections.abc import Callable
from pathlib import Path

import cv2
import dlib
import numpy as np

from faces.detector import FaceFinder

SIDE = 160  # pixels to which a picture is enlarged for the detector, which knows no face smaller than 80
MARGIN = SIDE // 4  # around it, since the detector looks for more of a head than an aligned picture shows
CHIP, PADDING = 150, 0.25  # the side of the face that the descriptor network takes, and what it sees around it


class FaceJudge:
    """Compares completed pictures with true ones, uint8 [N, H, W, C], as to the face in each of them."""

    def __init__(self, predictor: Path, recognizer: Path, pictures: np.ndarray):
        """By dlib's landmark and face recognition models. RuntimeError if a file is no such model."""
        self.finder = FaceFinder(str(predictor))
        self.network = dlib.face_recognition_model_v1(str(recognizer))
        self.chips = [self._chip(picture) for picture in pictures]
        self.descriptors = self._descriptors(pictures)

    def found(self, completed: np.ndarray) -> np.ndarray:
        """[N]: 1 where dlib's detector finds a face, else 0; not a number where it found none in the true picture."""
        return np.where([chip is None for chip in self.chips], np.nan, faces_found(completed))

    def distance(self, completed: np.ndarray) -> np.ndarray:
        """[N]: how far the faces' descriptors are apart, 0 for the same picture; not a number as in `found`."""
        return np.linalg.norm(self._descriptors(completed) - self.descriptors, axis=1)

    def _chip(self, picture: np.ndarray) -> dlib.chip_details | None:
        """Where in the picture, enlarged, the face is."""
        enlarged = _enlarged(picture)
        boxes = self.finder.detector(enlarged, 0)
        return dlib.get_face_chip_details(self.finder.predictor(enlarged, boxes[0]), CHIP, PADDING) if boxes else None

    def _descriptors(self, pictures: np.ndarray) -> np.ndarray:
        """[N, 128]: of the faces at the places where the true pictures have them."""
        found = np.full((len(pictures), 128), np.nan)
        for i, (picture, chip) in enumerate(zip(pictures, self.chips, strict=True)):
            if chip:
                found[i] = self.network.compute_face_descriptor(dlib.extract_image_chip(_enlarged(picture), chip))
        return found


def faces_found(pictures: np.ndarray) -> np.ndarray:
    """[N]: whether dlib's detector finds a face in each of uint8 [N, H, W, C]."""
    detector = dlib.get_frontal_face_detector()
    return np.array([bool(detector(_enlarged(picture), 0)) for picture in pictures])


def descriptors(
    recognizer: Path, pictures: np.ndarray, progress: Callable[[int], None] = lambda done: None
) -> np.ndarray:
    """[N, 128]: what dlib's face recognition model sees in aligned faces uint8 [N, H, W, C], each taken whole.

    No detector is asked, so that what is hardly a face counts as well. `progress` is told how many are done.
    RuntimeError if the file is no such model.
    """
    network = dlib.face_recognition_model_v1(str(recognizer))
    found = np.empty((len(pictures), 128))
    for i, picture in enumerate(pictures):
        whole = cv2.resize(_colour(picture), (CHIP, CHIP), interpolation=cv2.INTER_CUBIC)
        found[i] = network.compute_face_descriptor(whole)
        progress(i + 1)
    return found


def _enlarged(picture: np.ndarray) -> np.ndarray:
    """uint8 [H, W, C] as dlib takes it: colour, large, and with its edge continued around it."""
    large = cv2.resize(_colour(picture), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return cv2.copyMakeBorder(large, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REPLICATE)


def _colour(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if picture.shape[2] == 1 else picture
