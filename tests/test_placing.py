"""The network that moves damaged faces into place, against Keras, hand-made views, and a face it has not learned."""

import sys

import dlib
import numpy as np
import pytest
import train_placing
from conftest import ROOT

from completion.placing import PlacingNetwork
from faces import placing
from faces.detector import FaceFinder, face_transform, predictor_path
from faces.finding import LANDMARKS, LIKELY, _visible, box_of, by_box
from faces.frame import Frame, inverse
from faces.together import together
from images.decoding import read_picture
from images.files import save_picture
from images.photo import Photo
from kernels.tensorflow import keras

PIXELS = read_picture(ROOT / "data" / "demo" / "raw" / "astronaut.png")
PHOTO = Photo(PIXELS, np.ones(PIXELS.shape[:2], bool))


def placed(photo, guess, weights=placing.WEIGHTS):
    (found,) = together([placing.placed(photo, guess, PlacingNetwork(weights))])
    return found.result()


@pytest.fixture(scope="module")
def face():
    """dlib's box of the demonstration photo's face, and align.py's frame of it."""
    finder = FaceFinder(str(predictor_path(None)))
    box, *_ = finder.faces(PIXELS)  # the badge is smaller
    return box, Frame(face_transform(finder.landmarks(PIXELS, box), LANDMARKS, 64), 64)


def test_the_network_answers_as_in_keras(tmp_path):
    keras.utils.set_random_seed(0)
    net, rng = train_placing.network(), np.random.default_rng(0)
    for variable in net.variables:
        variable.assign(variable + rng.uniform(0, 0.1, variable.shape))
    np.savez(tmp_path / "new.npz", *train_placing.folded(net))
    x = rng.uniform(-1, 1, (3, 64, 64, 4)).astype(np.float32)
    (found,) = PlacingNetwork(tmp_path / "new.npz")([x])
    np.testing.assert_allclose(found, net(x), rtol=0.01, atol=0.01)


def test_an_answer_does_not_depend_on_the_other_views():
    x = np.random.default_rng(0).uniform(-1, 1, (300, 64, 64, 4)).astype(np.float32)
    network = PlacingNetwork()
    (of_all,) = network([x])
    for first, count in ((0, 5), (5, 1), (6, 2), (8, 40), (48, 17), (250, 50)):
        found, _ = network([x[first : first + count], x[:3]])
        np.testing.assert_array_equal(found, of_all[first : first + count])


def test_a_view_is_one_and_a_half_frames_wide():
    """Of a photo that becomes brighter to the right: the middle of the view is that of the frame, 32 pixels wide."""
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (200, 200, 3))
    known = np.ones((200, 200), bool)
    known[:, 100:] = False
    x = placing.view(Photo(ramp, known), Frame(np.array([[1.0, 0, -60], [0, 1, -60]]), 32))
    seen = x[..., 3] > 0
    places = 60 + 15.5 + (np.arange(64) - 31.5) * 1.5 * 32 / 64
    assert (seen == (places <= 99)[None]).all()
    np.testing.assert_allclose((x[32, seen[32], :3] + 1) * 127.5, np.tile(places[seen[32], None], 3), atol=0.51)
    assert not x[~seen].any()


@pytest.mark.slow
def test_a_wrong_guess_is_put_right(face):
    box, true = face
    assert by_box(box, 64).displacement(true) < 8
    rng = np.random.default_rng(0)
    for _ in range(5):
        guess = true.moved(train_placing.disturbance(rng))
        found, _ = placed(PHOTO, guess)
        assert found.displacement(true) < 2
        _, score = placed(PHOTO, guess, placing.SCOUT)
        assert score > LIKELY


@pytest.mark.parametrize("box", [(126, 335, 215, 425), (273, 337, 325, 389), (342, 187, 450, 295)])
def test_what_is_no_face_scores_low(box):
    """Two badges, one of which dlib takes for a face, and what is behind."""
    _, score = placed(PHOTO, by_box(dlib.rectangle(*box), 64), placing.SCOUT)
    assert score < LIKELY


