"""The page of paint.py: what it shows, and what its buttons do."""

import html
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from images.files import save_picture
from images.photo import Photo
from images.saving import save_photo
from jobs.paint.canvas import DEMO, TRIES, Canvas, Painter, Suggestion, open_canvas, painted, read_layer
from jobs.paint.pointing import ASKED, Pointing, after_click, pointed_frame, request
from utils import UserError

PINK = "#ff2d95"
HEIGHT = 440  # pixels of the photo on the page
GALLERY = 200  # pixels of the suggestions below it
HINT = "Paint over the part to replace and press Complete."
SWAP = "If it should be the other part, change the check mark below the mask."
LAST_SEED = 2**31 - 1
# Gradio's editor forgets to send a stroke painted while its photo is being loaded, unless it changes again.
SEND_STROKES = "seed => { window.editor?.notify('change'); return seed; }"

Updates = dict[Any, Any]
"""The new values or settings of components of the page."""


class Choice(NamedTuple):
    """The files of a suggestion."""

    picture: str  # to save
    comparison: tuple[str, str]  # the photo before and after, as the page shows it
    close_up: str
    title: str  # no file


class Page:
    """A photo to paint on at the left, before and after at the right."""

    def __init__(self, painter: Painter, folder: Path):
        """folder: where results wait until they are saved."""
        self.painter, self.folder = painter, folder
        demo = open_canvas(DEMO)
        with gr.Blocks(title="Complete a photo") as self.blocks:
            self.path = gr.State(str(DEMO))  # of the session's photo
            gr.Markdown("# Complete a photo")
            with gr.Row():
                with gr.Column():
                    self.editor = gr.ImageEditor(
                        **settings(demo),
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
            self.gallery = gr.Gallery(
                label="Suggestions",
                columns=TRIES,
                height=GALLERY,
                object_fit="contain",
                allow_preview=False,
                interactive=False,
                visible=False,
                buttons=[],
            )
            self.choices = gr.State(())  # of the session, for each picture of the gallery
            with gr.Row():
                with gr.Column():
                    with gr.Row():
                        self.photo = gr.File(label="Another photo", height=140)
                        self.mask_file = gr.File(label="Mask, white = keep", height=140)
                    self.invert = gr.Checkbox(label="Invert the mask: white = fill")
                with gr.Column():
                    self.status = gr.HTML(HINT, elem_id="status")
                    with gr.Row():
                        self.complete = gr.Button("Complete", variant="primary")
                        self.another = gr.Button("Another seed")
                        self.seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=LAST_SEED, min_width=80)
                    with gr.Row():
                        self.picture = gr.DownloadButton("Save picture", interactive=False)
                        self.mask = gr.DownloadButton("Save mask", interactive=False)
                    self.pointing = Pointing(HEIGHT)
            self._listen()

    def _listen(self) -> None:
        """Connects the buttons to what they do.

        Functions that read files get the names that the browser sent (`preprocess=False`): Gradio would decode and
        copy all of them, those that are not needed too.
        """
        pointing, mask = self.pointing, [self.mask_file, self.invert]
        pointed = [pointing.points, pointing.photo]
        files = [self.gallery, self.choices, self.picture, self.mask]
        changed = [self.status, self.comparison, self.complete, self.another, *files]
        searches = []
        for button, step in ((self.complete, 0), (self.another, 1)):
            # Without the queue the buttons turn off at once, so nobody presses twice.
            pressed = button.click(
                partial(self.pressed, step),
                self.seed,
                [self.seed, *changed],
                queue=False,
                preprocess=False,
                js=SEND_STROKES,
            )
            search = pressed.then(
                self.completed,
                [self.editor, self.seed, self.path, *mask, pointing.points],
                [*changed, *pointed],
                concurrency_id="search",
                show_progress="hidden",
                preprocess=False,
            )
            search.then(lambda: self.buttons(True), None, changed, queue=False)
            searches.append(search)
        self.gallery.select(self.chosen, self.choices, [self.status, self.comparison, self.picture])
        self.photo.upload(lambda: None, cancels=searches, queue=False).then(
            self.opened,
            self.photo,
            [self.photo, self.path, self.editor, *mask, *changed, *pointed],
            preprocess=False,
        )
        self.editor.clear(self.cleared, [self.path, *mask], self.editor, preprocess=False)
        for event in (self.mask_file.upload, self.mask_file.clear, self.invert.input):
            event(self.masked, [self.path, *mask], [self.mask_file, self.status, self.editor], preprocess=False)
        pointing.photo.select(
            self.clicked, [self.path, *mask, pointing.points], [self.status, *pointed], preprocess=False
        )

    def pressed(self, step: int, seed: float | None) -> Updates:
        """Returns what changes as soon as a button is pressed, which adds `step` to the seed."""
        following = min(max(0, int(seed or 0) + step), LAST_SEED)
        return {self.seed: following, self.status: "Waiting ...", **self.buttons(False), **self.no_files()}

    def completed(
        self,
        edited: dict[str, Any] | None,
        seed: float | None,
        path: str,
        mask: dict[str, Any] | None,
        invert: bool | None,
        points: list[tuple[int, int]],
    ) -> Iterator[Updates]:
        """Yields the stages of a completion, and at the end the files to save."""
        try:
            canvas = reopen_canvas(path, mask, invert)
            layers = [layer["path"] for layer in (edited or {}).get("layers") or [] if layer]
            photo = painted(canvas, [read_layer(Path(layer)) for layer in layers])
            frame = pointed_frame(canvas, photo, points, self.painter.completer) if len(points) == len(ASKED) else None
            place = Path(tempfile.mkdtemp(dir=self.folder))
            choices: list[Choice] = []
            for stage in self.painter.complete(canvas, photo, int(seed or 0), frame):
                seen = {} if stage.view is None else {self.comparison: (canvas.view, stage.view)}
                if stage.suggestion:
                    choices.append(saved(place, canvas, stage.suggestion))
                yield {self.status: stage.message, **seen}
            yield self.files(canvas, photo, place, choices)
            if not stage.found:
                asked = f"{stage.message} If there is a face, show where. {request(())}"
                yield {self.status: asked, **self.pointing.show(canvas)}
        except (UserError, MemoryError) as error:
            yield {self.status: message(error)}

    def opened(self, file: dict[str, Any] | None) -> Iterator[Updates]:
        """Yields the page with another photo, a file that the browser uploaded."""
        try:
            if not file:
                raise UserError(HINT)
            canvas = open_canvas(Path(file["path"]))
        except (UserError, MemoryError) as error:
            yield {self.photo: None, self.status: message(error)}
            return
        of_photo = {self.photo: None, self.path: file["path"], self.comparison: None, self.status: HINT}
        yield {**of_photo, self.mask_file: None, self.invert: False, **self.pointing.hide(), **self.no_files()}
        yield from self.renewed(canvas)

    def cleared(self, path: str, mask: dict[str, Any] | None, invert: bool | None) -> Iterator[Updates]:
        """Yields the editor with the same photo and nothing painted."""
        with suppress(UserError):  # the photo was deleted to make room; the next completion reports it
            yield from self.renewed(reopen_canvas(path, mask, invert))

    def masked(self, path: str, mask: dict[str, Any] | None, invert: bool | None) -> Iterator[Updates]:
        """Yields the page with the hole of a mask, or without it if the mask was removed or cannot be used."""
        try:
            canvas = reopen_canvas(path, mask, invert)
        except (UserError, MemoryError) as error:
            yield {self.mask_file: None, self.status: message(error)}
            yield from self.cleared(path, None, False)
            return
        mostly = mask and canvas.photo.known.mean() < 0.5
        yield {self.status: f"The hole is more than half of the photo. {SWAP}" if mostly else HINT}
        yield from self.renewed(canvas)

    def clicked(
        self,
        path: str,
        mask: dict[str, Any] | None,
        invert: bool | None,
        points: list[tuple[int, int]],
        click: gr.SelectData,
    ) -> Updates:
        """Returns the photo with another point of the face."""
        try:
            given = after_click(points, click.index)
            return {self.status: request(given), **self.pointing.show(reopen_canvas(path, mask, invert), given)}
        except (UserError, MemoryError) as error:
            return {self.status: message(error)}

    def renewed(self, canvas: Canvas) -> Iterator[Updates]:
        """Yields a new editor with nothing painted. An editor whose photo is replaced would lose strokes."""
        yield {self.editor: gr.update(visible=False)}
        yield {self.editor: gr.update(**settings(canvas), visible=True)}

    def buttons(self, ready: bool) -> Updates:
        """Turns the buttons that start a search on or off."""
        return {button: gr.update(interactive=ready) for button in (self.complete, self.another)}

    def no_files(self) -> Updates:
        """Turns the buttons that save files off, and hides the suggestions."""
        off = {button: gr.update(value=None, interactive=False) for button in (self.picture, self.mask)}
        return {self.gallery: gr.update(value=None, visible=False), self.choices: (), **off}

    def files(self, canvas: Canvas, photo: Photo, place: Path, choices: Sequence[Choice]) -> Updates:
        """Shows the suggestions, chooses the first, and lets it and the mask be saved."""
        mask = place / f"{canvas.name}-mask.png"
        save_picture(mask, 255 * photo.known[..., None].astype(np.uint8))
        pictures = [(choice.close_up, choice.title) for choice in choices]
        return {
            self.gallery: gr.update(value=pictures, visible=True, selected_index=0),
            self.choices: tuple(choices),
            self.comparison: choices[0].comparison,
            self.picture: gr.update(value=choices[0].picture, interactive=True),
            self.mask: gr.update(value=str(mask), interactive=True),
        }

    def chosen(self, choices: Sequence[Choice], selected: gr.SelectData) -> Updates:
        """Shows a suggestion, and lets it be saved."""
        choice = choices[selected.index]
        if not all(map(os.path.exists, (*choice.comparison, choice.picture))):
            return {self.status: "This picture was deleted to make room for others. Press Complete again."}
        return {self.comparison: choice.comparison, self.picture: gr.update(value=choice.picture)}


