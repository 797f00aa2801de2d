"""Faces in photos: the map into OpenFace's frame and back, by hand-made cases."""

import dlib
import numpy as np
import pytest
from conftest import ROOT
from cv2 import BORDER_REPLICATE
from PIL import Image

from faces.detector import TEMPLATES, FaceFinder, face_fills, face_transform, look, predictor_path
from faces.frame import inverse, warp, warp_known
from images.decoding import read_picture

KINDS = list(TEMPLATES)


def landmarks_at(kind, places):
    """[68, 2], of which only the three that count are not at 0."""
    landmarks = np.zeros((68, 2))
    landmarks[list(TEMPLATES[kind])] = places
    return landmarks


def moved(transform, points):
    """[N, 2] points under an affine map [2, 3]."""
    return points @ transform[:, :2].T + transform[:, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_transform_of_a_shifted_and_scaled_mean_face(kind):
    """Landmarks that are the template times 200, moved by (30, 50): the map back to 64 pixels is known."""
    landmarks = landmarks_at(kind, 200 * np.array(list(TEMPLATES[kind].values())) + (30, 50))
    found = face_transform(landmarks, kind, 64)
    scale = 64 / 200
    np.testing.assert_allclose(found, [[scale, 0, -30 * scale], [0, scale, -50 * scale]], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_transform_of_any_three_landmarks_moves_them_onto_the_mean_face(kind):
    places = np.array([[310.0, 95.0], [380.0, 120.0], [330.0, 190.0]])  # a head that is tilted and turned
    found = face_transform(landmarks_at(kind, places), kind, 96)
    np.testing.assert_allclose(moved(found, places), 96 * np.array(list(TEMPLATES[kind].values())), atol=1e-3)


def test_template_is_openfaces():
    """OpenFace's mean face (TEMPLATE) ranges over x 0.0792397..0.9711933 and y 0.182361..1.0608037."""
    template = {
        36: (0.252418718401, 0.331052263829),
        39: (0.403718978315, 0.33867711083),
        42: (0.631326076346, 0.334136672344),
        45: (0.782865376271, 0.321305281656),
        33: (0.520712933176, 0.634268222208),
        57: (0.525398405766, 0.841706377792),
    }
    low, high = np.array([0.0792396913815, 0.182360984545]), np.array([0.971193274221, 1.06080371126])
    for kind in TEMPLATES.values():
        for index, place in kind.items():
            np.testing.assert_allclose(place, (np.array(template[index]) - low) / (high - low), atol=1e-7)


def test_inverse_undoes_a_transform():
    transform = np.array([[0.6, -0.2, 30.0], [0.1, 0.8, -12.0]])
    points = np.random.default_rng(0).uniform(-100, 500, (20, 2))
    np.testing.assert_allclose(moved(inverse(transform), moved(transform, points)), points)
    np.testing.assert_allclose(moved(transform, moved(inverse(transform), points)), points)


def test_inverse_by_hand():
    """Half the size, then 3 to the right and 5 down; back is twice as large, 6 to the left and 10 up."""
    np.testing.assert_allclose(inverse(np.array([[0.5, 0, 3], [0, 0.5, 5]])), [[2, 0, -6], [0, 2, -10]])


@pytest.mark.parametrize("edge", [False, True])
def test_warp_moves_pixels_and_leaves_black_or_repeats_the_edge(edge):
    photo = np.random.default_rng(0).integers(1, 256, (5, 7, 3), np.uint8)
    down_right = np.array([[1.0, 0, 2], [0, 1.0, 1]])  # 2 to the right, 1 down
    moved_photo = warp(photo, down_right, 8, 4, BORDER_REPLICATE) if edge else warp(photo, down_right, 8, 4)
    pads = (1, 0), (2, 0), (0, 0)
    expected = np.pad(photo[:3, :6], pads, "edge") if edge else np.pad(photo[:3, :6], pads)
    np.testing.assert_array_equal(moved_photo, expected)


def test_warp_interpolates():
    photo = np.arange(0, 80, 10, dtype=np.uint8).reshape(2, 4, 1).repeat(3, axis=2)
    halfway = warp(photo, np.array([[1.0, 0, -0.5], [0, 1.0, 0]]), 3, 2)
    np.testing.assert_array_equal(halfway[..., 0], [[5, 15, 25], [45, 55, 65]])


def test_a_face_pasted_back_lies_where_it_was():
    """Into the frame and back, a smooth photo is as it was where the frame covers it."""
    y, x = np.mgrid[:120, :150]
    photo = (np.stack([x, y, x + y], axis=2) // 2 + 40).astype(np.uint8)
    transform = np.array([[0.5, 0.05, -20.0], [-0.05, 0.5, -10.0]])
    back = warp(warp(photo, transform, 32, 32), inverse(transform), 150, 120)
    inside = warp_known(np.ones((32, 32), bool), inverse(transform), 150, 120)
    assert inside.sum() == pytest.approx(31 * 31 / np.linalg.det(transform[:, :2]), rel=0.05)
    assert abs(back.astype(int) - photo)[inside].max() <= 2


def test_the_detector_is_dlibs():
    """The file in faces/ gives the boxes and scores of the detector that is packed in dlib."""
    photo = read_picture(ROOT / "data" / "demo" / "raw" / "astronaut.png")
    for doublings, least in ((0, 0), (1, -1)):
        boxes, scores, _ = dlib.get_frontal_face_detector().run(photo, doublings, least)
        assert scores and look(photo, doublings, least) == list(zip(boxes, scores, strict=True))


def test_the_largest_of_several_faces_comes_first():
    photo = read_picture(ROOT / "data" / "demo" / "raw" / "astronaut.png")[0:220, 140:340]
    pair = np.concatenate([photo[::2, ::2], np.zeros((110, 100, 3), np.uint8)])
    pair = np.concatenate([pair, photo], axis=1)
    finder = FaceFinder(str(predictor_path(None)))
    large, small = finder.faces(np.ascontiguousarray(pair))
    assert large.width() > 1.5 * small.width() and small.right() < 100 < large.left()
    landmarks = finder.landmarks(pair, large)
    assert landmarks.shape == (68, 2)
    assert (landmarks[[39, 42, 57], 0] > 100).all() and landmarks[39, 0] < landmarks[42, 0]


def test_whether_a_face_fills_the_central_square(request):
    photo = np.asarray(Image.open(request.config.rootpath / "data" / "demo" / "raw" / "astronaut.png").convert("RGB"))
    assert face_fills(photo) is False
    face = photo[50:170, 165:285]
    assert face_fills(face) is True
    assert face_fills(np.asarray(Image.fromarray(face).resize((1200, 1200)))) is True
    aside = np.pad(face, ((0, 0), (0, 240), (0, 0)), mode="reflect")[:, 60:]  # a wide photo, cut in its middle
    assert face_fills(aside) is not True
    assert face_fills(np.random.default_rng(0).integers(0, 256, (120, 120, 3), np.uint8)) is None
