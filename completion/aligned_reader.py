"""Reads aligned faces, or other pictures that fill the model's frame, and fits them and their masks to the model."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from completion.batches import Final, Reader
from completion.given_masks import GivenMasks, Hidden, without_transparency
from dcgan.options import NetworkOptions
from faces.table import check_margin
from images.decoding import Given, Source, central_square, load_picture, picture_size, read_photo, resized
from images.incomplete import Incomplete
from images.mask_options import WITHOUT_HOLE
from images.masks import HALF, covered, fit_mask, grown, make_mask
from images.photo import Photo
from utils import UserError

ENLARGED = 8  # A picture is enlarged at most this many times: a smaller one shows hardly anything of a face.


class Loaded(NamedTuple):
    """A picture to complete, with the size of the model."""

    path: Source
    picture: Photo  # its pixels are uint8 [size, size, c_dim]
    fitted: bool  # whether it was cropped or resized
    hidden: Hidden | None = None  # None if the options make the mask

    @property
    def made_of(self) -> tuple[Any, ...]:
        """All that its completion depends on."""
        return self.picture.made_of

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.picture.shape

    @property
    def incomplete(self) -> Incomplete:
        """A batch of this picture alone."""
        return Incomplete(self.picture.pixels[None], self.picture.known).with_tones()


class AlignedReader(Reader):
    """Reads pictures [size, size, c_dim] and their masks."""

    def __init__(self, masks: GivenMasks, networks: NetworkOptions, seed: int):
        """Random masks follow from `seed`. UserError if a mask cannot be used."""
        self.masks, self.margin, size = masks, networks.margin, networks.image_size
        self.size, self.c_dim, options = size, networks.c_dim, masks.options
        self.made = make_mask(options.kind or "center", size, options, seed)
        if masks.file is not None:
            fit_mask(squared(masks.file, f"the mask {options.file}"), size, f"the mask {options.file}")

    def read(self, path: Source) -> Loaded:
        """Reads a picture and its mask. Known pixels do not depend on pixels in the hole, even if they are resized.

        Raises UserError if a file cannot be read, if the picture is tiny, if the picture or mask does not fit, or if
        the mask hides nothing or everything.
        """
        file = path.source if isinstance(path, Given) else path
        check_margin([file] if isinstance(file, Path) else [], self.margin)
        size, options = self.size, self.masks.options
        width, height = picture_size(path)
        if ENLARGED * min(width, height) < size:
            raise UserError(f"{path} is {width}x{height}, too small for this {size}x{size} model: use a larger picture")
        if options.kind in WITHOUT_HOLE:
            pixels, fitted, _ = load_picture(path, size, self.c_dim)
            return Loaded(path, Photo(pixels, self.made), fitted)
        photo = read_photo(path, options.keep_alpha)
        square = photo[central_square(photo.shape)]
        if self.c_dim == 1:
            square = square.in_gray()
        mask, hidden = self._mask(path, square.known)
        known = fit_mask(mask, size, f"the mask of {path}")
        weights = covered(mask, *square.shape)
        square = without_transparency(replace(square, known=weights >= HALF))
        fitted = photo.shape != (size, size)
        if fitted:
            square = self._resized(square, known, weights)
        return Loaded(path, replace(square, known=known), fitted, hidden)

    def _resized(self, square: Photo, known: np.ndarray, weights: np.ndarray) -> Photo:
        """Resizes a square to the model's size, so that known pixels do not depend on hidden ones.

        known: bool [size, size]. weights: uint8 [s, s], the known share of each pixel.
        """
        size, stored = self.size, square.stored
        # The hole is resized separately: before.png shows its pixels, but they must not blur into known ones.
        alone = resized(square.pixels.squeeze(), size).reshape(size, size, -1)
        pixels = np.where(known[..., None], resized(np.dstack([square.pixels, weights]), size)[..., :-1], alone)
        numbers = stored.colors.numbers(pixels.reshape(size * size, -1)).reshape(size, size, -1)
        alpha = None if stored.alpha is None else resized(stored.alpha, size)
        return Photo(pixels, known, replace(stored, numbers=numbers, white=255, alpha=alpha))

    def _mask(self, path: Source, opaque: np.ndarray) -> tuple[np.ndarray, Hidden | None]:
        """The mask of a picture's central square, bool [S, S], and how much it hides; None if the program makes it.

        opaque: bool [s, s], which pixels of the square are opaque.
        """
        options, side = self.masks.options, len(opaque)
        given = self.masks.of(path)
        if given is not None:
            mask = given[central_square(given.shape)] if options.hole_color else squared(given, f"the mask of {path}")
        elif options.usual and (options.invert or not opaque.all()):
            mask = given = opaque = opaque ^ options.invert
        else:
            mask = self.made
        if options.grow or not opaque.all():
            mask = opaque & (covered(mask, side, side) >= HALF)
        return grown(mask, options.grow), Hidden.by(mask) if given is not None else None

    def finals(self, loaded: Loaded, tries: Sequence[np.ndarray]) -> Iterator[Final]:
        """The pictures to write, from the completed face of each try, uint8 [1, size, size, c_dim]."""
        picture = loaded.picture
        masked = Incomplete(picture.pixels[None], picture.known, self.masks.options.lowres).shown()
        for (face,) in tries:
            yield Final(replace(picture, pixels=face), close_up=(masked[0], face))


def squared(mask: np.ndarray, name: str) -> np.ndarray:
    """The mask, bool [S, S]. Raises UserError if it is not square."""
    height, width = mask.shape
    if height != width:
        raise UserError(
            f"{name} is {width}x{height}: crop it to a square like the picture, or add --photo for a whole photo"
        )
    return mask
