"""Many pictures in one."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROWS = 8  # at most, of pictures that are to be looked at
BORDER = 4  # pixels between framed pictures
SMALL = 512  # pixels of a thumbnail's longer side, at most
TITLE = 16  # height of a title's letters in pixels


def grid(pixels: np.ndarray, columns: int = 8, blank: int = 0) -> np.ndarray:
    """[N, H, W, C] uint8 pictures row by row in one, `columns` wide (fewer if N is smaller), `blank` where none is."""
    n, height, width, channels = pixels.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.full((rows * columns, height, width, channels), blank, np.uint8)
    sheet[:n] = pixels
    sheet = sheet.reshape(rows, columns, height, width, channels)
    return sheet.swapaxes(1, 2).reshape(rows * height, columns * width, channels)


def framed(pixels: np.ndarray, columns: int = 8) -> np.ndarray:
    """A `grid` of [N, H, W, C] pictures, each big enough to look at and with a white border around it."""
    enlarged = max(1, 128 // pixels.shape[1])
    pixels = pixels.repeat(enlarged, axis=1).repeat(enlarged, axis=2)
    sheet = grid(np.pad(pixels, ((0, 0), (BORDER, 0), (BORDER, 0), (0, 0)), constant_values=255), columns, 255)
    return np.pad(sheet, ((0, BORDER), (0, BORDER), (0, 0)), constant_values=255)


def titled(sheet: np.ndarray, titles: Sequence[str]) -> np.ndarray:
    """A `framed` sheet uint8 [H, W, C] below a white margin with the `titles`, one above each of as many columns."""
    margin = Image.new("L", (sheet.shape[1], TITLE + 2 * BORDER), 255)
    draw, font = ImageDraw.Draw(margin), ImageFont.load_default(TITLE)
    for i, title in enumerate(titles):
        draw.text((BORDER + i * (sheet.shape[1] - BORDER) // len(titles), BORDER), title, 0, font)
    above = np.asarray(margin)[..., None].repeat(sheet.shape[2], axis=2)
    return np.concatenate([above, sheet])


def thumbnail(photo: np.ndarray) -> np.ndarray:
    """A photo, uint8 [H, W, 3], with sides of SMALL pixels at most."""
    picture = Image.fromarray(photo)
    picture.thumbnail((SMALL, SMALL))
    return np.asarray(picture)


def on_white(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 [N, S, S, 3]: pictures [H, W, 3], each in the middle of a white square into which every one fits."""
    side = max(max(picture.shape[:2]) for picture in pictures)
    squares = np.full((len(pictures), side, side, 3), 255, np.uint8)
    for square, picture in zip(squares, pictures, strict=True):
        height, width, _ = picture.shape
        top, left = (side - height) // 2, (side - width) // 2
        square[top : top + height, left : left + width] = picture
    return squares
