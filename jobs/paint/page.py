"""The page of paint.py: what it shows, and what its buttons do."""

import html
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from images.files import save_picture
from images.photo import Photo
from jobs.paint.canvas import DEMO, Canvas, Painter, open_canvas, painted
from utils import UserError

PINK = "#ff2d95"
HEIGHT = 440  # pixels of the photo on the page
HINT = "Paint over what is to be replaced, and press Complete."
LAST_SEED = 2**31 - 1
# Gradio's editor forgets to send a stroke that is painted while it still sets its photo up, unless it changes again.
SEND_STROKES = "seed => { window.editor?.notify('change'); return seed; }"

Updates = dict[Any, Any]
"""What changes on the page: new values or settings of its components."""


class Page:
    """A photo to paint on at the left, before and after at the right."""

    def __init__(self, painter: Painter, folder: Path):
        """folder: where what can be saved lies until then."""
        self.painter, self.folder = painter, folder
        demo = open_canvas(DEMO)
        with gr.Blocks(title="Complete a photo") as self.blocks:
            self.canvas = gr.State(demo)
            gr.Markdown("# Complete a photo")
            with gr.Row():
                with gr.Column():
                    self.editor = gr.ImageEditor(
                        to_editor(demo),
                        brush=brush(demo),
                        show_label=False,
                        height=HEIGHT,
                        sources=(),
                        transforms=(),
                        layers=False,
                        buttons=[],
                    )
                with gr.Column():
                    self.comparison = gr.ImageSlider(
                        label="Before and after",
                        height=HEIGHT,
                        max_height=HEIGHT,
                        slider_position=10,
                        buttons=["fullscreen"],
                    )
            with gr.Row():
                with gr.Column():
                    self.photo = gr.File(label="Another photo", height=140)
                with gr.Column():
                    self.status = gr.HTML(HINT, elem_id="status")
                    with gr.Row():
                        self.complete = gr.Button("Complete", variant="primary")
                        self.another = gr.Button("Another seed")
                        self.seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=LAST_SEED, min_width=80)
                    with gr.Row():
                        self.picture = gr.DownloadButton("Save picture", interactive=False)
                        self.mask = gr.DownloadButton("Save mask", interactive=False)
            self._listen()

    def _listen(self) -> None:
        """Has the buttons do something."""
        changed = [self.status, self.comparison, self.complete, self.another, self.picture, self.mask]
        searches = []
        for button, step in ((self.complete, 0), (self.another, 1)):
            # At once, whatever is under way: so nobody presses twice.
            pressed = button.click(
                lambda seed, step=step: self.pressed((seed or 0) + step),
                self.seed,
                [self.seed, *changed],
                queue=False,
                js=SEND_STROKES,
            )
            search = pressed.then(
                self.completed,
                [self.canvas, self.editor, self.seed],
                changed,
                concurrency_id="search",
                show_progress="hidden",
            )
            search.then(lambda: self.buttons(True), None, changed, queue=False)
            searches.append(search)
        self.photo.upload(lambda: None, cancels=searches, queue=False).then(
            self.opened, self.photo, [self.photo, self.canvas, self.editor, *changed]
        )
        self.editor.clear(self.renewed, self.canvas, self.editor)

    def pressed(self, seed: int) -> Updates:
        """What a press changes at once."""
        return {self.seed: min(seed, LAST_SEED), self.status: "Waiting ...", **self.buttons(False), **self.no_files()}

    def completed(self, canvas: Canvas, edited: dict[str, Any], seed: int) -> Iterator[Updates]:
        """The frames of a completion, and in the end what can be saved."""
        try:
            photo = painted(canvas, edited["layers"])
            for frame in self.painter.complete(canvas, photo, seed):
                seen = {} if frame.view is None else {self.comparison: (canvas.view, frame.view)}
                saved = {} if frame.result is None else self.files(canvas.name, photo, frame.result)
                yield {self.status: frame.said, **seen, **saved}
        except (UserError, MemoryError) as error:
            yield {self.status: said(error)}

    def opened(self, file: str) -> Iterator[Updates]:
        """The page with another photo."""
        try:
            canvas = open_canvas(Path(file))
        except (UserError, MemoryError) as error:
            yield {self.photo: None, self.status: said(error)}
            return
        finally:
            os.unlink(file)
        yield {self.photo: None, self.canvas: canvas, self.comparison: None, self.status: HINT, **self.no_files()}
        yield from self.renewed(canvas)

    def renewed(self, canvas: Canvas) -> Iterator[Updates]:
        """The editor with nothing painted. It is put up anew, as one whose photo is replaced loses strokes."""
        yield {self.editor: gr.update(visible=False)}
        yield {self.editor: gr.update(value=to_editor(canvas), brush=brush(canvas), visible=True)}

    def buttons(self, ready: bool) -> Updates:
        """Those that start a search."""
        return {button: gr.update(interactive=ready) for button in (self.complete, self.another)}

    def no_files(self) -> Updates:
        """The buttons that save, off."""
        return {button: gr.update(value=None, interactive=False) for button in (self.picture, self.mask)}

    def files(self, name: str, photo: Photo, result: np.ndarray) -> Updates:
        """The buttons that save: the result, and its mask, white where pixels are known."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        picture, mask = (place / f"{name}-{what}.png" for what in ("completed", "mask"))
        save_picture(picture, result, profile=photo.profile)
        save_picture(mask, 255 * photo.known[..., None].astype(np.uint8))
        files = {self.picture: str(picture), self.mask: str(mask)}
        return {button: gr.update(value=file, interactive=True) for button, file in files.items()}


def said(error: Exception) -> str:
    """An error as the page says it."""
    return html.escape(str(error)) or "This photo is too large for the memory that there is."


def to_editor(canvas: Canvas) -> dict[str, Any]:
    """A canvas as the editor takes it, with nothing painted."""
    return {"background": canvas.view, "layers": [], "composite": None}


def brush(canvas: Canvas) -> gr.Brush:
    """Small enough for the mouth of one of several people."""
    return gr.Brush(default_size=min(canvas.view.shape[:2]) // 40 + 1, colors=[PINK], color_mode="fixed")
