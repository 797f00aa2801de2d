"""The methods that evaluate.py compares. NumPy, OpenCV and the rest are imported once a method runs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from dcgan.options import PRESETS, Preset

if TYPE_CHECKING:
    import numpy as np

    Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]

RADIUS = 3  # pixels that OpenCV's methods look at around each, as in its examples
FACES, PHOTOS = "aligned faces", "photos"
DEFAULT, POST = PRESETS["default"], PRESETS["post"]


class Incompletes(Protocol):
    """The pictures that a method completes: aligned faces or whole photos."""

    def by_search(self, preset: Preset, told: bool = False) -> Any:
        """Completes them by the model. told: where the faces of the undamaged photos are."""

    def by_filling(self, fill: "Fill") -> Any:
        """Completes each picture, uint8 [H, W, C] and its mask, bool [H, W], by a function without a model."""


@dataclass(frozen=True)
class Method:
    """A way to complete pictures."""

    name: str
    help: str
    run: Callable[[Incompletes], Any]
    kinds: tuple[str, ...] = (FACES,)
    """What it can complete."""
    slow: bool = False
    """Whether it only runs if it is named."""
    needs: str = ""
    """A package to install, besides those in requirements.txt."""


def spline(picture: "np.ndarray", mask: "np.ndarray") -> "np.ndarray":
    """Completes a picture by the spline in tension through its known pixels."""
    from images.spline import Spline

    completed = picture.copy()
    completed[~mask] = Spline(mask)(picture).clip(0, 255).round()
    return completed


def telea(picture: "np.ndarray", mask: "np.ndarray") -> "np.ndarray":
    """Completes a picture by Telea's fast marching method."""
    import cv2

    return cv2.inpaint(picture, (~mask).astype("uint8"), RADIUS, cv2.INPAINT_TELEA).reshape(picture.shape)


def navier_stokes(picture: "np.ndarray", mask: "np.ndarray") -> "np.ndarray":
    """Completes a picture by the Navier-Stokes equations."""
    import cv2

    return cv2.inpaint(picture, (~mask).astype("uint8"), RADIUS, cv2.INPAINT_NS).reshape(picture.shape)


def biharmonic(picture: "np.ndarray", mask: "np.ndarray") -> "np.ndarray":
    """Completes a picture by the biharmonic equation."""
    from skimage.restoration import inpaint_biharmonic

    return (255 * inpaint_biharmonic(picture / 255, ~mask, channel_axis=-1).clip(0, 1)).round().astype("uint8")


def _by_search(pictures: Incompletes, preset: Preset, told: bool = False) -> Any:
    return pictures.by_search(preset, told)


def _by_filling(pictures: Incompletes, fill: "Fill") -> Any:
    return pictures.by_filling(fill)


def _of_preset(preset: Preset, *kinds: str, slow: bool = False) -> Method:
    return Method(preset.name, preset.help, partial(_by_search, preset=preset), kinds or (FACES,), slow)


def _without_model(name: str, help: str, fill: "Fill", *kinds: str, needs: str = "") -> Method:
    return Method(name, f"no model: {help}", partial(_by_filling, fill=fill), kinds, needs=needs)


METHODS = {
    method.name: method
    for method in (
        _of_preset(DEFAULT, FACES, PHOTOS),
        _of_preset(PRESETS["likely"]),
        _of_preset(PRESETS["lively"]),
        _of_preset(
            Preset(
                "unrefined",
                "the default with --refine 0: no search in G's feature maps",
                replace(DEFAULT.search, refine=0),
            )
        ),
        _of_preset(
            replace(DEFAULT, name="poisson", help="the default with --blend poisson, as in the paper", blend="poisson")
        ),
        _of_preset(replace(DEFAULT, name="unblended", help="the default with --blend none", blend="none")),
        _of_preset(POST, slow=True),
        _of_preset(
            Preset(
                "post-fast",
                "the post's loss, minimised by L-BFGS from a fitted z",
                replace(POST.search, approach="lbfgs", start="fit", n_iter=90),
                POST.blend,
            )
        ),
        _of_preset(
            Preset(
                "hmc",
                "the default with --approach hmc: a random sample instead of the minimum",
                replace(DEFAULT.search, approach="hmc"),
            )
        ),
        Method(
            "aligned",
            "--photo: the default, told where the faces of the undamaged photos are",
            partial(_by_search, preset=DEFAULT, told=True),
            (PHOTOS,),
        ),
        _without_model("spline", "a spline in tension through the known pixels", spline, FACES, PHOTOS),
        _without_model("telea", "OpenCV's inpainting by Telea's method", telea, FACES, PHOTOS),
        _without_model(
            "navier-stokes", "OpenCV's inpainting by the Navier-Stokes equations", navier_stokes, FACES, PHOTOS
        ),
        _without_model("biharmonic", "scikit-image's biharmonic inpainting", biharmonic, FACES, needs="scikit-image"),
    )
}
