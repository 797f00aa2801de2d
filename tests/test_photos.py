"""Faces of a photo into the model's frame and back: by hand-made cases, and against the blending of small pictures."""

import tracemalloc

import numpy as np
import pytest
from conftest import ROOT

from faces.compositing import Compositor, faces_in, regions
from faces.frame import Frame, around, inverse, warp, warp_known
from images.blending import blend
from images.decoding import read_picture
from images.incomplete import Incomplete
from images.photo import Photo
from images.spline import Spline

PHOTO = read_picture(ROOT / "data" / "demo" / "raw" / "astronaut.png")[:200, 120:320]
NO_FACES = np.zeros((0, 64, 64, 3), np.uint8)
TILTED = Frame(np.array([[0.65, 0.05, -41.0], [-0.06, 0.7, -56.0]]), 64)


def frame(transform, size=64):
    return Frame(np.array(transform), size)


def with_hole(*parts):
    known = np.ones(PHOTO.shape[:2], bool)
    for part in parts:
        known[part] = False
    return known


@pytest.mark.parametrize("hole", [np.s_[40:60, 30:70], np.s_[20:140, 30:150], np.s_[:, :90], np.s_[::3, 1::2]])
def test_the_spline_is_that_of_small_pictures(hole):
    """Solved on every pixel by images/blending.py; here the middle of a hole has fewer unknowns."""
    known = with_hole(hole)
    exact = blend(np.zeros_like(PHOTO)[None], Incomplete(PHOTO[None], known))[0][~known].astype(float)
    found = Spline(known)(PHOTO).clip(0, 255)
    assert abs(found - exact).max() < 2 and abs(found - exact).mean() < 0.3  # rounding alone is 0.25


def test_the_spline_reads_no_hidden_value():
    known = with_hole(np.s_[50:120, 60:90])
    values = [np.where(known[..., None], PHOTO, value).astype(np.uint8) for value in (0, 255)]
    np.testing.assert_array_equal(*(Spline(known)(value) for value in values))


def test_faces_come_into_the_frame_as_align_py_brings_them():
    known = with_hole(np.s_[100:120, 80:110])
    shifted = TILTED.transform + np.array([[0, 0, -40], [0, 0, -30]])  # beyond the photo's edge
    incomplete = faces_in(Photo(PHOTO, known), [TILTED, frame(shifted)])
    for i, transform in enumerate((TILTED.transform, shifted)):
        np.testing.assert_array_equal(incomplete.pictures[i], warp(PHOTO, transform, 64, 64))
        np.testing.assert_array_equal(incomplete.masks[i], warp_known(known, transform, 64, 64))
    assert not incomplete.masks[1][-1].any()


def test_a_large_face_comes_into_the_frame_as_means():
    """A photo three times as large as the frame: a pixel is the mean of 3 x 3, known if all are."""
    photo, known = PHOTO[:192, :192], np.ones((192, 192), bool)
    known[31, 65] = False
    incomplete = faces_in(Photo(photo, known), [frame([[1 / 3, 0, -1 / 3], [0, 1 / 3, -1 / 3]])])
    means = photo.reshape(64, 3, 64, 3, 3).mean(axis=(1, 3))
    assert abs(incomplete.pictures[0] - means).max() <= 1
    assert np.argwhere(~incomplete.masks[0]).tolist() == [[10, 21]]


def test_grey_faces():
    (face,) = faces_in(Photo(PHOTO, with_hole()), [TILTED], c_dim=1).pictures
    assert face.shape == (64, 64, 1)
    assert abs(face[..., 0] - warp(PHOTO, TILTED.transform, 64, 64) @ [0.299, 0.587, 0.114]).max() <= 0.51


def test_the_square_is_where_the_frame_comes_from():
    back = inverse(TILTED.transform)
    np.testing.assert_allclose(TILTED.corners()[1], back @ [63.5, -0.5, 1])
    inside = TILTED.covered((200, 200))
    assert inside.sum() == pytest.approx(64 * 64 / np.linalg.det(TILTED.transform[:, :2]), rel=0.05)
    assert inside[tuple((back @ [32, 32, 1]).astype(int)[::-1])]


def test_the_true_face_carried_back_closes_the_hole():
    known = with_hole(np.s_[100:140, 80:130])
    photo = Photo(PHOTO, known)
    faces = faces_in(photo, [TILTED]).pictures
    completed = Compositor(photo, [TILTED])(faces)
    np.testing.assert_array_equal(completed[known], PHOTO[known])
    error, without = (abs(x.astype(int) - PHOTO)[~known].mean() for x in (completed, Compositor(photo, [])(faces[:0])))
    assert error < 6 < 2 * without


def test_a_hole_without_a_face_is_filled_by_the_spline():
    known = with_hole(np.s_[10:40, 30:90], np.s_[150:170, 150:])
    completed = Compositor(Photo(PHOTO, known), [])(NO_FACES)
    exact = blend(np.zeros_like(PHOTO)[None], Incomplete(PHOTO[None], known))[0]
    np.testing.assert_allclose(completed, exact, atol=1)


