"""The methods that evaluate.py compares. NumPy, OpenCV and the rest are imported once a method runs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dcgan.options import PRESETS, Preset

if TYPE_CHECKING:
    import numpy as np

    Fill = Callable[
        [np.ndarray, np.ndarray], np.ndarray
    ]  # completes a picture, uint8 [H, W, C], by its mask, bool [H, W]

RADIUS = 3  # pixels that OpenCV's methods look at around each, as in its examples
FACES, PHOTOS = "aligned faces", "photos"
DEFAULT, POST = PRESETS["default"], PRESETS["post"]
FAST: dict[str, Any] = {"approach": "lbfgs", "start": "zero", "n_iter": 90}


@dataclass(frozen=True)
class Method:
    """A way to complete pictures."""

    name: str
    help: str
    run: Callable[[Any], Any]  # completes `HiddenFaces` or `DamagedPhotos`
    kinds: tuple[str, ...] = (FACES,)  # what it can complete
    slow: bool = False  # whether it only runs if it is named


def spline(picture: "np.ndarray", mask: "np.ndarray") -> "np.ndarray":
    """Completes a picture by the spline in tension through its known pixels."""
    from images.spline import Spline

    completed = picture.copy()
    completed[~mask] = Spline(mask)(picture).clip(0, 255).round()
    return completed


def opencv(name: str) -> "Fill":
    """Returns OpenCV's inpainting by the algorithm of this name."""

    def fill(picture: "np.ndarray", mask: "np.ndarray") -> "np.ndarray":
        import cv2

        return cv2.inpaint(picture, (~mask).astype("uint8"), RADIUS, getattr(cv2, name)).reshape(picture.shape)

    return fill


def _variant(name: str, help: str, base: Preset = DEFAULT, blend: str = "", **changes: Any) -> Preset:
    return Preset(name, help, replace(base.search, **changes), blend or base.blend)


def _by_search(preset: Preset, *kinds: str, slow: bool = False, **how: Any) -> Method:
    return Method(preset.name, preset.help, lambda pictures: pictures.by_search(preset, **how), kinds or (FACES,), slow)


def _by_filling(name: str, help: str, fill: "Fill", *kinds: str) -> Method:
    return Method(name, f"no model: {help}", lambda pictures: pictures.by_filling(fill), kinds)


_ALL = (
    _by_search(DEFAULT, FACES, PHOTOS),
    _by_search(PRESETS["likely"]),
    _by_search(PRESETS["lively"]),
    _by_search(_variant("unrefined", "the default with --refine 0: no search in G's feature maps", refine=0)),
    _by_search(_variant("poisson", "the default with --blend poisson, as in the paper", blend="poisson")),
    _by_search(_variant("unblended", "the default with --blend none", blend="none")),
    _by_search(POST, slow=True),
    _by_search(_variant("post-fast", "the post's loss, minimized by L-BFGS", POST, **FAST)),
    _by_search(_variant("hmc", "the default with --approach hmc: a random sample, not the best fit", approach="hmc")),
    _by_search(
        _variant("aligned", "only with --photo: the default with the true positions of the faces"), PHOTOS, told=True
    ),
    _by_search(_variant("ungrained", "only with --photo: the default with --grain 0"), PHOTOS, grain=0),
    _by_filling("spline", "a spline in tension through the known pixels", spline, FACES, PHOTOS),
    _by_filling("telea", "OpenCV's inpainting by Telea's method", opencv("INPAINT_TELEA"), FACES, PHOTOS),
    _by_filling(
        "navier-stokes", "OpenCV's inpainting by the Navier-Stokes equations", opencv("INPAINT_NS"), FACES, PHOTOS
    ),
)
METHODS = {method.name: method for method in _ALL}
