"""Clicks on a photo of the page that tell where a face is, if none is found."""

from collections.abc import Sequence
from typing import Any

import cv2
import gradio as gr
import numpy as np

from completion.photos import PhotoCompleter
from faces.alignment import frame_by
from faces.frame import Frame
from images.photo import Photo
from jobs.paint.canvas import Canvas
from utils import UserError

Point = tuple[int, int]
"""A pixel (x, y) of a canvas's view."""
# In the order of --points.
ASKED = ("the inner corner of one eye", "the inner corner of the other eye", "the lower edge of the lower lip")
READY = "Press Complete. If the points are wrong, click on the eye again."


class Pointing:
    """The photo to click on, which is hidden until no face is found."""

    def __init__(self, height: int):
        """height: pixels on the page. Adds the photo to the page at this place."""
        self.points = gr.State([])
        self.photo = gr.Image(
            label="Where is the face?", height=height, interactive=False, visible=False, buttons=["fullscreen"]
        )

    def show(self, canvas: Canvas, points: Sequence[Point] = ()) -> dict[Any, Any]:
        """Returns the updates that show the photo with these points."""
        view = canvas.view.copy()
        radius = max(2, min(view.shape[:2]) // 100)
        for point in points:
            cv2.circle(view, point, radius, (255, 255, 255), cv2.FILLED)
            cv2.circle(view, point, radius, (0, 0, 0))
        return {self.photo: gr.update(value=view, visible=True), self.points: [*points]}

    def hide(self) -> dict[Any, Any]:
        """Returns the updates that hide the photo and forget the points."""
        return {self.photo: gr.update(value=None, visible=False), self.points: []}


def after_click(points: Sequence[Point], point: Sequence[float]) -> list[Point]:
    """Returns the points with another one; the fourth begins anew."""
    return [*(points if len(points) < len(ASKED) else ()), (round(point[0]), round(point[1]))]


def request(points: Sequence[Point]) -> str:
    """Returns what to do once these points are given."""
    return f"Click on {ASKED[len(points)]} in the photo below." if len(points) < len(ASKED) else READY


def pointed_frame(canvas: Canvas, photo: Photo, points: Sequence[Point], completer: PhotoCompleter) -> Frame:
    """Returns the frame of the face at three points. Raises UserError if its face cannot be completed."""
    down, across = np.divide(photo.shape, canvas.view.shape[:2])
    in_photo = (np.array(points) + 0.5) * (across, down) - 0.5
    try:
        frame = frame_by(in_photo, completer.dcgan.image_size)
    except UserError:
        raise UserError(f"These points are not those of a face. {request(())}") from None
    if not completer.touched(photo, [frame]):
        raise UserError(f"The hole does not meet the face at these points, or hides all of it. {request(())}")
    return frame
