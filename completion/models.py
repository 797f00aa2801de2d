"""Opens the model to complete with."""

from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Union

from dcgan.directories import (
    ENOUGH,
    OWN,
    bundled,
    learned,
    model_directory,
    newest_of_tensorflow1,
    read_config,
    wide_of,
)
from utils import UserError, digest, say

if TYPE_CHECKING:
    from model import DCGAN

Model = Union[Path, "DCGAN", None]
"""A model's folder, an open model, or None for the default."""


def image_size(named: Model) -> int:
    """The size of the pictures of the model for aligned faces; UserError if there is no model."""
    if not (named is None or isinstance(named, Path)):
        return named.image_size
    directory = model_directory(named)
    of_tensorflow1 = newest_of_tensorflow1(directory)
    if not of_tensorflow1:
        return read_config(directory).image_size
    from dcgan.tensorflow1 import read  # here, because TensorFlow takes seconds to load

    return read(of_tensorflow1[1])[0].image_size


def open_model(
    named: Path | None, size: int | None = None, lowres: int = 0, precision: str = "float32", photos: bool = False
) -> "DCGAN":
    """The model to complete with, named or by default. UserError if there is none or it does not fit the options."""
    directory = model_directory(named, photos)  # an error comes before TensorFlow is loaded
    dcgan = _loaded(directory, precision)
    if size and size != dcgan.image_size:
        raise UserError(f"the model in {directory} has --imgSize {dcgan.image_size}, not {size}: leave the option out")
    if lowres and dcgan.image_size % lowres:
        raise UserError(f"--lowresBlock {lowres} does not divide the model's {dcgan.image_size} pixels: choose 4 or 8")
    say(f"model: {directory}, trained for {int(dcgan.step)} steps{_advice(named, directory, photos)}")
    return dcgan


def _loaded(directory: Path, precision: str) -> "DCGAN":
    from dcgan.devices import strategy_of
    from model import DCGAN

    return DCGAN.load(directory, precision=precision, strategy=strategy_of())


class WideModel:
    """The bundled model of heads, read from its files when a hole needs it."""

    def __init__(self, directory: Path, precision: str):
        self.directory, self.precision = directory, precision
        self.options = read_config(directory)

    @cached_property
    def dcgan(self) -> "DCGAN":
        return _loaded(self.directory, self.precision)

    def made_of(self) -> str:
        """Identifies the model. The index of a checkpoint has the checksum of each weight."""
        return digest(self.options, *(path.read_bytes() for path in sorted(self.directory.glob("dcgan-*.index"))))


def wide_model(dcgan: "DCGAN") -> WideModel | None:
    """The model of heads that belongs to a model of faces, if that is the bundled one for photos."""
    wide = wide_of(dcgan.directory) if dcgan.directory else None
    return _opened(wide, dcgan.precision) if wide else None


@lru_cache(maxsize=1)
def _opened(wide: Path, precision: str) -> WideModel:
    return WideModel(wide, precision)  # kept, because reading it and compiling its search take seconds


def _advice(named: Path | None, directory: Path, photos: bool) -> str:
    """How to change the choice of the model, where the user may want that."""
    steps = learned(named or OWN)
    if named:
        return "; results may be noise" if (steps or 0) < ENOUGH else ""
    if directory == OWN:
        return f". To use a bundled model instead, add --checkpointDir {bundled(photos)}"
    if steps is None:
        return ""
    return f". Your model in {OWN} has learned for only {steps} steps: to use it anyway, add --checkpointDir {OWN}"
