"""The colors of picture files, with or without an ICC profile, and sRGB, the colors that the models see."""

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

SRGB = ImageCms.createProfile("sRGB")
# Red, green and blue in steps of 17 levels. A profile that changes none of these colors by more than NEAR is sRGB.
GRID = 17 * np.stack(np.meshgrid(*[np.arange(16, dtype=np.uint8)] * 3), axis=-1).reshape(16, -1, 3)
NEAR = 1


@dataclass(frozen=True, eq=False)
class Colors:
    """How the numbers of a picture file stand for colors."""

    mode: str = "RGB"  # Pillow's: L, RGB or CMYK
    profile: bytes | None = None  # the ICC profile; without one, gray and RGB numbers are sRGB
    to: ImageCms.ImageCmsTransform | None = None  # the transform to sRGB; None if the numbers are sRGB
    back: ImageCms.ImageCmsTransform | None = None  # from sRGB; None if the numbers are sRGB, or if there is none

    @property
    def writable(self) -> bool:
        """Whether every output format can have such colors, and sRGB can be converted to them."""
        return self.mode != "CMYK" and (not self.to or self.back is not None)

    def srgb(self, picture: Image.Image) -> Image.Image:
        """A picture of this mode converted to sRGB, in Pillow's mode "RGB"."""
        if not self.to:
            return picture.convert("RGB")
        converted = self.to.apply(picture)
        return converted.getchannel("G").convert("RGB") if self.mode == "L" else converted  # exactly gray

    def numbers(self, srgb: np.ndarray) -> np.ndarray:
        """Pixels in sRGB, uint8 [N, 1 or 3], as numbers of these colors, uint8 [N, C]."""
        if self.back and len(srgb):
            rgb = np.broadcast_to(srgb, (len(srgb), 3))
            return np.asarray(self.back.apply(Image.fromarray(rgb[None].copy()))).reshape(len(srgb), -1)
        return srgb[:, : len(self.mode)]


@lru_cache(maxsize=16)
def colors_by(mode: str, profile: bytes | None) -> Colors:
    """The colors of numbers with an ICC profile. PyCMSError if it is broken or for another kind of colors."""
    if not profile:
        return Colors(mode)
    to = ImageCms.buildTransform(BytesIO(profile), SRGB, mode, "RGB")
    if mode == "RGB" and abs(np.asarray(to.apply(Image.fromarray(GRID))).astype(int) - GRID).max() <= NEAR:
        return Colors(mode, profile)
    try:
        back = ImageCms.buildTransform(SRGB, BytesIO(profile), "RGB", mode)
    except ImageCms.PyCMSError:  # a profile of a scanner, for example
        back = None
    return Colors(mode, profile, to, back)
