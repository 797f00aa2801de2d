"""paint.py's server as its clients meet it: by HTTP requests, those of the page and those of attackers."""

import http.client
import importlib.util
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest
from conftest import ROOT, lively, process
from PIL import Image

from images.decoding import LARGEST_FILE, read_picture
from jobs.paint import folder as folders
from jobs.paint.canvas import DEMO, Painter
from utils import UserError

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("gradio"), reason="no gradio: see requirements-paint.txt")
HOLE = np.s_[138:152, 205:240]  # an eye of the demonstration photo
EVIL = "http://evil.example"
CALL, UPLOAD = "/gradio_api/queue/join", "/gradio_api/upload"
JSON = {"Content-Type": "application/json"}


class Client:
    """Sends requests to a page as a browser does, or as it never would."""

    def __init__(self, port, session="session"):
        self.port, self.session = port, session
        config = json.loads(self.ask("GET", "/config")[1])
        self.functions = {each["api_name"]: each["id"] for each in config["dependencies"]}

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def upload(self, name, content, **headers):
        """The status, and the text: the file's path on the server."""
        head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        status, text = self.ask("POST", UPLOAD, head + content + b"\r\n--x--\r\n", **kind | headers)
        return json.loads(text)[0] if status == 200 else status

    def join(self, name, *data, event_data=None, **headers):
        call = {"data": data, "fn_index": self.functions[name], "session_hash": self.session, "event_data": event_data}
        return self.ask("POST", CALL, json.dumps(call), **JSON | headers)

    def call(self, name, *data, event_data=None):
        """The messages of a call that is let in, in one text."""
        status, text = self.join(name, *data, event_data=event_data)
        assert status == 200, text
        return self.ask("GET", f"/gradio_api/queue/data?session_hash={self.session}")[1].decode()

    def complete(self, layers, mask=None, invert=False):
        # The third value is that of the session's photo, which a client cannot choose, nor the points of a face.
        editor = {"background": None, "layers": layers, "composite": None}
        return self.call("completed", editor, 0, "/etc/passwd", mask, invert, [[1, 1]] * 3)


def file_data(path):
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def stroke(flipped=False):
    layer = np.zeros((512, 512, 4), np.uint8)
    layer[HOLE] = (255, 0, 150, 255)
    return png(layer[:, ::-1] if flipped else layer)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page that is served, with its `port` and its `folder`."""
    import uvicorn

    from jobs.paint.server import create_app

    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listener:
        place = tmp_path_factory.mktemp("page")
        patch.setattr(folders.tempfile, "tempdir", str(place))
        with create_app(Painter(lively(8, 5)), "127.0.0.1") as app:
            server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            yield SimpleNamespace(port=listener.getsockname()[1], folder=next(place.iterdir()))
            server.should_exit = True
            thread.join()


@pytest.fixture
def client(page):
    return Client(page.port)


# ----------------------------------------------------------------------------------- the page's own


def saved(client, text):
    """The picture and the mask that a completion offers to save."""
    pictures = []
    for what in ("completed", "mask"):
        (path,) = set(re.findall(rf'"path":"([^"]*-{what}.png)"', text))
        status, content = client.ask("GET", f"/gradio_api/file={path}")
        assert status == 200
        pictures.append(np.asarray(Image.open(io.BytesIO(content))))
    return pictures


def test_a_completion(client):
    layer = client.upload("layer_0.png", stroke())
    text = client.complete([file_data(layer)])
    assert "Done." in text
    picture, mask = saved(client, text)
    photo, known = read_picture(DEMO), np.ones((512, 512), bool)
    known[HOLE] = False
    np.testing.assert_array_equal(mask > 0, known)
    np.testing.assert_array_equal(picture[known], photo[known])
    assert (picture[~known] != photo[~known]).any(axis=1).mean() > 0.9


def test_an_uploaded_mask(client):
    """White holes at the photo's own size, with a stroke beside them."""
    mask = np.zeros((512, 512), np.uint8)
    mask[110:118, 215:230] = 1
    file = file_data(client.upload("mask.png", png(mask)))
    assert "more than half of the photo" in client.call("masked", None, file, False)
    text = client.call("masked", None, file, True)
    assert "more than half" not in text and "Paint over the part to replace" in text
    text = client.complete([file_data(client.upload("layer_0.png", stroke()))], file, True)
    picture, known = saved(client, text)
    hole = mask > 0
    hole[HOLE] = True
    np.testing.assert_array_equal(known == 0, hole)
    np.testing.assert_array_equal(picture[~hole], read_picture(DEMO)[~hole])


