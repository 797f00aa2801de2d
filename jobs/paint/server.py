"""Serves the page of paint.py. The page asks no other machine for anything."""

import importlib.util
import os
import socket
import sys
import webbrowser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from completion.models import open_model
from images.decoding import LARGEST_FILE
from jobs.paint.arguments import PaintOptions
from jobs.paint.canvas import Painter
from jobs.paint.folder import Folder
from utils import UserError, environment, say

if TYPE_CHECKING:
    from fastapi import FastAPI

POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:"  # the browser asks no other server
SESSIONS = 200  # whose settings Gradio remembers
WAITING = 50  # calls in Gradio's queue


def paint(options: PaintOptions) -> None:
    """Serves the page until Ctrl-C.

    Raises UserError if Gradio or a model is missing, or if the address or port is not free.
    """
    if not importlib.util.find_spec("gradio"):
        raise UserError("the page needs Gradio: pip install -r requirements-paint.txt")
    host, port = options.host, options.port
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        wrong = f"cannot serve at {host}, port {port} ({error.strerror})"
        raise UserError(f"{wrong}: choose another --port or --host") from error
    with listener, create_app(Painter(open_model(options.checkpoint_dir, photos=True)), host) as app:
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        say(f"the page is at {address}, until Ctrl-C")
        if has_screen():
            webbrowser.open(address)
        serve(app, listener)


@contextmanager
def create_app(painter: Painter, host: str) -> Iterator["FastAPI"]:
    """Yields the page as an ASGI app behind its gate. host: the address served.

    The page is mounted, not launched, because `launch` cannot take a socket that listens already.
    """
    folder = Folder()
    settings = {"GRADIO_TEMP_DIR": str(folder.path), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    with environment(**settings):
        yield _app(painter, folder, host)


def _app(painter: Painter, folder: Folder, host: str) -> "FastAPI":
    import gradio as gr
    from fastapi import FastAPI
    from starlette.middleware.base import BaseHTTPMiddleware

    from jobs.paint.gate import Gate
    from jobs.paint.page import Page

    blocks = Page(painter, folder.path).blocks
    blocks.has_launched = True  # as `launch` does; without it Gradio hands out any file that a call names
    blocks.state_session_capacity = SESSIONS
    blocks.queue(api_open=False, max_size=WAITING)
    app = FastAPI(openapi_url=None)
    app.add_middleware(BaseHTTPMiddleware, dispatch=Gate(folder, host))
    gr.mount_gradio_app(
        app,
        blocks,
        "/",
        ssr_mode=False,
        run_history=False,
        footer_links=[],
        show_error=False,  # its text may contain a path of this machine
        max_file_size=LARGEST_FILE,
        enable_monitoring=False,
        theme=gr.themes.Default(font=("system-ui", "sans-serif"), font_mono=("monospace",)),
    )
    folder.keep()
    return app


def has_screen() -> bool:
    """Returns whether a screen can show the page. Without one a text browser could take over the terminal."""
    return sys.platform in ("win32", "darwin") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())


def serve(app: "FastAPI", listener: socket.socket) -> None:
    """Serves an app until Ctrl-C, SIGTERM or SIGHUP."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="critical",
        headers=[("Content-Security-Policy", POLICY)],
        timeout_graceful_shutdown=1,  # seconds; an open page keeps asking
    )
    server = uvicorn.Server(config)
    # In the main thread uvicorn would replace the handlers of signals, but not that of SIGHUP.
    with ThreadPoolExecutor(1) as thread, suppress(KeyboardInterrupt):
        try:
            thread.submit(server.run, sockets=[listener]).result()
        finally:
            server.should_exit = True
