"""Arranges many pictures in one."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from images.photo import shrunk_to
from utils import one_line

ROWS = 8  # at most, in a sheet for people
BORDER = 4  # pixels between framed pictures
SMALL = 512  # pixels, the longest side of a thumbnail
TITLE = 16  # height of a title's letters in pixels


def grid(pixels: np.ndarray, columns: int = 8, blank: int = 0) -> np.ndarray:
    """Arranges uint8 pictures [N, H, W, C] in rows of `columns`, or N if fewer; empty places are `blank`."""
    n, height, width, channels = pixels.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.full((rows * columns, height, width, channels), blank, np.uint8)
    sheet[:n] = pixels
    sheet = sheet.reshape(rows, columns, height, width, channels)
    return sheet.swapaxes(1, 2).reshape(rows * height, columns * width, channels)


def framed(pixels: np.ndarray, columns: int = 8) -> np.ndarray:
    """A `grid` of uint8 pictures [N, H, W, C], enlarged if they are small, with white borders."""
    enlarged = max(1, 128 // pixels.shape[1])
    pixels = pixels.repeat(enlarged, axis=1).repeat(enlarged, axis=2)
    sheet = grid(np.pad(pixels, ((0, 0), (BORDER, 0), (BORDER, 0), (0, 0)), constant_values=255), columns, 255)
    return np.pad(sheet, ((0, BORDER), (0, BORDER), (0, 0)), constant_values=255)


def titled(sheet: np.ndarray, titles: Sequence[str]) -> np.ndarray:
    """Adds a white margin with a title above each column to a `framed` sheet, uint8 [H, W, C]."""
    margin = Image.new("L", (sheet.shape[1], TITLE + 2 * BORDER), 255)
    draw, font = ImageDraw.Draw(margin), ImageFont.load_default(TITLE)
    for i, title in enumerate(titles):
        shown = one_line(title).encode(errors="replace").decode()  # a file's name may have any bytes
        draw.text((BORDER + i * (sheet.shape[1] - BORDER) // len(titles), BORDER), shown, 0, font)
    above = np.asarray(margin)[..., None].repeat(sheet.shape[2], axis=2)
    return np.concatenate([above, sheet])


def table(pixels: np.ndarray, titles: Sequence[str]) -> np.ndarray:
    """A `framed` sheet of uint8 pictures [N, H, W, C], row by row, with a title above each column."""
    return titled(framed(pixels, len(titles)), titles)


def named_table(pixels: np.ndarray, titles: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """A `table` with a name above each row."""
    rows = pixels.reshape(len(names), len(titles), *pixels.shape[1:])
    named = [titled(framed(row, len(titles)), [name]) for row, name in zip(rows, names, strict=True)]
    return titled(np.concatenate(named), titles)


def thumbnail(photo: np.ndarray) -> np.ndarray:
    """Shrinks a photo, uint8 [H, W, 3], to at most SMALL pixels a side."""
    return shrunk_to(photo, SMALL)


def on_white(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Centers pictures [H, W, 3] on white squares of one size, uint8 [N, S, S, 3]."""
    side = max(max(picture.shape[:2]) for picture in pictures)
    squares = np.full((len(pictures), side, side, 3), 255, np.uint8)
    for square, picture in zip(squares, pictures, strict=True):
        height, width, _ = picture.shape
        top, left = (side - height) // 2, (side - width) // 2
        square[top : top + height, left : left + width] = picture
    return squares
