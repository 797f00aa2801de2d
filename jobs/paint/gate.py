"""The gate in front of Gradio: lets the page's own requests pass and refuses all others."""

import ipaddress
import json
import re
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse

from images.decoding import LARGEST_FILE
from jobs.paint.folder import Folder, Full

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = ("0.0.0.0", "::")
API = "/gradio_api"
FILE = f"{API}/file="  # and its path
UPLOAD = f"{API}/upload"
CALLS = (f"{API}/queue/join", f"{API}/run/predict")
PAGES = ("/", "/config", "/favicon.ico", "/manifest.json", "/theme.css", f"{API}/info")
STREAMS = (f"{API}/queue/data", f"{API}/upload_progress")
FOLDERS = ("/assets/", "/static/", f"{API}/heartbeat/")
ROUTES = {
    "GET": (*PAGES, *STREAMS),
    "HEAD": PAGES,
    "POST": (UPLOAD, *CALLS, f"{API}/cancel", f"{API}/reset"),
}
LARGEST_UPLOAD = LARGEST_FILE + 100_000  # bytes, with the lines around the file
LARGEST_CALL = 1_000_000  # bytes; a call names files and does not contain them


class Gate:
    """An ASGI app that lets only the page's own requests through to Gradio.

    It refuses requests from other sites, to other host names, and for files that nobody uploaded. Gradio alone answers
    to any host name, takes calls from any site, downloads addresses that a call names, and has routes that the page
    does not need.
    """

    def __init__(self, app: Any, folder: Folder, host: str):
        """host: the address served."""
        self.app, self.folder, self.served = app, folder, ServedNames(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # the page opens no web sockets
            return await send({"type": "websocket.close"})
        try:
            await self.answer(Request(scope, receive), send)
        except HTTPException as refusal:
            await PlainTextResponse(refusal.detail, refusal.status_code)(scope, receive, send)
        except ClientDisconnect:
            pass

    async def answer(self, request: Request, send: Send) -> None:
        """Lets Gradio answer a request. Raises HTTPException to refuse it."""
        self.check_sender(request)
        self.check_route(request)
        receive: Receive = request.receive
        room: AbstractContextManager[None] = nullcontext()
        if request.method == "POST":
            size = checked_size(request)
            if request.scope["path"] == UPLOAD:
                room = self.folder.upload(size)
            else:
                self.folder.make_room()
                receive = await self.checked_call(request)
        try:
            with room:
                await self.app(request.scope, receive, send)
        except Full:
            raise HTTPException(503, "Too many uploads at once. Try again in a minute.") from None

    def check_sender(self, request: Request) -> None:
        """Refuses a request to another host name, or from another site.

        Another site may have its own name resolve to this machine's address.
        """
        address = request.headers.get("host", "")
        if address not in self.served:
            raise HTTPException(400, "This page is not served at that address. Start paint.py with --host ADDRESS.")
        origin = request.headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != address.lower():
            raise HTTPException(403, "Another site may not use this page.")

    def check_route(self, request: Request) -> None:
        """Refuses a request that the page does not make."""
        path, method = request.scope["path"], request.method
        known = path in ROUTES.get(method, ())
        if method in ("GET", "HEAD") and not known:
            is_file = path.startswith(FILE) and self.folder.holds(path.removeprefix(FILE))
            known = is_file or path.startswith(FOLDERS)
        if not known:
            raise HTTPException(404, "The page has nothing at this address.")

    async def checked_call(self, request: Request) -> Receive:
        """Reads a call and returns an ASGI `receive` with it. Refuses a call that names a file nobody uploaded."""
        body = await request.body()
        try:
            names = list(file_names(json.loads(body)))
        except (ValueError, RecursionError):
            raise HTTPException(400, "This call is not JSON.") from None
        if not all(isinstance(name, str) and self.folder.holds(name) for name in names):
            raise HTTPException(403, "This call names a file that was not uploaded, or was deleted since.")
        return replayed(body, request.receive)


class ServedNames:
    """The host names at which a page is served, for a Host header, NAME or NAME:PORT."""

    def __init__(self, host: str):
        """host: the address served. 0.0.0.0 and :: are all addresses of this machine."""
        self.everywhere = host in EVERYWHERE
        own = (socket.gethostname(), f"{socket.gethostname()}.local", socket.getfqdn()) if self.everywhere else (host,)
        self.names = {*LOOPBACK, *map(str.lower, own)}

    def __contains__(self, header: str) -> bool:
        match = re.fullmatch(r"\[([^]]*)\](:\d*)?|([^]:@/[]+)(:\d*)?", header.lower())
        name = match[1] or match[3] or "" if match else ""
        return name in self.names or (self.everywhere and is_number(name))


def is_number(name: str) -> bool:
    """Returns whether a host is given by its IP address, which no other site can claim as its name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def checked_size(request: Request) -> int:
    """Returns the size of a request's body. Refuses one of unknown size or of more than the page sends."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        raise HTTPException(411, "The request does not say how long it is.")
    most = LARGEST_UPLOAD if request.scope["path"] == UPLOAD else LARGEST_CALL
    if int(length) > most:
        raise HTTPException(413, f"This file is too large: the page takes at most {LARGEST_FILE / 1e6:.0f} MB.")
    return int(length)


def file_names(value: Any) -> Iterator[Any]:
    """Yields what a call's JSON names as the path of a file, at any depth."""
    if isinstance(value, dict):
        if "path" in value:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from file_names(each)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Returns an ASGI `receive` that yields a body that was read already, and then what comes after it."""
    rest = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> MutableMapping[str, Any]:
        return next(rest, None) or await receive()

    return replay
