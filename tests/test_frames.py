"""The pictures that show how a completion came about."""

from types import SimpleNamespace

import numpy as np
from PIL import Image, ImageSequence

from images.incomplete import Incomplete
from images.sheets import framed, titled
from jobs.complete.frames import Frames
from model import SearchStep
from outputs import Outputs


def ink(picture, top, bottom, columns):
    """Dark pixels in each of so many columns of these rows."""
    dark = np.asarray(picture.convert("L"))[top:bottom] < 100
    return [part.sum() for part in np.array_split(dark, columns, axis=1)]


def test_titles_stand_above_each_column_and_over_no_picture():
    rng = np.random.default_rng(0)
    for channels in (1, 3):
        sheet = framed(rng.integers(0, 256, (8, 16, 16, channels), np.uint8), columns=4)
        whole = titled(sheet, ["before", "masked", "completed", "blended"])
        margin = len(whole) - len(sheet)
        np.testing.assert_array_equal(whole[margin:], sheet)
        above = Image.fromarray(whole[:margin, :, 0])
        assert all(count > 30 for count in ink(above, 0, margin, 4))
        assert (whole[:2] == 255).all() and (whole[:margin, -4:] == 255).all()


def test_the_titles_fit_a_single_small_picture():
    one = framed(np.zeros((1, 64, 64, 3), np.uint8))
    above = titled(one, ["iteration 1000"])[: -len(one)]
    assert (above[:, :2] == 255).all() and (above[:, -4:] == 255).all()


def test_every_file_is_listed_and_every_frame_titled(tmp_path):
    pictures = np.full((2, 16, 16, 3), 200, np.uint8)
    outputs = Outputs(tmp_path)
    frames = Frames(outputs, SimpleNamespace(nth=2, best_guesses=Incomplete(pictures, np.eye(16))))
    for i in range(3):
        generated = np.full_like(pictures, 40 * i)
        frames.record(SearchStep(i, np.zeros((2, 4)), np.ones((2, 3)), np.zeros(2), generated, generated))
    frames.finish(pictures)
    frames.events.writer.close()
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("[!.]*") if path.is_file()}
    assert {outputs.note(name) for name in written} == {"frames of batch 2: "}
    assert len(written) == 2 + 2 * 3 + 2 + 2  # grids, logs, and curves and GIF
    with Image.open(tmp_path / "completion_2.gif") as gif:
        shown = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(gif)]
    assert len(shown) == 1 + 3 + 1
    titles = [(frame[:20] < 100).tobytes() for frame in shown]
    assert len(set(titles)) == 5
    assert all(any(title) for title in titles)
