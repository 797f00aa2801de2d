"""Serves the page of paint.py. The page asks no other machine for anything."""

import importlib.util
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from completion.models import open_model
from images.decoding import LARGEST_FILE
from jobs.paint.arguments import PaintOptions
from jobs.paint.canvas import Painter
from jobs.stopping import SIGNALS
from utils import UserError, one_line, say

if TYPE_CHECKING:
    from jobs.paint.folder import Folder
    from jobs.paint.gate import Gate
    from jobs.paint.page import Page

POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:"  # the browser asks no other server
SESSIONS = 200  # whose settings Gradio remembers
WAITING = 50  # calls in Gradio's queue


def paint(options: PaintOptions) -> None:
    """Serves the page until Ctrl-C.

    Raises UserError if Gradio or a model is missing, or if the address or port is not free.
    """
    if not importlib.util.find_spec("gradio"):
        raise UserError("the page needs Gradio: pip install -r requirements-paint.txt")
    with listening(options.host, options.port) as listener:
        painter = Painter(open_model(options.checkpoint_dir, photos=True))
        folder = folder_for_gradio()
        from jobs.paint.page import Page

        app = create_app(Page(painter, folder.path), folder, options.host)
        address = f"http://{f'[{options.host}]' if ':' in options.host else options.host}:{options.port}"
        say(f"the page is at {address}, until Ctrl-C")
        if has_screen():
            webbrowser.open(address)
        serve(app, listener)


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Opens a socket at the address and port. Raises UserError if they are not free."""
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UserError(
            f"cannot serve at {host}, port {port} ({error.strerror}): choose another --port or --host"
        ) from error
    with listener:
        yield listener


def folder_for_gradio() -> "Folder":
    """Creates the temporary folder, and has Gradio use it, which must not have been imported before."""
    from jobs.paint.folder import Folder

    folder = Folder()
    os.environ.update(GRADIO_TEMP_DIR=str(folder.path), GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1")
    return folder


def create_app(page: "Page", folder: "Folder", host: str) -> "Gate":
    """Returns the page as an ASGI app behind its gate. host: the address served."""
    from jobs.paint.gate import Gate

    app = mounted(page.blocks)
    folder.keep()
    return Gate(app, folder, host)


def mounted(blocks: Any) -> Any:
    """Returns Gradio's app of the page.

    It is mounted, not launched, because `launch` cannot take a socket that listens already.
    """
    import gradio as gr
    import gradio.queueing
    import gradio.routes
    from fastapi import FastAPI

    for module in (gradio.queueing, gradio.routes):
        vars(module)["traceback"] = SimpleNamespace(print_exc=log_error)
    # `launch` sets this. Without it Gradio hands out any file that a call names.
    blocks.has_launched = True
    blocks.state_session_capacity = SESSIONS
    blocks.queue(api_open=False, max_size=WAITING)
    return gr.mount_gradio_app(
        FastAPI(openapi_url=None),
        blocks,
        "/",
        ssr_mode=False,
        run_history=False,
        footer_links=[],
        show_error=False,  # its text may contain a path of this machine
        max_file_size=LARGEST_FILE,
        theme=gr.themes.Default(font=("system-ui", "sans-serif"), font_mono=("monospace",)),
    )


def log_error() -> None:
    """Prints the current exception in one line. A client can cause one by a call with wrong values."""
    print(f"error: a call to the page failed: {one_line(sys.exc_info()[1])}", file=sys.stderr)


def has_screen() -> bool:
    """Returns whether a screen can show the page. Without one a text browser could take over the terminal."""
    return sys.platform in ("win32", "darwin") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())


def serve(app: Any, listener: socket.socket) -> None:
    """Serves an ASGI app until Ctrl-C, SIGTERM or SIGHUP."""
    import uvicorn.server

    # SIGHUP, too, lets the threads end that would keep the process alive. `nohup` ignores it.
    handled = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    uvicorn.server.HANDLED_SIGNALS = tuple(handled)  # type: ignore[assignment]
    config = uvicorn.Config(
        app,
        log_level="critical",
        headers=[("Content-Security-Policy", POLICY)],
        timeout_graceful_shutdown=1,  # seconds; an open page keeps asking
    )
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