def test_a_mask_that_cannot_be_used(client):
    for name, mask, words in (
        ("wide.png", np.zeros((8, 16), np.uint8), "the mask of astronaut.png is 16x8 but the photo is 512x512"),
        ("ramp.png", np.tile(np.arange(256, dtype=np.uint8), (256, 1)), "the mask ramp.png looks like a photo"),
    ):
        assert words in client.call("masked", None, file_data(client.upload(name, png(mask))), False)


def test_clicks_where_no_face_is_found(page):
    """After the third one the face at these points is completed, though there is none; a fourth begins anew."""
    client = Client(page.port, "clicks")
    layer = np.zeros((512, 512, 4), np.uint8)
    layer[60:80, 420:440] = 255
    layer = file_data(client.upload("layer_0.png", png(layer)))
    text = client.complete([layer])
    assert "No face was found" in text and "Click on the inner corner of one eye" in text
    smooth, _ = saved(client, text)
    for x, y, words in ((410, 40, "the other eye"), (450, 40, "the lower lip"), (430, 100, "Press Complete")):
        assert words in client.call("clicked", None, None, False, None, event_data={"index": [x, y], "value": None})
    picture, mask = saved(client, client.complete([layer]))
    assert (picture[mask == 0] != smooth[mask == 0]).any(axis=1).mean() > 0.5
    text = client.call("clicked", None, None, False, None, event_data={"index": [9, 9], "value": None})
    assert "the other eye" in text
    assert "No face was found" in client.complete([layer])


def test_two_sessions_open_the_same_photo_at_once(page, client):
    other = Client(page.port, "other")
    content = read_picture(DEMO)[:, ::-1]
    paths = [each.upload("same.png", png(content)) for each in (client, other)]
    for each, path in zip((client, other), paths, strict=True):
        assert '"success":true' in each.call("opened", file_data(path))
    for each in (client, other):
        layer = each.upload("layer_0.png", stroke(flipped=True))
        picture, mask = saved(each, each.complete([file_data(layer)]))
        np.testing.assert_array_equal(picture[mask > 0], content[mask > 0])


@pytest.mark.parametrize(
    ("name", "data"), [("opened", [None]), *(("completed", [None, seed, None, None, None, None]) for seed in (0, None))]
)
def test_nothing_uploaded_or_painted(client, capfd, name, data):
    assert "Paint over the part to replace" in client.call(name, *data)
    assert capfd.readouterr().err == ""


def test_errors_name_no_path_of_the_server(page, client):
    photo, layer = client.upload("broken.png", b"nothing"), client.upload("layer_0.png", b"nothing")
    for name, text in (
        ("broken.png", client.call("opened", file_data(photo))),
        ("layer_0.png", client.complete([file_data(layer)])),
    ):
        assert name in text and str(page.folder) not in text


# --------------------------------------------------------------------------------- files of the user


@pytest.fixture
def secret(tmp_path, page):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret.png").write_bytes(stroke())
    return {
        "file": tmp_path / "secret.png",
        "from above": f"{page.folder}/x/../../{os.path.relpath(tmp_path, page.folder.parent)}/secret.png",
        "relative": os.path.relpath(tmp_path / "secret.png"),
        "endless": "/dev/zero",
        "pipe": tmp_path / "pipe",
        "address": f"{EVIL}/a.png",
    }


