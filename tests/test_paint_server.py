"""paint.py's server as its clients meet it: by HTTP requests, those of the page and those of attackers."""

import gc
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
import weakref
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest
from conftest import ROOT, lively, process
from PIL import Image

from images.decoding import LARGEST_FILE, read_picture
from images.photo import Photo
from jobs.paint import folder as folders
from jobs.paint.canvas import DEMO, Canvas, Painter
from jobs.paint.folder import Folder, Full
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

    def join(self, name, *data, **headers):
        call = {"data": data, "fn_index": self.functions[name], "session_hash": self.session}
        return self.ask("POST", CALL, json.dumps(call), **JSON | headers)

    def call(self, name, *data):
        """The messages of a call that is let in, in one text."""
        status, text = self.join(name, *data)
        assert status == 200, text
        return self.ask("GET", f"/gradio_api/queue/data?session_hash={self.session}")[1].decode()

    def complete(self, layers, seed=0):
        return self.call("completed", {"background": None, "layers": layers, "composite": None}, seed)


def file_data(path):
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def stroke():
    layer = np.zeros((512, 512, 4), np.uint8)
    layer[HOLE] = (255, 0, 150, 255)
    return png(layer)


@pytest.fixture(scope="module")
def page():
    """A page that is served, with its `port`, its open `photos` and its `folder`."""
    import uvicorn

    from jobs.paint.server import create_app, folder_for_gradio

    folder = folder_for_gradio()
    from jobs.paint.page import Page

    page = Page(Painter(lively(8, 5)), folder.path)
    gate = create_app(page, folder, "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(gate, log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield SimpleNamespace(port=listener.getsockname()[1], photos=page.photos, folder=folder)
        server.should_exit = True
        thread.join()
    folder.delete()


@pytest.fixture
def client(page):
    return Client(page.port)


# ----------------------------------------------------------------------------------- the page's own


def test_a_completion(client):
    layer = client.upload("layer_0.png", stroke())
    text = client.complete([file_data(layer)])
    assert "Done." in text
    pictures = {}
    for what in ("completed", "mask"):
        (path,) = set(re.findall(rf'"path":"([^"]*astronaut-{what}.png)"', text))
        status, content = client.ask("GET", f"/gradio_api/file={path}")
        assert status == 200
        pictures[what] = np.asarray(Image.open(io.BytesIO(content)))
    photo, known = read_picture(DEMO), np.ones((512, 512), bool)
    known[HOLE] = False
    np.testing.assert_array_equal(pictures["mask"] > 0, known)
    np.testing.assert_array_equal(pictures["completed"][known], photo[known])
    assert (pictures["completed"][~known] != photo[~known]).any(axis=1).mean() > 0.9


def test_two_sessions_open_the_same_photo_at_once(page, client):
    other = Client(page.port, "other")
    photo = png(read_picture(DEMO)[:200, :200])
    paths = [each.upload("same.png", photo) for each in (client, other)]
    for each, path in zip((client, other), paths, strict=True):
        assert '"success":true' in each.call("opened", file_data(path))
        assert page.photos.get(each.session).name == "same"


@pytest.mark.parametrize(("name", "data"), [("opened", [None]), ("completed", [None, 0]), ("completed", [None, None])])
def test_nothing_uploaded_or_painted(client, capfd, name, data):
    assert "Paint over the part to replace" in client.call(name, *data)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "data"), [("opened", [3]), ("completed", []), ("completed", ["x", 0]), ("completed", [{"layers": [0]}, 0])]
)
def test_a_call_with_wrong_values_logs_one_line(client, capfd, name, data):
    assert '"success":false' in client.call(name, *data)
    assert re.fullmatch(r"error: .*\n", capfd.readouterr().err)


def test_errors_name_no_path_of_the_server(page, client):
    photo, layer = client.upload("broken.png", b"nothing"), client.upload("layer_0.png", b"nothing")
    for name, text in (
        ("broken.png", client.call("opened", file_data(photo))),
        ("layer_0.png", client.complete([file_data(layer)])),
        ("Seed", client.complete([file_data(client.upload("layer_0.png", stroke()))], -1)),
    ):
        assert name in text and str(page.folder.path) not in text


