"""Pictures with holes: their parts, what is shown of them, and how they are filled."""

import numpy as np
import pytest

from images.incomplete import HIDDEN, Face, Incomplete

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
MASK = np.eye(16, dtype=bool)
IDS = (Face(7), Face(3), Face(3, 1))


def test_one_mask_for_all_or_one_each():
    masks = np.stack([MASK, ~MASK, MASK[::-1]])
    for given, expected in ((MASK, np.stack([MASK] * 3)), (masks, masks), (masks.astype(np.float32), masks)):
        incomplete = Incomplete(PICTURES, given)
        assert incomplete.masks.dtype == bool
        np.testing.assert_array_equal(incomplete.masks, expected)


def test_ids_count_from_0_by_default():
    assert len(Incomplete(PICTURES, MASK)) == 3
    assert Incomplete(PICTURES, MASK).ids == (Face(0), Face(1), Face(2))
    assert Incomplete(PICTURES, MASK, ids=IDS).ids == IDS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pictures": PICTURES / 255}, r"float64 \(3, 16, 16, 3\), not uint8"),
        ({"pictures": PICTURES[0]}, r"uint8 \(16, 16, 3\), not uint8 \[N, H, W, C\]"),
        ({"masks": MASK[:8]}, "broadcast"),
        ({"masks": np.stack([MASK] * 2)}, "broadcast"),
        ({"lowres": 5}, r"lowres 5 does not divide the pictures' \(16, 16\)"),
        ({"ids": IDS[:2]}, "2 ids for 3 pictures"),
    ],
)
def test_parts_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        Incomplete(**{"pictures": PICTURES, "masks": MASK, **changes})


def test_a_slice_keeps_each_pictures_mask_and_id():
    masks = np.stack([MASK, ~MASK, MASK[::-1]])
    part = Incomplete(PICTURES, masks, 4, IDS)[1:]
    np.testing.assert_array_equal(part.pictures, PICTURES[1:])
    np.testing.assert_array_equal(part.masks, masks[1:])
    assert (part.lowres, part.ids) == (4, IDS[1:])
    assert Incomplete(PICTURES, MASK)[2:3].ids == (Face(2),)
    assert len(Incomplete(PICTURES, MASK)[3:]) == 0


def test_known_pixels_are_shown_on_grey():
    shown = Incomplete(PICTURES, MASK).shown()
    np.testing.assert_array_equal(shown[:, MASK], PICTURES[:, MASK])
    assert (shown[:, ~MASK] == HIDDEN).all() and HIDDEN == 128


def test_of_lowres_the_means_of_blocks_are_shown():
    means = Incomplete(PICTURES, MASK, lowres=8).shown()
    assert means.shape == PICTURES.shape and means.dtype == np.uint8
    assert (means[1, :8, 8:] == means[1, 0, 8]).all()
    np.testing.assert_allclose(means[1, 0, 8], PICTURES[1, :8, 8:].mean((0, 1)), atol=0.5)


def test_means_of_blocks_by_hand():
    picture = np.zeros((1, 4, 6, 1), np.uint8)
    picture[0, :, :, 0] = [[1, 3, 0, 0, 9, 9], [5, 7, 0, 2, 9, 9], [0, 0, 255, 255, 1, 2], [0, 1, 255, 255, 2, 2]]
    expected = [[4, 4, 0, 0, 9, 9]] * 2 + [[0, 0, 255, 255, 2, 2]] * 2  # of 4, 0.5, 9, 0.25, 255, 1.75
    np.testing.assert_array_equal(Incomplete(picture, np.zeros((4, 6)), lowres=2).shown()[0, :, :, 0], expected)


def test_filled_keeps_what_is_known():
    generated = PICTURES[::-1].copy()
    filled = Incomplete(PICTURES, MASK).filled(generated)
    assert filled.dtype == np.uint8
    np.testing.assert_array_equal(filled[:, MASK], PICTURES[:, MASK])
    np.testing.assert_array_equal(filled[:, ~MASK], generated[:, ~MASK])


def test_tries_repeat_the_pictures():
    whole = Incomplete(PICTURES, MASK, ids=IDS)
    tried = whole.tried([0, 2])
    assert tried.ids == (*IDS, Face(7, 0, 2), Face(3, 0, 2), Face(3, 1, 2))
    np.testing.assert_array_equal(tried.pictures, np.concatenate([PICTURES, PICTURES]))
    np.testing.assert_array_equal(tried.masks, np.concatenate([whole.masks, whole.masks]))


def test_hidden_pixels_are_guessed_from_their_mirror_images():
    """In rows of 6 pixels: where the mirror image is hidden, too, or a guess is not wanted, there is none."""
    pictures = np.arange(12, dtype=np.uint8).reshape(1, 2, 6, 1)
    hidden, wanted = np.array([[0, 0, 1, 1, 0, 1], [1, 0, 0, 0, 0, 0]]), np.array([[1] * 6, [0] * 6])
    incomplete = Incomplete(pictures, hidden == 0)
    guess = incomplete.mirrored(wanted == 1)
    np.testing.assert_array_equal(guess.guessed[0], np.array([[0, 0, 0, 0, 0, 1], [0] * 6]) == 1)
    np.testing.assert_array_equal(guess.pictures.ravel(), [0, 1, 2, 3, 4, 0, *range(6, 12)])
    both = Incomplete.joined([incomplete, guess])
    assert both.guessed.sum() == both[1:].guessed.sum() == 1 and not both[:1].guessed.any()
