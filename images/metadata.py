"""The metadata of its file that a result keeps: EXIF data, resolution, and how a JPEG is compressed."""

from contextlib import suppress
from typing import Any

from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling
from PIL.TiffImagePlugin import X_RESOLUTION, TiffImageFile

Base, IFD = ExifTags.Base, ExifTags.IFD
# The tags of a TIFF file that are not about how its pixels are stored.
OF_PHOTO = {
    Base.ImageDescription,
    Base.Make,
    Base.Model,
    Base.Software,
    Base.DateTime,
    Base.Artist,
    Base.Copyright,
    IFD.Exif,
    IFD.GPSInfo,
}
MOST_DPI = 65535  # that JPEG can store


def metadata_of(picture: Image.Image) -> dict[str, Any]:
    """Arguments of Pillow's `save` for a copy of a picture file that stands upright.

    exif: bytes, without the thumbnail, which would show the picture before. dpi: two numbers. qtables and subsampling:
    those of a JPEG.
    """
    kept: dict[str, Any] = {}
    with suppress(Exception):  # Pillow raises nearly anything on damaged EXIF data
        exif = picture.getexif()
        exif.pop(Base.Orientation, None)
        for tag in set(exif) - OF_PHOTO if isinstance(picture, TiffImageFile) else ():
            del exif[tag]
        if exif:
            kept["exif"] = exif.tobytes()
    dpi = picture.info.get("dpi", ())
    told = not isinstance(picture, TiffImageFile) or X_RESOLUTION in picture.tag_v2  # Pillow says 1 dpi if not
    if dpi and told and all(0 < number <= MOST_DPI for number in dpi):
        kept["dpi"] = tuple(map(float, dpi))
    if isinstance(picture, JpegImageFile):
        kept["qtables"] = picture.quantization
        if (subsampling := get_sampling(picture)) >= 0:
            kept["subsampling"] = subsampling
    return kept
