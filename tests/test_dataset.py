"""Training pictures: kept or decoded anew, those that cannot be read, and the memory they may take."""

from threading import Semaphore

import numpy as np
import pytest
from conftest import blobs, write_pictures
from PIL import Image

from images import dataset
from images.dataset import Dataset, one_ahead
from utils import UserError


@pytest.mark.parametrize("memory", [0, 1e9])
def test_pictures_come_as_from_an_array(tmp_path, memory, capsys):
    pictures = blobs(9, 16)
    data = Dataset(write_pictures(tmp_path, pictures), 16, 3, memory)
    assert (len(data), data.shape, data.dtype) == (9, pictures.shape, pictures.dtype)
    for places in ([3], [8, 0, 8], np.random.default_rng(0).permutation(9)):
        np.testing.assert_array_equal(data[places], pictures[places])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("memory", "decoded"), [(0, 6), (2 * 16 * 16 * 3 - 1, 6), (2 * 16 * 16 * 3, 2)])
def test_what_fits_into_memory_is_decoded_once(tmp_path, monkeypatch, memory, decoded):
    calls = []
    load = dataset.load_picture
    monkeypatch.setattr(dataset, "load_picture", lambda *args: calls.append(args) or load(*args))
    data = Dataset(write_pictures(tmp_path, blobs(2, 16)), 16, 3, memory)
    for _ in range(3):
        data[[0, 1]]
    assert len(calls) == decoded


@pytest.mark.parametrize("memory", [0, 1e9])
def test_the_next_picture_stands_in_for_one_that_cannot_be_read(tmp_path, memory, capsys):
    pictures = blobs(5, 16)
    paths = write_pictures(tmp_path, pictures)
    for bad in (1, 2, 4):
        paths[bad].write_bytes(paths[bad].read_bytes()[:60])
    data = Dataset(paths, 16, 3, memory)
    for _ in range(2):
        np.testing.assert_array_equal(data[range(5)], pictures[[0, 3, 3, 3, 0]])
    assert data.left_out == 3
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split(": ")[1] for line in lines) == [f"cannot read the picture {paths[i]}" for i in (1, 2, 4)]


def test_none_can_be_read(tmp_path):
    paths = write_pictures(tmp_path, blobs(3, 16))
    for path in paths:
        path.write_text("no picture")
    with pytest.raises(UserError, match="none of the 3 pictures"):
        Dataset(paths, 16, 3, 1e9)[[1]]


def test_that_pictures_are_fitted_is_said_once(tmp_path, capsys):
    paths = write_pictures(tmp_path, blobs(4, 24))
    data = Dataset(paths, 8, 1, 0)
    assert data[range(4)].shape == (4, 8, 8, 1)
    assert capsys.readouterr().out.count("cropped") == 1


@pytest.mark.parametrize(("c_dim", "memory"), [(3, 0), (3, 1e9), (1, 1e9)])
def test_transparent_pictures_are_composed_over_gray(tmp_path, capsys, c_dim, memory):
    """Whatever lies under the eraser, in color and gray; opaque pictures with alpha stay as they are."""
    alpha = np.full((8, 8), 255, np.uint8)
    alpha[:4], alpha[7] = 0, 51
    black = np.zeros((8, 8, 3), np.uint8)
    black[5:] = 200
    pictures = [np.dstack([np.where((alpha > 0)[..., None], black, np.uint8(under)), alpha]) for under in (0, 255)]
    pictures += [np.dstack([black[..., 0], alpha]), np.dstack([black, np.full_like(alpha, 255)])]
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    data = Dataset(paths, 8, c_dim, memory)
    expected = black.copy()
    expected[:4], expected[7] = 128, round(0.2 * 200 + 0.8 * 128)
    for _ in range(2):
        found = data[range(4)]
        assert found.shape == (4, 8, 8, c_dim)
        assert abs(found[:3].astype(int) - expected[..., :c_dim]).max() <= 1
        np.testing.assert_array_equal(found[3], black[..., :c_dim])
    assert data.transparent.tolist() == [True, True, True, False]
    assert capsys.readouterr().out.count("is partly transparent: such pictures are composed over gray") == 1


def test_one_ahead_computes_the_next_while_one_is_in_use():
    events = []
    computed = Semaphore(0)

    def square(n):
        events.append(f"computed {n}")
        computed.release()
        return n * n

    for value in one_ahead(square, [1, 2, 3]):
        if value < 9:
            assert computed.acquire(timeout=10) and computed.acquire(timeout=10)  # this one and the next
            computed.release()
        events.append(f"used {value}")
    assert events == ["computed 1", "computed 2", "used 1", "computed 3", "used 4", "used 9"]
    assert list(one_ahead(square, [])) == []


def test_one_ahead_raises_where_the_value_is_asked_for():
    values = one_ahead(lambda n: 1 // n, [1, 0])
    assert next(values) == 1
    with pytest.raises(ZeroDivisionError):
        next(values)
