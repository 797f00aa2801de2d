"""Many pictures in one."""

import numpy as np

from images import sheets


def test_grid():
    pictures = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 1), np.uint8)
    sheet = sheets.grid(pictures)
    assert sheet.shape == (4, 24, 1)
    assert (sheet[:2, 21:] == 7).all() and (sheet[2:, 3:6] == 9).all() and (sheet[2:, 6:] == 0).all()
    assert sheets.grid(pictures[:2]).shape == (2, 6, 1)


def test_framed_pictures_are_enlarged_and_apart():
    pictures = np.array([10, 20, 30, 40], np.uint8)[:, None, None, None].repeat(64, 1).repeat(64, 2)
    frame = sheets.framed(pictures, columns=2)
    assert frame.shape == (2 * 132 + 4, 2 * 132 + 4, 1)
    for row, column, value in ((0, 0, 10), (0, 1, 20), (1, 0, 30), (1, 1, 40)):
        top, left = 4 + 132 * row, 4 + 132 * column
        assert (frame[top : top + 128, left : left + 128] == value).all()
    assert (frame[132:136] == 255).all() and (frame[:, 132:136] == 255).all()
    assert sheets.framed(np.zeros((2, 256, 256, 3), np.uint8)).shape == (264, 524, 3)


def test_photos_of_different_sizes_become_squares_that_the_largest_fits_in():
    photos = [np.zeros((40, 50, 3), np.uint8), np.zeros((3000, 2000, 3), np.uint8), np.zeros((300, 200, 3), np.uint8)]
    small = [sheets.thumbnail(photo) for photo in photos]
    assert [photo.shape for photo in small] == [(40, 50, 3), (512, 341, 3), (300, 200, 3)]
    squares = sheets.on_white(small)
    assert squares.shape == (3, 512, 512, 3)
    assert (squares[0, 236:276, 231:281] == 0).all() and (squares == 0).sum() == sum(photo.size for photo in small)
    assert sheets.on_white(small[:1]).shape == (1, 50, 50, 3)
