"""One photo, mask and seed give the same pixels by complete.py, by the page and by the evaluation."""

import shutil
from collections import Counter

import numpy as np
import pytest
from conftest import ROOT, assert_works, lively, run_script
from PIL import Image

from completion import photo_reader
from completion.given_masks import GivenMasks
from completion.options import PhotoOptions
from completion.photos import PhotoCompleter
from dcgan.options import PRESETS
from images.decoding import read_picture
from images.mask_options import MaskOptions
from jobs.evaluate.whole_photos import Damaged, DamagedPhotos
from jobs.paint.canvas import Painter, open_canvas, painted
from model import DCGAN

DEMO = Image.open(ROOT / "data" / "demo" / "raw" / "astronaut.png").convert("RGB").crop((100, 0, 400, 260))
MODEL = ROOT / "checkpoints" / "pretrained"
FINE = ROOT / "checkpoints" / "pretrained-128"


@pytest.fixture
def folder(tmp_path):
    """photo.png, and mask.png with a hole from the mouth to beyond the head."""
    DEMO.save(tmp_path / "photo.png")
    hole = Image.new("L", DEMO.size, 255)
    hole.paste(0, (90, 135, 200, 165))
    hole.save(tmp_path / "mask.png")
    return tmp_path


def layer(mask):
    """What is painted on the page to get this mask, uint8 [h, w, 4]."""
    return np.dstack([np.zeros((*mask.shape, 3), np.uint8), np.where(mask, 0, 255).astype(np.uint8)])


def test_the_same_pixels_by_the_command_line_the_page_and_the_evaluation(folder):
    args = ["photo.png", "--photo", "--maskFile", "mask.png", "--outInterval", 0, "--checkpointDir", FINE]
    assert_works(run_script("complete.py", *args, cwd=folder))
    by_command = read_picture(folder / "completions" / "final" / "photo.png")

    dcgan, mask = DCGAN.load(FINE), read_picture(folder / "mask.png", "L") > 0
    canvas = open_canvas(folder / "photo.png")
    photo = painted(canvas, [layer(mask)])
    np.testing.assert_array_equal(photo.known, mask)
    best, *_ = (each.suggestion for each in Painter(dcgan).complete(canvas, photo, seed=0) if each.suggestion)
    np.testing.assert_array_equal(best.photo.pixels, by_command)

    completer = PhotoCompleter(dcgan)
    (located,) = completer.locate([photo])
    (found,) = located.result()
    (by_evaluation,) = DamagedPhotos(completer, [Damaged(photo, found, found)]).by_search(PRESETS["default"])
    np.testing.assert_array_equal(by_evaluation, by_command)
    assert (by_command != np.asarray(DEMO))[~mask].mean() > 0.9

    completer.wide = None
    (without_the_head,) = DamagedPhotos(completer, [Damaged(photo, found, found)]).by_search(PRESETS["default"])
    assert (by_command != without_the_head)[~mask].mean() > 0.2


def test_a_hole_in_hair_alone_is_completed_by_the_command_line_and_the_page(folder):
    hole = Image.new("L", DEMO.size, 255)
    hole.paste(0, (80, 0, 170, 70))
    hole.save(folder / "mask.png")
    args = ["photo.png", "--photo", "--maskFile", "mask.png", "--outInterval", 0, "--checkpointDir", FINE]
    result = run_script("complete.py", *args, cwd=folder)
    assert_works(result)
    assert "photo.png: the hole lies beside a face" in result.stdout
    by_command = read_picture(folder / "completions" / "final" / "photo.png")

    painter, mask = Painter(DCGAN.load(FINE)), np.asarray(hole) > 0
    canvas = open_canvas(folder / "photo.png")
    photo = painted(canvas, [layer(mask)])
    last = [*painter.complete(canvas, photo, seed=0)][-1]
    np.testing.assert_array_equal(last.suggestion.photo.pixels, by_command)
    assert "a part of a head" in last.message and not last.found  # a click may still tell where a face is
    np.testing.assert_array_equal(by_command[mask], np.asarray(DEMO)[mask])
    smooth = painter.completer.finish(photo, [], 1, 0)(np.empty((0, 1, 1, 3))).pixels
    assert abs(by_command.astype(int) - smooth)[~mask].mean() > 5


@pytest.fixture
def opened(monkeypatch):
    """How often each picture file is opened."""
    counts: Counter = Counter()
    open_picture = Image.open

    def counted(path, *args, **named):
        counts[path] += 1
        return open_picture(path, *args, **named)

    monkeypatch.setattr(Image, "open", counted)
    return counts


@pytest.mark.parametrize("masks", [{}, {"kind": "center"}, {"file": "mask.png"}, {"folder": "masks"}])
def test_a_photo_and_its_mask_are_decoded_once(folder, opened, monkeypatch, masks):
    """Unless the photo takes too much memory; then it is read again, with the same result."""
    (folder / "masks").mkdir()
    shutil.copy(folder / "mask.png", folder / "masks" / "photo.png")
    options = MaskOptions(**{name: value if name == "kind" else folder / value for name, value in masks.items()})
    points = PhotoOptions(photo=True, points=((111, 107), (138, 108), (125, 166)))
    dcgan, results = lively(8, 5), []
    for kept in (photo_reader.KEPT, 0):
        monkeypatch.setattr(photo_reader, "KEPT", kept)
        opened.clear()
        reader = photo_reader.PhotoReader(points, GivenMasks(options), dcgan, seed=0)
        loaded = reader.with_faces({0: reader.read(folder / "photo.png")})[0]
        faces = [np.full_like(loaded.incomplete.pictures, 99)] * 3
        results += [final.photo.pixels for final in reader.finals(loaded, faces)]
        if kept:
            assert set(opened.values()) == {1}
    assert len(results) == 6
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)
    assert (results[0] != np.asarray(DEMO)).any()


def test_a_photo_is_not_looked_at_again(folder, monkeypatch):
    reader = photo_reader.PhotoReader(PhotoOptions(photo=True), GivenMasks(MaskOptions()), lively(8, 5), seed=0)
    loaded = reader.looked_at(reader.read(folder / "photo.png"))
    monkeypatch.setattr("faces.finding.look", lambda *args: 1 / 0)
    assert len(reader.with_faces({0: loaded})[0].frames) == 1