def saved(place: Path, canvas: Canvas, suggestion: Suggestion) -> Choice:
    """Writes a suggestion into a folder of its own in `place`."""
    folder = Path(tempfile.mkdtemp(dir=place))
    picture = folder / f"{canvas.name}-completed.png"
    before, after, close_up = (folder / f"{name}.png" for name in ("before", "after", "close-up"))
    save_photo(picture, suggestion.photo)
    for path, view in ((before, canvas.view), (after, suggestion.view), (close_up, suggestion.close_up)):
        save_picture(path, view)
    return Choice(str(picture), (str(before), str(after)), str(close_up), suggestion.title)


def reopen_canvas(path: str, mask: dict[str, Any] | None = None, invert: bool | None = False) -> Canvas:
    """Reads a session's photo and its mask again, so that no session occupies memory.

    mask: a file as Gradio names it. Raises UserError if one cannot be read, or was deleted to make room.
    """
    for what, file in (("photo", path), ("mask", mask and mask["path"])):
        if file and not Path(file).exists():
            raise UserError(f"Your {what} was deleted to make room for others. Open it again.")
    return open_canvas(Path(path), Path(mask["path"]) if mask else None, bool(invert))


def message(error: Exception) -> str:
    """Returns an error's text as HTML."""
    return html.escape(str(error)) or "This photo is too large for this machine's memory."


def settings(canvas: Canvas) -> dict[str, Any]:
    """Returns the settings of an editor with a photo, nothing painted, and a brush for the mouth of a small face."""
    brush = gr.Brush(default_size=min(canvas.view.shape[:2]) // 40 + 1, colors=[PINK], color_mode="fixed")
    return {"value": {"background": canvas.view, "layers": [], "composite": None}, "brush": brush}
