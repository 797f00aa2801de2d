"""dlib's opinion of completed faces: the demonstration photo's own, blurred, lost, and another's."""

import cv2
import numpy as np
import pytest
from conftest import ROOT

from faces.detector import predictor_path
from faces.identity import FaceJudge
from images.decoding import read_picture
from jobs.evaluate.aligned import RECOGNIZER

PREDICTOR = predictor_path(None)
SAME = 0.6  # dlib: below this distance two descriptors are of the same person


@pytest.fixture(scope="module")
def other():
    """A face of the bundled model's samples."""
    return read_picture(ROOT / "checkpoints" / "pretrained" / "samples.png")[:64, :64]


@pytest.mark.slow
def test_the_nearer_a_face_is_the_smaller_its_distance(demo_face, other):
    judge = FaceJudge(PREDICTOR, PREDICTOR.with_name(RECOGNIZER), np.stack([demo_face] * 4))
    blurred = cv2.GaussianBlur(demo_face, (0, 0), 1.5)
    lost = np.full_like(demo_face, 128)
    distance = judge.distance(np.stack([demo_face, blurred, other, lost]))
    assert distance[0] == 0 < distance[1] < SAME < distance[2]
    assert judge.found(np.stack([demo_face, blurred, other, lost])).tolist() == [1, 1, 1, 0]


def test_where_there_is_no_face_nothing_is_measured(demo_face):
    blank = np.zeros_like(demo_face)
    judge = FaceJudge(PREDICTOR, PREDICTOR.with_name(RECOGNIZER), np.stack([blank, demo_face]))
    assert np.isnan(judge.distance(np.stack([demo_face, demo_face]))).tolist() == [True, False]
    assert np.isnan(judge.found(np.stack([demo_face, demo_face]))).tolist() == [True, False]


def test_grey_faces(demo_face):
    grey = cv2.cvtColor(demo_face, cv2.COLOR_RGB2GRAY)[None, ..., None]
    judge = FaceJudge(PREDICTOR, PREDICTOR.with_name(RECOGNIZER), grey)
    assert judge.found(grey) == 1 and judge.distance(grey) == 0