def test_where_a_frame_ends_in_a_hole_there_is_no_edge():
    """A face that gets brighter up to x = 200, where its frame ends in the hole, and gray beyond: bit by bit."""
    photo = np.full((160, 300, 3), 90, np.uint8)
    photo[:, 72:200] = np.linspace(90, 200, 128)[:, None]
    known = np.ones((160, 300), bool)
    known[20:140, 100:280] = False
    face = np.broadcast_to(np.linspace(90, 200, 32)[:, None], (1, 32, 32, 3)).astype(np.uint8)
    of_face = [frame([[0.25, 0, -18.375], [0, 0.25, -4.375]], 32)]
    completed = Compositor(Photo(photo, known), of_face)(face).astype(int)
    steps = abs(np.diff(completed[80, :, 0]))
    assert completed[80, 100:200].max() > 140  # the face is there
    longer = Compositor(Photo(photo, known), of_face, fade=0.08)(face)
    assert longer[80, 100:200].max() > max(150, completed[80, :, 0].max() + 10)
    assert steps.max() <= 12  # of 110


@pytest.mark.parametrize("beyond", [0, 2])
def test_where_a_hole_ends_with_the_frame_the_face_is_bent_to_what_is_known_beyond(beyond):
    """A face that is right but for its brightness, in a hole that goes on above: elsewhere nothing of that is left.

    Its texture stays. Found faces are displaced by a pixel or two: so much the hole may go on beyond the frame.
    """
    photo = np.full((160, 160, 3), 90, np.uint8)
    photo[::2] += 20
    known = np.ones((160, 160), bool)
    known[40:130, 72 - beyond : 136 + beyond] = False  # the frame goes from 72 to 135, both ways
    face = photo[None, 72:136, 72:136] + np.uint8(40)
    completed = Compositor(Photo(photo, known), [frame([[1.0, 0, -72], [0, 1, -72]])])(face).astype(int)
    assert abs(completed - photo)[95:130, 72:136].mean() < 4  # without the face 10


def test_two_faces_share_a_hole_by_how_deep_in_their_frames_it_lies():
    """A face with stripes, and a plain one whose frame ends soon: there the stripes are nearly as strong as alone."""
    photo = np.full_like(PHOTO, 100)
    known = with_hole(np.s_[72:88, 80:110])
    striped, plain = (np.full((64, 64, 3), 100, np.uint8) for _ in range(2))
    striped[::4] += 80
    from_64, from_49 = (frame([[1.0, 0, -x], [0, 1, -48]]) for x in (64, 49))
    alone = Compositor(Photo(photo, known), [from_64])(striped[None])
    both = Compositor(Photo(photo, known), [from_64, from_49])(np.stack([striped, plain]))
    in_columns = np.s_[72:88, [81, 105], 0]
    ratio = both[in_columns].std(axis=0) / alone[in_columns].std(axis=0)
    np.testing.assert_allclose(ratio, [18 / (18 + 28), 23 / (23 + 8)], atol=0.08)


def test_a_face_beside_the_hole_has_no_say():
    photo = Photo(PHOTO, with_hole(np.s_[150:170, 20:60]))
    white, to_the_right = np.full((1, 60, 60, 3), 255, np.uint8), frame([[1.0, 0, -62], [0, 1, -140]], 60)
    beside = Compositor(photo, [to_the_right])(white)
    np.testing.assert_array_equal(beside, Compositor(photo, [])(NO_FACES))


def test_hidden_pixels_have_no_say():
    known = with_hole(np.s_[100:140, 80:130])
    results = []
    for value in (0, 255):
        photo = Photo(np.where(known[..., None], PHOTO, value).astype(np.uint8), known)
        incomplete = faces_in(photo, [TILTED])
        results.append(Compositor(photo, [TILTED])(incomplete.filled(np.full_like(incomplete.pictures, 99))))
    np.testing.assert_array_equal(*results)


def test_holes_far_apart_are_parts_of_their_own_and_filled_as_alone():
    first, second = np.s_[10:30, 10:40], np.s_[150:190, 120:180]
    known = with_hole(first)
    alone = Compositor(Photo(PHOTO, known), [])(NO_FACES)
    photo = Photo(PHOTO, known & with_hole(second))
    assert [hole.shape for _, hole in regions(photo)] == [(24, 34), (44, 64)]
    np.testing.assert_array_equal(Compositor(photo, [])(NO_FACES)[first], alone[first])


def peak(work):
    """Bytes that `work` allocates at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_follows_the_hole_and_not_the_photo():
    """A large photo is copied once; a large hole takes less than the equations of all its pixels would."""
    known = np.ones((4000, 4000), bool)
    known[2000:2040, 1000:1060] = False
    photo = Photo(np.zeros((4000, 4000, 3), np.uint8), known)
    large = frame([[0.02, 0, -10], [0, 0.02, -30]])
    Compositor(photo, [large])(np.zeros((1, 64, 64, 3), np.uint8))  # loads what it needs
    taken = peak(lambda: Compositor(photo, [large])(np.zeros((1, 64, 64, 3), np.uint8)))
    assert taken < 1.6 * photo.pixels.nbytes
    known = np.pad(np.zeros((600, 600), bool), 4, constant_values=True)
    assert peak(lambda: Spline(known)) < 400 * known.size


def test_the_part_around_faces():
    """Frames of 64 pixels' side at (x, y) = (20, 30) and (100, 110), with margins of a quarter, within the photo."""
    frames = [frame([[1.0, 0, -x], [0, 1, -y]]) for x, y in ((20, 30), (100, 110))]
    rows, columns = around(frames, (180, 300))
    edges = rows.start, rows.stop, columns.start, columns.stop
    np.testing.assert_allclose(edges, [14, 180, 4, 180], atol=1)