def test_files_that_were_not_uploaded(client, secret):
    for path in secret.values():
        file = file_data(path)
        for name, data in (
            ("completed", [{"layers": [file]}, 0, None]),
            ("completed", [None, 0, None, file]),
            ("masked", [None, file, True]),
            ("completed", [{"background": file, "layers": [{"more": [file]}]}, 0, None]),
            ("completed", [None, file, None]),
            ("opened", [file]),
            ("opened", [[file]]),
        ):
            status, text = client.join(name, *data)
            assert status == 403 and b"not uploaded" in text, path
        assert client.ask("GET", f"/gradio_api/file={quote(str(path))}")[0] == 403


def test_gradio_refuses_them_too(page, client, secret, monkeypatch):
    monkeypatch.setattr(folders.Folder, "holds", lambda *args: True)
    files = {*page.folder.rglob("*")}
    for name in ("file", "endless", "pipe"):
        text = client.complete([file_data(secret[name])])
        assert '"success":false' in text and str(secret[name]) not in text
    assert {*page.folder.rglob("*")} == files


def test_wrong_calls(client):
    call = json.dumps({"data": [file_data("/etc/passwd"), 0], "fn_index": 1, "session_hash": "s"})
    deep = "[" * 200_000 + "]" * 200_000
    zero, number = (json.dumps(file_data("")).replace('""', value) for value in ('"\\u0000"', "3"))
    for body, code in (
        *((call.replace("path", "\\u0070ath"), 403),),
        *((wrong, 400) for wrong in (deep, "{", b"\xff", zero, number)),
    ):
        assert client.ask("POST", CALL, body, **JSON)[0] == code


@pytest.mark.parametrize("route", ["component_server", "process_recording"])
def test_files_are_taken_as_uploads_only(client, route):
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    body = b'--x\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\na\r\n--x--\r\n'
    assert client.ask("POST", f"/gradio_api/{route}", body, **kind)[0] == 400


# --------------------------------------------------------------------------------------- other sites


@pytest.mark.parametrize(
    ("host", "code"),
    [
        *((host, 200) for host in ("localhost", "127.0.0.1:80", "[::1]:7860", "LOCALHOST")),
        *((host, 400) for host in ("evil.example", "", "[", "[evil.example", "localhost.evil.example", "192.0.2.7")),
        ("127.0.0.1.evil.example:7860", 400),
    ],
)
def test_host_names(client, host, code):
    for path in ("/", "/gradio_api/heartbeat/x" if code == 400 else "/config"):
        assert client.ask("GET", path, Host=host)[0] == code


def test_host_names_of_a_page_for_other_machines():
    from jobs.paint.gate import Gate

    for host in ("0.0.0.0", "::"):
        serves = Gate(None, host).serves
        for name in ("192.0.2.7:7860", "[2001:db8::1]:7860", "localhost", socket.gethostname().upper()):
            assert serves(name)
        assert not serves("evil.example") and not serves("1.2.3.evil.example")
    assert Gate(None, "Studio.example").serves("studio.example:80")
    assert not Gate(None, "192.0.2.8").serves("192.0.2.7")


def test_calls_from_other_sites(client):
    for origin in (EVIL, "null", "http://localhost:1", f"http://127.0.0.1:{client.port}.evil.example"):
        assert client.upload("a.png", stroke(), Origin=origin) == 403
        assert client.join("completed", None, 0, None, Origin=origin)[0] == 403
    assert client.join("completed", None, 0, None, Origin=f"http://127.0.0.1:{client.port}")[0] == 200


# -------------------------------------------------------------------------------------------- limits


def test_sizes_of_requests(client):
    assert client.ask("POST", UPLOAD, Content_Length=str(LARGEST_FILE + 10**6))[0] == 413
    assert client.ask("POST", CALL, "[" + " " * 1_000_000 + "]")[0] == 413
    for length in ("-1", "x", "²"):
        assert client.ask("POST", UPLOAD, Content_Length=length.encode())[0] in (400, 413)
    for length in ({}, {"Content_Length": "1"}):
        assert client.ask("POST", UPLOAD, iter([b"x"]), Transfer_Encoding="chunked", **length)[0] == 413


