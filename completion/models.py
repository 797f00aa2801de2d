"""Opens the model to complete with."""

from pathlib import Path
from typing import TYPE_CHECKING

from dcgan.directories import model_directory
from utils import UserError, say

if TYPE_CHECKING:
    from model import DCGAN

FEW = 500  # steps; a model trained for fewer makes noise


def open_model(
    named: Path, size: int | None = None, lowres: int = 0, precision: str = "float32", photos: bool = False
) -> "DCGAN":
    """The model to complete with; UserError if there is none or it does not fit the options."""
    directory = model_directory(named, photos)  # an error comes before TensorFlow is loaded
    from dcgan.devices import strategy_of
    from model import DCGAN

    dcgan = DCGAN.load(directory, precision=precision, strategy=strategy_of())
    if size and size != dcgan.image_size:
        raise UserError(f"the model in {directory} has --imgSize {dcgan.image_size}, not {size}: leave the option out")
    if lowres and dcgan.image_size % lowres:
        raise UserError(f"--lowresBlock {lowres} does not divide the model's {dcgan.image_size} pixels: choose 4 or 8")
    steps = int(dcgan.step)
    few = "; results may be noise: for a bundled model, name its folder by --checkpointDir" if 0 < steps < FEW else ""
    say(f"model: {directory}, trained for {steps} steps{few}")
    return dcgan
