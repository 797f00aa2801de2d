"""Serves the page of paint.py, and asks no other machine for anything."""

import atexit
import importlib.util
import os
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from completion.models import open_model
from images.files import LARGEST_FILE
from jobs.paint.arguments import PaintOptions
from jobs.paint.canvas import Painter
from utils import UserError, say

POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:"  # so that a browser asks nobody else


def paint(options: PaintOptions) -> None:
    """Serves the page until Ctrl-C. UserError if Gradio or a model is missing, or the address or port is not free."""
    if not importlib.util.find_spec("gradio"):
        raise UserError("the page needs Gradio: pip install -r requirements-paint.txt")
    with listening(options.host, options.port) as listener:
        painter = Painter(open_model(options.checkpoint_dir, photos=True))
        folder = own_folder()
        from jobs.paint.page import Page

        app = as_app(Page(painter, folder).blocks)
        address = f"http://{f'[{options.host}]' if ':' in options.host else options.host}:{options.port}"
        say(f"the page is at {address}, until Ctrl-C")
        if has_screen():
            webbrowser.open(address)
        serve(app, listener)


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at which the page can be asked for; UserError if there is none."""
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UserError(
            f"cannot serve at {host}, port {port} ({error.strerror}): name another --port, or --host"
        ) from error
    with listener:
        yield listener


def own_folder() -> Path:
    """Where Gradio, which must not be imported before, keeps what the page is sent and shows; it goes in the end."""
    folder = tempfile.TemporaryDirectory(prefix="paint-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)  # not before Gradio's threads have ended, which may still write there
    os.environ.update(GRADIO_TEMP_DIR=folder.name, GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1")
    return Path(folder.name)


def as_app(blocks: Any) -> Any:
    """The page as what a server runs."""
    import gradio as gr
    from fastapi import FastAPI

    return gr.mount_gradio_app(
        FastAPI(openapi_url=None),
        blocks,
        "/",
        ssr_mode=False,
        run_history=False,
        footer_links=[],
        max_file_size=LARGEST_FILE,
        theme=gr.themes.Default(font=("system-ui", "sans-serif"), font_mono=("monospace",)),
    )


def has_screen() -> bool:
    """Whether there is one to show the page on; without, a browser for text might take over the terminal."""
    return sys.platform in ("win32", "darwin") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())


def serve(app: Any, listener: socket.socket) -> None:
    """Serves until Ctrl-C."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="critical",
        headers=[("Content-Security-Policy", POLICY)],
        timeout_graceful_shutdown=1,  # seconds; a page that is open keeps asking
    )
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