def test_uploads_that_are_too_many_at_once(client, monkeypatch):
    monkeypatch.setattr(folders, "ROOM", 1000)
    assert client.upload("large.png", bytes(2000)) == 503
    assert isinstance(client.upload("small.png", bytes(100)), str)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(folders.tempfile, "tempdir", str(tmp_path))
    return folders.Folder()


def test_the_oldest_files_make_room(folder, monkeypatch):
    def put(name, size, age):
        path = folder.path / name / "file"
        path.parent.mkdir()
        path.write_bytes(bytes(size))
        os.utime(path, (time.time() - age,) * 2)

    def kept():
        return {path.parent.name for path in folder.path.glob("*/*")}

    monkeypatch.setattr(folders, "ROOM", 1000)
    put("of the page", 500, 99)
    folder.keep()
    for name, size, age in (("a", 400, 30), ("b", 300, 20), ("c", 200, 10)):
        put(name, size, age)
    with folder.room(100):
        assert kept() == {"of the page", "a", "b", "c"}
        with folder.room(300):
            assert kept() == {"of the page", "b", "c"}
            with pytest.raises(UserError), folder.room(601):
                pass


def test_a_photo_that_made_room_for_others(page, client):
    path = client.upload("photo.png", png(read_picture(DEMO)))
    assert '"success":true' in client.call("opened", file_data(path))
    os.unlink(path)
    assert "Open it again" in client.complete([file_data(client.upload("layer_0.png", stroke()))])


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc")
def test_sessions_occupy_no_memory(page, client):
    def used():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    photo = png(np.zeros((3000, 4000, 3), np.uint8))
    sizes = []
    for number in range(7):
        other = Client(page.port, f"visit{number}")
        assert '"success":true' in other.call("opened", file_data(other.upload("large.png", photo)))
        sizes.append(used())
    assert sizes[-1] - sizes[1] < 100_000_000  # five photos of 36 MB, with what the page shows of them, have more


# ------------------------------------------------------------------------------------ how it can end

SCRIPT = """
import jobs.interrupts, time
from jobs.command import run
from jobs.paint.folder import Folder

def main():
    folder = Folder()
    print(folder.path, flush=True)
    time.sleep(60)

run(main)
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_stays_in_the_temporary_folder(tmp_path, monkeypatch, number):
    env = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    first, second = (
        subprocess.Popen([sys.executable, "-c", SCRIPT], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(2)
    )
    try:
        used = {each: each.stdout.readline().decode().strip() for each in (first, second)}
        assert {str(path) for path in tmp_path.iterdir()} == {*used.values()}
        first.send_signal(number)
        assert first.wait(20)
        monkeypatch.setattr(folders.tempfile, "tempdir", str(tmp_path))
        folders.delete_stale()  # as the next start does
        assert [str(path) for path in tmp_path.iterdir()] == [used[second]]
    finally:
        for each in (first, second):
            each.kill()
            each.wait()
            each.stdout.close()


@pytest.mark.slow
def test_a_closed_terminal_ends_the_page(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = process("paint.py", "--port", port, "--checkpointDir", ROOT / "checkpoints" / "pretrained")
    env = {name: value for name, value in os.environ.items() if "DISPLAY" not in name} | {"TMPDIR": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

    def with_a_terminal():  # the tests themselves may run under nohup
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    with subprocess.Popen(command, cwd=tmp_path, env=env, text=True, preexec_fn=with_a_terminal, **pipes) as server:
        try:
            assert any("http:" in line for line in server.stdout)
            path = Client(port).upload("photo.png", stroke())
            assert path.startswith(str(tmp_path))
            server.send_signal(signal.SIGHUP)
            _, said = server.communicate(timeout=60)
        finally:
            server.kill()
    assert (server.returncode, said) == (128 + signal.SIGHUP, "")
    assert not list(tmp_path.glob("dcgan-paint-*"))
