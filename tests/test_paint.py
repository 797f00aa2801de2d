"""paint.py: photos to paint on, completions, the command line, and the page in a browser if there is one."""

import importlib.util
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, assert_fails, lively, process, run_script
from PIL import Image
from profiles import GRAY

from completion.options import PhotoOptions
from completion.photos import Finish, PhotoCompleter
from dcgan.options import NetworkOptions, SearchOptions
from faces.alignment import frame_by
from faces.compositing import Compositor
from faces.frame import Frame
from images.decoding import read_picture
from images.photo import Photo, shrunk_to
from jobs.paint import canvas
from jobs.paint.canvas import DEMO, TRIES, VIEW, Canvas, Painter, Suggestion, in_view, open_canvas, painted
from utils import UserError

# ---------------------------------------------------------------------------------------- canvases


def layer(height, width, *box):
    """uint8 [height, width, 4], painted in the box (top, bottom, left, right)."""
    top, bottom, left, right = box
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[top:bottom, left:right] = (255, 0, 150, 255)
    return pixels


def blank(height, width):
    photo = Photo(np.full((height, width, 3), 90, np.uint8), np.ones((height, width), bool))
    return Canvas("blank", photo, photo.pixels)


def test_a_photo_keeps_its_pixels_and_is_shown_smaller(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2 * VIEW, VIEW // 2, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a <b>.png")
    opened = open_canvas(tmp_path / "a <b>.png")
    np.testing.assert_array_equal(opened.photo.pixels, pixels)
    assert opened.photo.intact and opened.view.shape == (VIEW, VIEW // 4, 3) and opened.name == "a <b>"
    means = pixels.reshape(VIEW, 2, VIEW // 4, 2, 3).mean(axis=(1, 3))
    assert np.abs(opened.view - means).max() <= 1


def test_what_is_transparent_is_a_hole_that_shows_nothing(tmp_path):
    pixels = np.full((20, 30, 4), 200, np.uint8)
    pixels[5:10, :7, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    opened = open_canvas(tmp_path / "a.png")
    known = opened.photo.known
    np.testing.assert_array_equal(known, pixels[..., 3] > 0)
    assert (opened.view[~known] == 128).all() and (opened.view[known] == 200).all()
    np.testing.assert_array_equal(painted(opened, []).known, known)


def test_no_photo(tmp_path):
    (tmp_path / "x.jpg").write_text("nothing")
    with pytest.raises(UserError) as error:
        open_canvas(tmp_path / "x.jpg")
    assert "x.jpg" in str(error.value) and str(tmp_path) not in str(error.value)


def test_what_is_painted_is_the_hole_at_the_photos_size():
    layers = [layer(20, 30, 4, 9, 10, 20), layer(20, 30, 15, 18, 0, 3)]
    hole = ~painted(blank(40, 60), layers).known
    expected = np.zeros((40, 60), bool)
    expected[8:18, 20:40] = expected[30:36, :6] = True
    np.testing.assert_array_equal(hole, expected)


def test_a_mask_hides_a_part_of_the_photo_and_of_its_view(tmp_path):
    """As --maskFile and --invertMask do."""
    Image.new("RGB", (30, 20), (90, 90, 90)).save(tmp_path / "photo.png")
    mask = np.zeros((40, 60), np.uint8)
    mask[8:16, 20:40] = 2
    Image.fromarray(mask).save(tmp_path / "mask.png")
    hole = np.zeros((20, 30), bool)
    hole[4:8, 10:20] = True
    for invert, expected in ((True, hole), (False, ~hole)):
        opened = open_canvas(tmp_path / "photo.png", tmp_path / "mask.png", invert)
        np.testing.assert_array_equal(~opened.photo.known, expected)
        assert (opened.view[expected] == 128).all() and (opened.view[~expected] == 90).all()


def test_clicks_are_points_of_the_photo():
    """The page shows the photo at half its size. The frame is that of --points, except for the rounding of clicks."""
    pytest.importorskip("gradio")
    from jobs.paint.pointing import after_click, pointed_frame

    whole = blank(400, 600)
    completer = PhotoCompleter(SimpleNamespace(directory=None, image_size=64, options=NetworkOptions()))
    shown = Canvas("half", whole.photo, shrunk_to(whole.photo.pixels, 300))
    clicks = []
    for click in ([9, 9], [9, 9], [9, 9], [125.4, 60], [150, 60.2], [137, 90]):
        clicks = after_click(clicks, click)
    assert clicks == [(125, 60), (150, 60), (137, 90)]
    photo = whole.photo.hiding(np.arange(400)[:, None] > np.full(600, 150))
    expected = frame_by(np.array([[250.5, 120.5], [300.5, 120.5], [274.5, 180.5]]), 64)
    np.testing.assert_allclose(pointed_frame(shown, photo, clicks, completer).transform, expected.transform)
    for hole, points, words in (
        (np.s_[150:], [(9, 9)] * 3, "not those of a face"),
        (np.s_[:20], clicks, "does not meet the face"),
    ):
        hidden = np.zeros((400, 600), bool)
        hidden[hole] = True
        with pytest.raises(UserError, match=words):
            pointed_frame(shown, whole.photo.hiding(hidden), points, completer)


@pytest.mark.parametrize(("layers", "word"), [([], "Nothing"), ([layer(4, 4, 0, 4, 0, 4)], "Everything")])
def test_a_hole_that_hides_nothing_or_everything(layers, word):
    with pytest.raises(UserError, match=f"{word} is painted"):
        painted(blank(8, 8), layers)


# ------------------------------------------------------------------------------------- completions


@pytest.fixture(scope="module")
def painter():
    return Painter(lively(8, 5))


@pytest.fixture
def demo():
    opened = open_canvas(DEMO)
    return opened, painted(opened, [layer(512, 512, 138, 152, 205, 240)])


def suggestions(stages):
    return [stage.suggestion for stage in stages if stage.suggestion]


@pytest.mark.slow
def test_completions_change_the_hole_alone_and_differ(painter, demo):
    opened, photo = demo
    stages = list(painter.complete(opened, photo, 0))
    assert stages[-1].message.startswith("Done")
    seen = [stage.view for stage in stages if stage.view is not None]
    assert len(seen) == SearchOptions().iterations // canvas.FRAMES + 1
    tries = suggestions(stages)
    assert [one.title for one in tries] == ["best guess", *(f"alternative {i}" for i in range(1, TRIES))]
    for picture in (*seen, *(one.photo.pixels for one in tries), *(one.view for one in tries)):
        assert picture.shape == photo.pixels.shape
        np.testing.assert_array_equal(picture[photo.known], photo.pixels[photo.known])
    hole = ~photo.known
    pictures = [photo.pixels, *(one.photo.pixels for one in tries)]
    assert all((a[hole] != b[hole]).mean() > 0.2 for i, a in enumerate(pictures) for b in pictures[:i])
    again, other = (suggestions(painter.complete(opened, photo, seed)) for seed in (0, 1))
    assert [one.title for one in other] == [f"alternative {i}" for i in range(1, TRIES + 1)]
    for i, one in enumerate(again):
        np.testing.assert_array_equal(one.photo.pixels, tries[i].photo.pixels)
        assert all((one.photo.pixels[hole] != another.photo.pixels[hole]).any() for another in other)


@pytest.mark.slow
def test_the_first_suggestion_is_the_completion_of_the_command_line(painter, demo):
    opened, photo = demo
    first = suggestions(painter.complete(opened, photo, 0))[0]
    (located,) = painter.completer.locate([photo])
    *_, state = painter.completer.complete(photo, located.result(), SearchOptions(out_interval=0))
    result = Finish(photo, located.result(), PhotoOptions.grain, 0)(state.completed)
    np.testing.assert_array_equal(first.photo.pixels, result.pixels)


def test_the_suggestion_that_is_chosen_is_the_one_to_save(painter, demo, tmp_path):
    pytest.importorskip("gradio")
    from jobs.paint.page import Page, saved

    opened, photo = demo
    page = Page(painter, tmp_path)
    pictures = [np.where(photo.known[..., None], photo.pixels, np.uint8(value)) for value in (10, 20)]
    tries = [
        Suggestion(str(i), replace(photo, pixels=picture), picture, picture[100:200, 180:260])
        for i, picture in enumerate(pictures)
    ]
    choices = [saved(tmp_path, opened, one) for one in tries]
    shown = page.files(opened, photo, tmp_path, choices)
    np.testing.assert_array_equal(read_picture(Path(shown[page.picture]["value"])), pictures[0])
    np.testing.assert_array_equal(read_picture(Path(shown[page.mask]["value"]))[..., 0] > 0, photo.known)
    assert [title for _, title in shown[page.gallery]["value"]] == ["0", "1"]
    chosen = page.chosen(shown[page.choices], SimpleNamespace(index=1))
    assert Path(chosen[page.picture]["value"]).name == f"{opened.name}-completed.png"
    np.testing.assert_array_equal(read_picture(Path(chosen[page.picture]["value"])), pictures[1])
    before, after = map(read_picture, map(Path, chosen[page.comparison]))
    np.testing.assert_array_equal(before, opened.view)
    np.testing.assert_array_equal(after, pictures[1])
    Path(choices[0].picture).unlink()
    assert "deleted" in page.chosen(shown[page.choices], SimpleNamespace(index=0))[page.status]
    assert page.no_files()[page.choices] == ()


def test_a_hole_without_a_face_is_filled_smoothly(painter, demo):
    opened, photo = demo
    wall = replace(photo, pixels=np.full_like(photo.pixels, 90))
    *_, last = painter.complete(opened, wall, 0)
    assert "No face was found" in last.message and not last.found
    assert (last.suggestion.photo.pixels == 90).all()


def test_a_grey_photo_stays_grey_and_its_profile_is_kept(painter, tmp_path):
    Image.open(DEMO).convert("L").save(tmp_path / "grey.png", icc_profile=GRAY)
    opened = open_canvas(tmp_path / "grey.png")
    stages = painter.complete(opened, painted(opened, [layer(512, 512, 138, 152, 205, 240)]), 0)
    last = suggestions(stages)[-1].photo
    assert last.to_save().shape == (512, 512, 1) and last.stored.colors.profile == GRAY


def test_a_completion_that_is_left_lets_the_next_one_begin(painter, demo):
    frames = painter.complete(*demo, 0)
    next(frames)
    assert painter.busy.locked()
    del frames
    assert not painter.busy.locked()


def test_frames_show_a_large_photo_as_its_result_will_be():
    y, x = np.mgrid[: 2 * VIEW + 217, : 3 * VIEW // 2]
    photo = np.dstack([x // 8, y // 8, (x + y) // 16]).astype(np.uint8)
    opened = Canvas("large", Photo(photo, np.ones(photo.shape[:2], bool)), shrunk_to(photo, VIEW))
    large = painted(opened, [layer(*opened.view.shape[:2], 300, 420, 200, 330)])
    frames = [Frame(np.array([[0.03, 0.002, -6.0], [-0.002, 0.03, -9.0]]), 32)]
    face = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    seen = in_view(opened.view, large, frames)(face)
    result = shrunk_to(Compositor(large, frames)(face), VIEW)
    difference = np.abs(seen.astype(int) - result)
    assert (result != opened.view).any(axis=2).sum() > 10000
    changed = np.argwhere((seen != opened.view).any(axis=2))
    assert (changed.min(axis=0) >= (299, 199)).all() and (changed.max(axis=0) <= (420, 330)).all()
    assert difference.mean() < 0.2 and np.quantile(difference, 0.999) < 12


# ------------------------------------------------------------------------------------ command line


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def with_gradio(monkeypatch, there):
    found = importlib.util.find_spec
    spec = SimpleNamespace() if there else None
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: spec if name == "gradio" else found(name, *rest)
    )


def test_without_gradio_the_command_that_installs_it_is_said(tmp_path, monkeypatch):
    with_gradio(monkeypatch, False)
    assert_fails(run_script("paint.py", cwd=tmp_path), 1, "pip install -r requirements-paint.txt")
    assert (ROOT / "requirements-paint.txt").is_file()


def test_a_port_or_address_that_is_not_free(tmp_path, monkeypatch):
    with_gradio(monkeypatch, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_fails(run_script("paint.py", "--port", port, cwd=tmp_path), 1, str(port), "--port")
    assert_fails(run_script("paint.py", "--host", "203.0.113.7", cwd=tmp_path), 1, "203.0.113.7", "--host")


def test_no_model(tmp_path, monkeypatch):
    with_gradio(monkeypatch, True)
    result = run_script("paint.py", "--port", free_port(), "--checkpointDir", "nowhere", cwd=tmp_path)
    assert_fails(result, 1, "nowhere")


# ------------------------------------------------------------------------------------- the browser

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
MISSING = [name for name in ("gradio", "selenium") if not importlib.util.find_spec(name)]
MISSING += [name for name, path in (("chromium", CHROMIUM), ("chromedriver", DRIVER)) if not path]
ZOOM = 0.74  # of the demonstration photo in a window as wide as here
EYE = (
    np.array([[-60, -146], [-48, -144], [-50, -140]]) * ZOOM
)  # seen from the photo's middle; that of the other photo is there
PINK = (255, 45, 149)


class Visit:
    """A browser that looks at the page."""

    def __init__(self, address, downloads):
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1280,1000"):
            options.add_argument(f"--{argument}")
        options.add_argument("--enable-unsafe-swiftshader")  # WebGL without a GPU
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        self.driver.get(address)

    def wait(self, condition):
        deadline = time.monotonic() + 90
        while not (found := condition()):
            assert time.monotonic() < deadline, self.status()
            time.sleep(0.1)
        return found

    def find(self, selector):
        return self.driver.find_elements("css selector", selector)

    def status(self):
        return self.driver.execute_script("return document.getElementById('status').innerText").strip()

    def press(self, text):
        """Presses a button once it can be; the page may replace it between two commands."""
        from selenium.common import WebDriverException

        def pressed():
            with suppress(WebDriverException, StopIteration):
                next(button for button in self.find("button") if button.text == text and button.is_enabled()).click()
                return True
            return False

        self.wait(pressed)

    def complete(self, button):
        """Presses a button, again if a stroke did not arrive: Gradio's editor forgets one while it loads a photo."""

        def done():
            if self.status().startswith("Nothing is painted"):
                self.press(button)
                time.sleep(2)
            return self.status().startswith("Done")

        self.press(button)
        time.sleep(2)
        self.wait(done)

    def pink(self):
        screen = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        return int((np.abs(np.asarray(screen).astype(int) - PINK).sum(axis=2) < 30).sum())

    def stroke(self, points):
        """Paints, again while the editor is not ready."""
        from selenium.common import WebDriverException
        from selenium.webdriver import ActionChains

        points = points.round().astype(int)
        first, steps = points[0].tolist(), np.diff(points, axis=0).tolist()

        def painted():
            with suppress(WebDriverException, IndexError):
                hand = ActionChains(self.driver, duration=50)
                hand.move_to_element_with_offset(self.find("canvas")[0], *first).click_and_hold()
                for step in steps:
                    hand.move_by_offset(*step)
                hand.release().perform()
                time.sleep(0.5)
            return self.pink() > 400

        self.wait(painted)

    def upload(self, path):
        self.find("input[type=file]")[-2].send_keys(str(path))  # the last one is for a mask

    def hosts(self):
        """All that the browser has asked anything of."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        asked = (m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent")
        return {url.split("/")[2] for url in asked if not url.startswith(("data:", "blob:"))}


@pytest.mark.skipif(bool(MISSING), reason=f"no {' and no '.join(MISSING)}: see tests/requirements-paint.txt")
@pytest.mark.slow
def test_the_page_in_a_browser(tmp_path):
    for name in ("work", "tmp", "downloads"):
        (tmp_path / name).mkdir()
    Image.fromarray(read_picture(DEMO)[12:212, 100:300]).save(tmp_path / "A & B.jpg")
    (tmp_path / "broken.png").write_text("no picture")
    port = free_port()
    env = {name: value for name, value in os.environ.items() if "DISPLAY" not in name}
    command = process("paint.py", "--port", port, "--checkpointDir", ROOT / "checkpoints" / "pretrained")
    server = subprocess.Popen(
        command,
        cwd=tmp_path / "work",
        env=env | {"TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = next(line for line in server.stdout if "http:" in line).split()[4].rstrip(",")
        assert address == f"http://127.0.0.1:{port}"
        visit = Visit(address, tmp_path / "downloads")
        try:
            visit_page(visit, tmp_path)
            assert visit.hosts() == {f"127.0.0.1:{port}"}
        finally:
            visit.driver.quit()
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=30)
    finally:
        server.kill()
    assert (server.returncode, said) == (0, "")
    assert not list((tmp_path / "work").iterdir()) and not list((tmp_path / "tmp").glob("dcgan-paint-*"))


def visit_page(visit, folder):
    visit.press("Complete")
    visit.wait(lambda: visit.status().startswith("Nothing is painted"))
    visit.stroke(EYE)
    visit.complete("Complete")
    assert_saved(visit, folder / "downloads", "astronaut", read_picture(DEMO))
    visit.upload(folder / "broken.png")
    visit.wait(lambda: "broken.png" in visit.status())
    visit.upload(folder / "A & B.jpg")
    visit.wait(lambda: visit.pink() < 200)
    visit.stroke(np.array([[-4, 0], [8, 1]]))
    visit.complete("Another seed")
    assert_saved(visit, folder / "downloads", "A & B", read_picture(folder / "A & B.jpg"))


def assert_saved(visit, downloads, name, photo):
    """The picture and the mask can be saved; it differs from the photo within the stroke alone."""
    files = {what: downloads / f"{name}-{what}.png" for what in ("completed", "mask")}
    for what, button in (("completed", "Save picture"), ("mask", "Save mask")):
        visit.press(button)
        visit.wait(files[what].is_file)
    picture, mask = (read_picture(Path(path)) for path in files.values())
    hole = mask[..., 0] == 0
    assert 100 < hole.sum() < 10000 and set(np.unique(mask)) == {0, 255}
    np.testing.assert_array_equal(picture[~hole], photo[~hole])
    assert (picture[hole] != photo[hole]).any(axis=1).mean() > 0.9