# --------------------------------------------------------------------------------- files of the user


@pytest.fixture
def secret(tmp_path, page):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret.png").write_bytes(stroke())
    (page.folder.path / "link").unlink(missing_ok=True)
    (page.folder.path / "link").symlink_to(tmp_path / "secret.png")
    return {
        "file": tmp_path / "secret.png",
        "from above": f"{page.folder.path}/../{tmp_path.relative_to(tmp_path.parents[-2])}/secret.png",
        "relative": os.path.relpath(tmp_path / "secret.png"),
        "link": page.folder.path / "link",
        "endless": "/dev/zero",
        "pipe": tmp_path / "pipe",
        "folder": page.folder.path,
        "none": "",
        "zero byte": "\0",
        "address": f"{EVIL}/a.png",
    }


def test_files_that_were_not_uploaded(client, secret):
    for path in secret.values():
        file = file_data(path)
        for name, data in (
            ("completed", [{"layers": [file]}, 0]),
            ("completed", [{"background": file, "layers": [{"more": [file]}]}, 0]),
            ("completed", [None, file]),
            ("opened", [file]),
            ("opened", [[file]]),
            ("left", [file]),
        ):
            status, text = client.join(name, *data)
            assert status == 403 and b"not uploaded" in text, path
        assert client.ask("GET", f"/gradio_api/file={quote(str(path))}")[0] == 404


def test_gradio_refuses_them_too(page, client, secret, monkeypatch):
    monkeypatch.setattr(page.folder, "holds", lambda path: True)
    files = {*page.folder.path.rglob("*")}
    for name in ("file", "endless", "pipe"):
        text = client.complete([file_data(secret[name])])
        assert '"success":false' in text and str(secret[name]) not in text
        assert client.ask("GET", f"/gradio_api/file={secret[name]}")[0] == 403
    assert {*page.folder.path.rglob("*")} == files


def test_a_file_cannot_hide_in_escapes_or_depth(client):
    call = json.dumps({"data": [file_data("/etc/passwd"), 0], "fn_index": 1, "session_hash": "s"})
    deep = "[" * 200_000 + "]" * 200_000
    for body, code in ((call.replace("path", "\\u0070ath"), 403), (deep, 400), ("{", 400), (b"\xff", 400)):
        assert client.ask("POST", CALL, body, **JSON)[0] == code


@pytest.mark.parametrize(
    "route", ["component_server", "call/completed", "process_recording", "stream/x", "vibe-edit", "proxy=http://a"]
)
def test_what_the_page_does_not_need_is_closed(client, route):
    for method in ("GET", "POST"):
        assert client.ask(method, f"/gradio_api/{route}", "{}")[0] == 404


# --------------------------------------------------------------------------------------- other sites


@pytest.mark.parametrize(
    ("host", "code"),
    [
        *((host, 200) for host in ("localhost", "127.0.0.1:80", "[::1]:7860", "LOCALHOST")),
        *((host, 400) for host in ("evil.example", "", "[", "[evil.example", "localhost.evil.example", "192.0.2.7")),
        *((host, 400) for host in ("127.0.0.1.evil.example:7860", "evil.example@localhost", "localhost:evil.example")),
    ],
)
def test_host_names(client, host, code):
    for path in ("/", "/gradio_api/heartbeat/x" if code == 400 else "/config"):
        assert client.ask("GET", path, Host=host)[0] == code


def test_host_names_of_a_page_for_other_machines():
    from jobs.paint.gate import ServedNames

    for host in ("0.0.0.0", "::"):
        for name in ("192.0.2.7:7860", "[2001:db8::1]:7860", "localhost", socket.gethostname().upper()):
            assert name in ServedNames(host)
        assert all(name not in ServedNames(host) for name in ("evil.example", "1.2.3.evil.example"))
    assert "studio.example:80" in ServedNames("Studio.example") and "192.0.2.7" not in ServedNames("192.0.2.8")


def test_calls_from_other_sites(client):
    for origin in (EVIL, "null", "http://localhost:1", f"http://127.0.0.1:{client.port}.evil.example"):
        assert client.upload("a.png", stroke(), Origin=origin) == 403
        assert client.join("completed", None, 0, Origin=origin)[0] == 403
    assert client.join("completed", None, 0, Origin=f"http://127.0.0.1:{client.port}")[0] == 200