@pytest.mark.parametrize("size", [64, 128])
def test_neither_the_frame_nor_what_is_far_away_matters(size, face):
    box, _ = face
    found, _ = placed(PHOTO, by_box(box, size))
    assert placed(PHOTO[:300, :400], by_box(box, size))[0].displacement(found) < 0.1
    of_64 = Frame(found.transform * 64 / size, 64)
    assert of_64.displacement(placed(PHOTO, by_box(box, 64))[0]) < 0.6


def test_a_face_of_which_nothing_is_known_stays_a_guess(face):
    box, _ = face
    beyond = Frame(np.array([[1.0, 0, -900], [0, 1, 900]]), 64)
    for guess, value in ((beyond, True), (by_box(box, 64), False)):
        found, score = placed(Photo(PIXELS, np.full(PHOTO.shape, value)), guess, placing.SCOUT)
        np.testing.assert_allclose(found.transform, guess.transform, atol=1e-9)
        assert score == 0


def test_place_and_score_are_the_means_of_all_starts(monkeypatch):
    """Found at 0, 1, 2, 3 and 4 pixels to the right of the frame."""
    answers = np.zeros((5, 7))
    answers[:, 6] = 1, 2, 3, 4, 10
    monkeypatch.setattr(placing, "STARTS", [np.array([[1, 0, x / 32], [0, 1, 0]]) for x in range(5)])
    searched = placing.placed(PHOTO, Frame(np.eye(2, 3), 32), lambda views: [answers for _ in views])
    (result,) = together([searched])
    found, score = result.result()
    np.testing.assert_allclose(found.transform, [[1, 0, 2], [0, 1, 0]])
    assert score == pytest.approx(4)


def test_a_scan_finds_two_faces_at_a_hole_and_none_elsewhere():
    """A network that takes bright squares for faces if they fill the frame and the margin around it is dark."""
    pixels, known = np.zeros((200, 300, 3), np.uint8), np.ones((200, 300), bool)
    squares = [(20, 30, 60), (130, 90, 90), (230, 20, 60)]  # left, top, side
    for left, top, side in squares:
        pixels[top : top + side, left : left + side] = 255
    known[100:130, 30:170] = known[60:100, 30:50] = False

    def scores(views):
        bright = (views[..., 0] + 1) / 2 * views[..., 3]
        inside = bright[:, 11:53, 11:53].sum(axis=(1, 2))
        outside = bright.sum(axis=(1, 2)) - inside
        return np.column_stack([np.zeros((len(views), 6)), inside / 42**2 - outside / (64**2 - 42**2) - 0.3])

    (result,) = together([placing.scan(Photo(pixels, known), 64, lambda views: [*map(scores, views)])])
    seen = set()
    for frame in result.result():
        x, y = frame.back @ (31.5, 31.5, 1)
        seen.add(
            min(squares, key=lambda square: np.hypot(square[0] + square[2] / 2 - x, square[1] + square[2] / 2 - y))
        )
    assert seen == set(squares[:2])


@pytest.mark.parametrize(("shape", "rows"), [((501, 501), slice(500, 501)), ((1, 300), slice(1))])
def test_a_scan_without_guesses_finds_none(shape, rows):
    """The hole lies where the shrunk photo is cut off, or the photo is tiny."""
    known = np.ones(shape, bool)
    known[rows] = False
    asked: list = []
    (result,) = together([placing.scan(Photo(np.zeros((*shape, 3), np.uint8), known), 64, asked.extend)])
    assert result.result() == asked == []


def test_a_box_of_what_a_box_makes():
    box = dlib.rectangle(175, 76, 265, 166)
    again = box_of(by_box(box, 64))
    corners = ((each.left(), each.top(), each.right(), each.bottom()) for each in (again, box))
    np.testing.assert_allclose(*corners, atol=2)


