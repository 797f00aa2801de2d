"""The gate in front of Gradio: refuses requests of other sites, large ones, and those for files of the user."""

import ipaddress
import json
import socket
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.middleware.base import RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from images.decoding import LARGEST_FILE
from jobs.paint.folder import Folder
from utils import UserError

UPLOAD = "/gradio_api/upload"
LARGEST_UPLOAD = LARGEST_FILE + 100_000  # bytes, with the lines around the file
LARGEST_CALL = 1_000_000  # bytes; a call names files and does not contain them


class Gate:
    """The function of a Starlette middleware that passes a request on or refuses it.

    Gradio alone answers to any host name, takes calls from any site, and downloads from addresses that a call names.
    """

    def __init__(self, folder: Folder, host: str):
        """host: the address served. 0.0.0.0 and :: are all addresses of this machine."""
        self.folder, self.everywhere = folder, host in ("0.0.0.0", "::")
        name = socket.gethostname()
        own = (name, f"{name}.local", socket.getfqdn()) if self.everywhere else (host,)
        self.names = {"localhost", "127.0.0.1", "::1", *map(str.lower, own)}

    async def __call__(self, request: Request, answer: RequestResponseEndpoint) -> Response:
        try:
            self.check_sender(request)
            if request.method != "POST":
                return await answer(request)
            upload = request.scope["path"] == UPLOAD
            # In chunks a request may be longer than it says.
            length = "" if "transfer-encoding" in request.headers else request.headers.get("content-length", "")
            if not length.isdecimal() or int(length) > (LARGEST_UPLOAD if upload else LARGEST_CALL):
                raise HTTPException(413, f"The file is too large: the page takes at most {LARGEST_FILE / 1e6:.0f} MB.")
            if not upload:
                self.check_call(await request.body())
            with self.folder.room(int(length)):
                return await answer(request)
        except HTTPException as refusal:
            return PlainTextResponse(refusal.detail, refusal.status_code)
        except UserError as error:
            return PlainTextResponse(str(error), 503)

    def check_sender(self, request: Request) -> None:
        """Refuses a request to another host name, from another site, or for a file of another machine.

        Another site may have its own name resolve to this machine's address.
        """
        address, origin = request.headers.get("host", ""), request.headers.get("origin")
        if not self.serves(address):
            raise HTTPException(400, "This page is not served at that address. Start paint.py with --host ADDRESS.")
        if origin is not None and origin.lower().partition("://")[2] != address.lower():
            raise HTTPException(403, "Another site may not use this page.")
        if "://" in request.scope["path"]:
            raise HTTPException(403, "This page asks no other machine for anything.")

    def serves(self, address: str) -> bool:
        """Returns whether a Host header, NAME or NAME:PORT, is that of this page.

        Another site cannot claim an IP address as its name.
        """
        with suppress(ValueError):  # a wrong header, or not an IP address
            name = urlsplit(f"//{address}").hostname or ""
            return name in self.names or (self.everywhere and bool(ipaddress.ip_address(name)))
        return False

    def check_call(self, body: bytes) -> None:
        """Refuses a call that is not JSON, or that names a file outside the folder at any depth."""

        def check_file(value: dict[str, Any]) -> None:
            if not self.folder.holds(value.get("path", self.folder.path)):
                raise HTTPException(403, "This call names a file that was not uploaded.")

        try:
            json.loads(body, object_hook=check_file)
        except (ValueError, TypeError, RecursionError):
            raise HTTPException(400, "This call is not valid.") from None