# -------------------------------------------------------------------------------------------- limits


def test_sizes_of_requests(client):
    assert client.ask("POST", UPLOAD, Content_Length=str(LARGEST_FILE + 10**6))[0] == 413
    assert client.ask("POST", CALL, "[" + " " * 1_000_000 + "]")[0] == 413
    for length in ("-1", "x", "²"):
        assert client.ask("POST", UPLOAD, Content_Length=length.encode())[0] in (400, 411)
    assert client.ask("POST", UPLOAD, iter([b"x"]), Transfer_Encoding="chunked")[0] == 411


def test_uploads_that_are_too_many_at_once(page, client, monkeypatch):
    monkeypatch.setattr(folders, "ROOM", 1000)
    assert client.upload("large.png", bytes(2000)) == 503
    with page.folder.upload(900):
        assert client.upload("small.png", bytes(100)) == 503
    assert isinstance(client.upload("small.png", bytes(100)), str)


def test_an_upload_that_is_broken_off_leaves_nothing(page, client):
    def parts():
        return [path.name for path in page.folder.path.iterdir() if path.is_file() and path.name[0] != "."]

    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + head + bytes(400_000)
        )
        wait(parts)
    wait(lambda: not parts())


def wait(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(folders.tempfile, "tempdir", str(tmp_path))
    folder = Folder()
    yield folder
    folder.delete()
    assert not list(tmp_path.iterdir())


def put(folder, name, size, age=0):
    path = folder.path / name / "file"
    path.parent.mkdir()
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age,) * 2)


def test_old_files_go_and_the_oldest_make_room(folder, monkeypatch):
    monkeypatch.setattr(folders, "ROOM", 1000)
    put(folder, "of the page", 500, 10**6)
    folder.keep()
    for name, size, age in (("old", 1, folders.KEPT + 9), ("a", 400, 30), ("b", 300, 20), ("c", 200, 10)):
        put(folder, name, size, age)
    folder.make_room()
    assert {path.parent.name for path in folder.path.glob("*/*")} == {"of the page", "a", "b", "c"}
    with folder.upload(400):
        assert {path.parent.name for path in folder.path.glob("*/*")} == {"of the page", "b", "c"}
        with pytest.raises(Full), folder.upload(601):
            pass


# ------------------------------------------------------------------------------------------ sessions


def canvas(side=8):
    photo = Photo(np.zeros((side, side, 3), np.uint8), np.ones((side, side), bool))
    return Canvas("photo", photo, photo.pixels)


def test_a_session_holds_one_photo_and_none_when_it_ended(page, client):
    photos = page.photos
    heartbeat = socket.create_connection(("127.0.0.1", client.port))
    heartbeat.sendall(b"GET /gradio_api/heartbeat/visit HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200" in heartbeat.recv(100)
    held = []
    for _ in range(2):
        photos.put("visit", canvas())
        held.append(weakref.ref(photos.get("visit")))
    gc.collect()
    assert [each() is None for each in held] == [True, False]
    heartbeat.close()
    wait(lambda: held[1]() is None)
    assert photos.get("visit").name == "astronaut"


def test_the_photo_used_longest_ago_is_closed(page, monkeypatch):
    from jobs.paint import page as pages

    monkeypatch.setattr(pages, "MOST_PIXELS", 200)
    photos = pages.OpenPhotos(canvas())
    for session in "abc":
        photos.put(session, canvas())
    photos.get("a")
    photos.put("d", canvas())
    assert photos.get("a") and photos.get("c") and photos.get("new") is photos.demo
    with pytest.raises(UserError, match="Open it again"):
        photos.get("b")
    photos.put("large", canvas(100))
    assert photos.get("large").photo.known.size > 200


# ------------------------------------------------------------------------------------ how it can end

SCRIPT = """
import jobs.interrupts, time
from jobs.command import run
from jobs.paint.folder import Folder

def main():
    print(Folder().path, flush=True)
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
    with subprocess.Popen(command, cwd=tmp_path, env=env, text=True, **pipes) as server:
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