def test_landmarks_are_visible_away_from_holes_and_edges():
    known = np.ones((20, 30), bool)
    known[:, 20:] = False
    points = {(10, 10): True, (17, 10): True, (18, 10): False, (25, 10): False, (2, 10): True, (1, 10): False}
    points |= {(10, 17): True, (10, 18): False, (-3, 10): False, (10, 40): False}
    assert _visible(np.array([*points]), known, reach=2).tolist() == [*points.values()]


@pytest.mark.parametrize(("corner", "side"), [((100, 60), 40), ((0, 0), 40), ((-30, 250), 40), ((40, 40), 200)])
def test_a_close_up_shows_what_is_around(corner, side):
    """Of a photo whose red and green say where a pixel is."""
    rows, columns = np.indices((300, 250))
    photo = np.dstack([columns, rows % 256, rows // 256]).astype(np.uint8)
    (x, y), frame = corner, 64
    transform = np.array([[frame / side, 0, -x * frame / side], [0, frame / side, -y * frame / side]])
    near, closer = Frame(transform, frame).close_up(Photo(photo, np.ones((300, 250), bool)), pixels=50)
    assert near.pixels.shape[:2] == near.shape and near.intact
    assert near.shape[1] * side // 50 <= 3 * side + 6 if side > 50 else near.shape[1] <= 3 * side + 6
    i, j = (n // 2 for n in near.shape)
    place = inverse(closer) @ (j, i, 1)
    np.testing.assert_allclose(near.pixels[i, j, 0], place[0], atol=1)
    np.testing.assert_allclose(near.pixels[i, j, 1] + 256.0 * near.pixels[i, j, 2], place[1], atol=1)


def test_it_learns_the_guesses_elsewhere_that_look_most_like_faces(monkeypatch):
    """Of eight guesses in a photo with two faces: two at the first one, one at the second, and five far away."""
    faces = [Frame(np.array([[1.0, 0, -x], [0, 1, -50]]), 64) for x in (50, 250)]
    guesses = [Frame(np.array([[1.0, 0, -x], [0, 1, -50]]), 64) for x in (45, 55, 245, 100, 120, 140, 160, 180)]
    batch = train_placing.batch_of([train_placing.Example(PHOTO, faces, guess) for guess in guesses])
    moves = [64 * (np.array([0.5, 0.5, 1]) @ right.T - 0.5)[0] for right in batch.right]
    np.testing.assert_allclose(moves, [-5, 5, -5, 50, 70, 90, -90, -70], atol=0.01)
    monkeypatch.setattr(train_placing, "PHOTOS", 1)
    answers = np.zeros((8, 7))
    answers[:, 6] = -9, -9, 9, 1, 5, 2, 4, 3
    kept = train_placing.hardest(batch, answers)
    assert [next(i for i in range(8) if guesses[i] is each.guess) for each in kept.examples] == [0, 1, 2, 4]
    np.testing.assert_array_equal(kept.x, batch.x[[0, 1, 2, 4]])


def test_it_is_trained_on_a_folder_and_its_table(tmp_path, monkeypatch, capsys, face):
    _, true = face
    (tmp_path / "raw").mkdir()
    save_picture(tmp_path / "raw" / "a.png", PIXELS)
    save_picture(tmp_path / "a.png", PIXELS[:64, :64])
    numbers = ",".join(map(repr, true.transform.ravel().tolist()))
    (tmp_path / "alignment.csv").write_text(
        f"source,output,status,a,b,tx,c,d,ty,width,height,size,faces\na.png,a.png,aligned,{numbers},512,512,64,1\n"
    )
    monkeypatch.setattr(train_placing, "PHOTOS", 1)
    arguments = [tmp_path / "raw", tmp_path / "alignment.csv", "--steps", 2, "--out", tmp_path / "new.npz"]
    monkeypatch.setattr(sys, "argv", ["train_placing.py", *map(str, arguments)])
    train_placing.main()
    assert "2: " in capsys.readouterr().out
    shapes = [[array.shape for array in np.load(path).values()] for path in (tmp_path / "new.npz", placing.SCOUT)]
    assert shapes[0] == shapes[1]
