"""Pictures in every mode, with and without color profiles, through complete.py: pixel by pixel."""

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import profiles
import pytest
from conftest import assert_fails, assert_works, blobs, run_script
from PIL import Image, ImageCms
from PIL.ExifTags import IFD, Base
from PIL.JpegImagePlugin import get_sampling

from completion.aligned_reader import AlignedReader
from completion.given_masks import GivenMasks
from dcgan.options import NetworkOptions
from images.decoding import PictureError, is_lossy, load_picture, read_photo
from images.mask_options import MaskOptions
from images.metadata import metadata_of
from images.saving import save_photo
from model import DCGAN
from utils import UserError

SIDE = 16
HOLE = np.zeros((SIDE, SIDE), bool)
HOLE[4:12, 4:12] = True
RGB = blobs(1, SIDE)[0]
PICTURE = Image.fromarray(RGB)
GRAY = np.asarray(PICTURE.convert("L"))
DEEP = np.array(GRAY * 257.0 - np.arange(SIDE), np.uint16) | 1
CORNER = np.s_[:2, :2]
ALPHA = np.full((SIDE, SIDE), 255, np.uint8)
ALPHA[CORNER] = 0
PROFILES = {"L": profiles.GRAY, "RGB": profiles.RGB, "CMYK": profiles.CMYK}


def png(numbers, color_type, bits, transparent=None):
    """A PNG file of a kind that Pillow does not write. numbers: [H, W, C]; color_type: as in the PNG specification."""
    rows = [np.asarray(row, ">u2").tobytes() if bits == 16 else packed(row.ravel(), bits) for row in numbers]
    chunks = {b"IHDR": struct.pack(">IIBBBBB", numbers.shape[1], len(numbers), bits, color_type, 0, 0, 0)}
    if transparent is not None:
        chunks[b"tRNS"] = np.asarray(transparent, ">u2").tobytes()
    chunks |= {b"IDAT": zlib.compress(b"".join(b"\0" + row for row in rows)), b"IEND": b""}
    parts = (struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def packed(values, bits):
    return np.packbits((values[:, None] >> np.arange(bits)[::-1]) & 1).tobytes()


def encoded(picture, suffix, **arguments):
    """The content of a file that Pillow writes."""
    file = io.BytesIO()
    picture.save(file, suffix, **arguments)
    return file.getvalue()


def with_alpha(mode):
    picture = PICTURE.convert(mode)
    picture.putalpha(Image.fromarray(ALPHA))
    return picture


INDEXED = PICTURE.quantize(16)
PALETTE_ALPHA = INDEXED.convert("PA")
PALETTE_ALPHA.putalpha(Image.fromarray(ALPHA))
CMYK = PICTURE.convert("CMYK")
SRGB, CIELAB = (ImageCms.ImageCmsProfile(ImageCms.createProfile(space)) for space in ("sRGB", "LAB"))
LAB = ImageCms.buildTransform(SRGB, CIELAB, "RGB", "LAB").apply(PICTURE)
ONE, L, P = PICTURE.convert("1"), PICTURE.convert("L"), INDEXED.convert("RGB")
RGBA, LA = with_alpha("RGB"), with_alpha("L")
DEEP_RGB, DEEP_ALPHA = RGB * np.uint16(257), ALPHA * np.uint16(257)
KEYED = np.where(ALPHA, np.where(GRAY >> 6 == 1, 200, GRAY), 64)  # the gray from 64 to 127 is transparent
# By names: the content of a file, and what Pillow decodes it to, or the true pixels.
FILES = {
    "bits.png": (encoded(ONE, "PNG"), ONE.convert("L")),
    "gray.png": (encoded(L, "PNG"), L),
    "gray-tiff.tif": (encoded(L, "TIFF"), L),
    "gray-pnm.pgm": (encoded(L, "PPM"), L),
    "gray2.png": (png(KEYED[..., None] >> 6, 0, 2, 1), np.uint8(KEYED >> 6) * 85),
    "gray4.png": (png(KEYED[..., None] >> 4, 0, 4, 4), np.uint8(KEYED >> 4) * 17),
    "gray16.png": (png(DEEP[..., None], 0, 16), DEEP),
    "gray16-hole.png": (png(np.where(ALPHA, DEEP, 514)[..., None], 0, 16, 514), DEEP),
    "gray16-tiff.tif": (encoded(Image.fromarray(DEEP), "TIFF"), DEEP),
    "gray32.tif": (encoded(Image.fromarray(DEEP.astype(np.int32)), "TIFF"), DEEP),
    "gray-float.tif": (encoded(Image.fromarray((GRAY / 255).astype(np.float32)), "TIFF"), L),
    "gray-alpha.png": (encoded(LA, "PNG"), L),
    "gray-alpha-tiff.tif": (encoded(LA, "TIFF"), L),
    "gray-alpha16.png": (png(np.dstack([257 * GRAY.astype(np.uint16), DEEP_ALPHA]), 4, 16), L),
    "indexed.png": (encoded(INDEXED, "PNG"), P),
    "indexed-gif.gif": (encoded(INDEXED, "GIF"), P),
    "indexed-bmp.bmp": (encoded(INDEXED, "BMP"), P),
    "indexed-alpha.tif": (encoded(PALETTE_ALPHA, "TIFF"), P),
    "rgb.png": (encoded(PICTURE, "PNG"), PICTURE),
    "rgb-webp.webp": (encoded(PICTURE, "WEBP", lossless=True), PICTURE),
    "rgb-pnm.ppm": (encoded(PICTURE, "PPM"), PICTURE),
    "rgb16.png": (png(DEEP_RGB, 2, 16), PICTURE),
    "rgb16-hole.png": (png(np.where(ALPHA[..., None], DEEP_RGB | 257, 514), 2, 16, [514] * 3), RGB | 1),
    "rgbx.tif": (encoded(PICTURE.convert("RGBX"), "TIFF"), PICTURE),
    "rgba.png": (encoded(RGBA, "PNG"), PICTURE),
    "rgba-tiff.tif": (encoded(RGBA, "TIFF"), PICTURE),
    "rgba-webp.webp": (encoded(RGBA, "WEBP", lossless=True), PICTURE),
    "rgba16.png": (png(np.dstack([DEEP_RGB, DEEP_ALPHA]), 6, 16), PICTURE),
    "cmyk.tif": (encoded(CMYK, "TIFF"), CMYK.convert("RGB")),
    "lab.tif": (encoded(LAB, "TIFF"), LAB.convert("RGB")),
    "ycbcr.tif": (content := encoded(PICTURE, "TIFF", compression="jpeg"), Image.open(io.BytesIO(content))),
    "gray-jpeg.jpg": (content := encoded(L, "JPEG"), Image.open(io.BytesIO(content))),
    "rgb-jpeg.jpg": (content := encoded(PICTURE, "JPEG"), Image.open(io.BytesIO(content))),
    "cmyk-jpeg.jpg": (content := encoded(CMYK, "JPEG"), Image.open(io.BytesIO(content)).convert("RGB")),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    DCGAN(SIDE, gf_dim=4, df_dim=4).save(folder)
    return folder


def write_files(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def complete(folder, model, *args):
    """Completes the pictures in `in`."""
    fixed = ["--checkpointDir", model, "--nIter", 2, "--refine", 0, "--outInterval", 0, "--blend", "none"]
    return run_script("complete.py", "in", "--aligned", *fixed, *args, cwd=folder)


@pytest.fixture(scope="module")
def completed(model, tmp_path_factory):
    """A folder with the results of all files, and what was said."""
    folder = tmp_path_factory.mktemp("files")
    write_files(folder / "in", {name: content for name, (content, _) in FILES.items()})
    result = complete(folder, model, "--maskType", "center")
    assert_works(result)
    return folder / "completions" / "final", result.stdout


@pytest.mark.parametrize("name", FILES)
def test_known_pixels_are_those_of_the_file(completed, name):
    finals, said = completed
    final, expected = np.asarray(Image.open(finals / f"{Path(name).stem}.png")), np.asarray(FILES[name][1])
    assert final.shape == expected.shape and final.dtype == expected.dtype
    changed = (final != expected).reshape(SIDE, SIDE, -1).any(axis=-1)
    transparent = any(word in name for word in ("alpha", "hole", "rgba", "gray2", "gray4"))
    hole = HOLE | (ALPHA == 0) if transparent else HOLE
    assert not changed[~hole].any() and changed[HOLE].mean() > 0.5
    assert transparent == changed[CORNER].any()
    reduced = name in ("gray-float.tif", "gray-alpha16.png", "rgb16.png", "rgb16-hole.png", "rgba16.png")
    assert (f"in/{name} has more than 8 bits for each channel; the result has 8" in said) == reduced


@pytest.mark.parametrize(
    "content",
    [
        encoded(Image.fromarray(np.where(HOLE, 65535, GRAY).astype(np.uint16)), "PNG"),
        encoded(Image.fromarray(np.where(HOLE, 65535, GRAY).astype(np.int32)), "TIFF"),
        encoded(Image.fromarray(np.where(HOLE, 255, GRAY / 255).astype(np.float32)), "TIFF"),
        png(np.where(HOLE, 514, GRAY)[..., None], 0, 16, 514),
    ],
)
def test_a_marked_hole_does_not_darken_the_rest(tmp_path, content):
    """In files of 8 bits that are stored in more."""
    (tmp_path / "x").write_bytes(content)
    photo = read_photo(tmp_path / "x")
    np.testing.assert_array_equal(photo.pixels[~HOLE][:, 0], GRAY[~HOLE])
    filled = replace(photo, known=~HOLE, pixels=np.full_like(photo.pixels, 99)).to_save()
    np.testing.assert_array_equal(filled[..., 0], np.where(HOLE, 99, GRAY))


# ------------------------------------------------------------------------------------------ color profiles

WITH_PROFILE = {
    "bits.png": ONE,
    "gray.png": L,
    "gray16.png": Image.fromarray(DEEP),
    "gray-alpha.png": LA,
    "gray.tif": L,
    "gray.jpg": L,
    "indexed.png": INDEXED,
    "rgb.png": PICTURE,
    "rgb.webp": PICTURE,
    "rgb.jpg": PICTURE,
    "rgb.tif": PICTURE,
    "rgba.png": RGBA,
    "cmyk.tif": CMYK,
    "cmyk.jpg": CMYK,
}
BROKEN = {"gray.png": profiles.RGB, "rgb.png": b"no profile", "rgb.jpg": profiles.CMYK, "cmyk.tif": profiles.RGB[:300]}


def write(path, picture, **arguments):
    """Without loss, or nearly so."""
    fine = {".webp": {"lossless": True}, ".jpg": {"subsampling": 0, "quality": 95}}
    picture.save(path, **arguments | fine.get(path.suffix, {}))
    return path


def numbers_of(picture, mode):
    """[H, W, C] from 0 to 255, as Pillow decodes them."""
    deep = picture.mode == "I;16"
    return (np.asarray(picture) / 257 if deep else np.asarray(picture.convert(mode), float)).reshape(SIDE, SIDE, -1)


@pytest.mark.parametrize("name", WITH_PROFILE)
def test_the_model_sees_srgb_and_the_result_has_the_profile(tmp_path, name):
    mode = {"g": "L", "b": "L", "c": "CMYK"}.get(name[0], "RGB")
    path = write(tmp_path / name, WITH_PROFILE[name], icc_profile=PROFILES[mode])
    reader = AlignedReader(GivenMasks(MaskOptions(kind="center")), NetworkOptions(SIDE), 0)
    loaded = reader.read(path)
    known, numbers = loaded.picture.known, numbers_of(Image.open(path), mode)
    assert abs(loaded.picture.pixels - profiles.in_srgb(numbers))[known].max() < 3
    training = load_picture(path, SIDE, 3).pixels
    np.testing.assert_array_equal(training[known], loaded.picture.pixels[known])

    (made,) = reader.finals(loaded, [np.full((1, SIDE, SIDE, 3), 150, np.uint8)])
    save_photo(tmp_path / "final.png", made.photo)
    final = Image.open(tmp_path / "final.png")
    assert final.info.get("icc_profile") == (None if mode == "CMYK" else PROFILES[mode])
    if mode == "CMYK":
        np.testing.assert_array_equal(np.asarray(final)[known], loaded.picture.pixels[known])
        assert (np.asarray(final)[HOLE] == 150).all()
    else:
        result = numbers_of(final, mode)
        np.testing.assert_array_equal(result[known], numbers[known])
        assert abs(profiles.in_srgb(result[HOLE]) - 150).max() < 2


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_profile_is_ignored_with_a_line(tmp_path, capsys, name):
    path = write(tmp_path / name, WITH_PROFILE[name], icc_profile=BROKEN[name])
    photo = read_photo(path)
    assert capsys.readouterr().out.startswith(f"{path}: its color profile is ignored, because it is broken or not for ")
    np.testing.assert_array_equal(photo.pixels, np.asarray(Image.open(path).convert("RGB")))
    save_photo(tmp_path / "final.png", photo)
    assert "icc_profile" not in Image.open(tmp_path / "final.png").info


def test_a_profile_of_srgb_changes_nothing(tmp_path):
    photo = read_photo(write(tmp_path / "x.png", PICTURE, icc_profile=SRGB.tobytes()))
    np.testing.assert_array_equal(photo.pixels, RGB)
    assert photo.stored.colors.profile == SRGB.tobytes()


# ------------------------------------------------------------------------------------- formats and metadata


def photo_with_hole(path):
    """A photo whose hole is filled with gray."""
    photo = read_photo(path)
    return replace(photo, known=~HOLE, pixels=np.where(HOLE[..., None], np.uint8(99), photo.pixels))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("name", ["rgb.jpg", "gray.jpg", "gray16.png", "rgb.tif", "cmyk.jpg"])
def test_every_format_looks_the_same(tmp_path, name, suffix):
    mode = {"g": "L", "c": "CMYK"}.get(name[0], "RGB")
    photo = photo_with_hole(write(tmp_path / name, WITH_PROFILE[name], icc_profile=PROFILES[mode]))
    save_photo(tmp_path / f"final.{suffix}", photo, None if suffix != "jpg" else 100)
    final = read_photo(tmp_path / f"final.{suffix}").pixels.astype(int)
    assert abs(final - photo.pixels).max() <= (2 if suffix != "jpg" else 12)


@pytest.mark.parametrize(("quality", "subsampling"), [(30, 0), (80, 2), (95, 1)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_keeps_its_quality(tmp_path, mode, quality, subsampling):
    path = tmp_path / "x.jpg"
    PICTURE.convert(mode).save(path, quality=quality, subsampling=subsampling)
    save_photo(tmp_path / "final.jpg", photo_with_hole(path))
    before, after = Image.open(path), Image.open(tmp_path / "final.jpg")
    assert after.quantization[0] == before.quantization[0]
    if mode == "RGB":
        assert (after.quantization, get_sampling(after)) == (before.quantization, subsampling)
    save_photo(tmp_path / "other.jpg", photo_with_hole(path), quality=60)
    PICTURE.save(tmp_path / "60.jpg", quality=60)
    assert Image.open(tmp_path / "other.jpg").quantization[0] == Image.open(tmp_path / "60.jpg").quantization[0]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif", "x.webp"])
def test_exif_and_resolution_stay_and_the_result_is_upright(tmp_path, name, suffix):
    exif = Image.Exif()
    exif[Base.Orientation], exif[Base.Make] = 6, "maker"
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = "2020:01:02 03:04:05"
    if name == "x.webp":
        exif[Base.XResolution] = exif[Base.YResolution] = 200.0
    jpeg = Image.open(io.BytesIO(encoded(PICTURE, "JPEG", exif=exif)))
    write(tmp_path / name, PICTURE, exif=jpeg.getexif(), dpi=(200, 200))
    photo = photo_with_hole(tmp_path / name)
    save_photo(tmp_path / f"final.{suffix}", photo)
    final = Image.open(tmp_path / f"final.{suffix}")
    kept = final.getexif()
    assert kept[Base.Make] == "maker" and Base.Orientation not in kept and Base.StripOffsets not in kept
    assert kept.get_ifd(IFD.Exif)[Base.DateTimeOriginal] == "2020:01:02 03:04:05"
    dpi = kept[Base.XResolution] if "webp" in (suffix, name[2:]) else final.info["dpi"][0]
    assert dpi == pytest.approx(200, abs=0.01)
    if suffix != "jpg":
        stored = Image.open(tmp_path / name) if name == "x.jpg" else PICTURE
        upright = np.rot90(np.asarray(stored), -1)
        np.testing.assert_array_equal(np.asarray(final)[~HOLE], upright[~HOLE])


def test_the_format_of_results(tmp_path, model):
    """Files of another format are replaced, and the other pictures of a call are completed."""
    write_files(tmp_path / "in", {"a.png": encoded(PICTURE, "PNG"), "b.png": encoded(RGBA, "PNG")})
    finals = tmp_path / "completions" / "final"
    for args, expected in (
        ([], ["a.png", "b.png"]),
        (["--format", "jpg", "--quality", 70], ["a.jpg", "b.jpg"]),
        (["--format", "webp"], ["a.webp", "b.webp"]),
    ):
        assert_works(complete(tmp_path, model, "--maskType", "center", *args))
        assert sorted(path.name for path in finals.iterdir()) == expected
    assert not is_lossy(finals / "a.webp")
    np.testing.assert_array_equal(np.asarray(Image.open(finals / "a.webp"))[~HOLE], RGB[~HOLE])
    again = complete(tmp_path, model, "--maskType", "center", "--format", "webp")
    assert "earlier call with the same options: 2 of 2 pictures" in again.stdout
    assert_fails(complete(tmp_path, model, "--quality", 70), 2, "--quality is for jpg and webp")


@pytest.mark.parametrize("suffix", ["webp", "png"])
def test_a_photo_that_is_too_large_for_its_format_is_not_searched(tmp_path, model, monkeypatch, suffix):
    write_files(tmp_path / "in", {"x.png": encoded(Image.new("RGB", (16_384, 32)), "PNG")})
    monkeypatch.setattr(DCGAN, "complete", Mock(side_effect=UserError("searched")))
    args = ["--points", "10,10 20,10 15,30", "--format", suffix, "--checkpointDir", model]
    result = run_script("complete.py", "in", *args, cwd=tmp_path)
    assert_fails(result, 1, "searched" if suffix == "png" else "no picture was completed")
    fault = "skipped: in/x.png cannot be saved: webp has at most 16383 pixels a side. Add --format png"
    assert (fault in result.stdout) == (suffix == "webp")


@pytest.mark.parametrize("suffix", ["png", "webp"])
@pytest.mark.parametrize("size", [SIDE, 2 * SIDE])
def test_transparency_that_is_not_the_hole(tmp_path, model, suffix, size):
    """--keepAlpha: the result is as transparent as the picture, except in its hole. The hole becomes opaque."""
    alpha = np.full((SIDE, SIDE), 255, np.uint8)
    alpha[:6] = 90
    picture = PICTURE.copy()
    picture.putalpha(Image.fromarray(alpha))
    write_files(tmp_path / "in", {"a.png": encoded(picture.resize((size, size), Image.Resampling.NEAREST), "PNG")})
    Image.fromarray(np.uint8(255) * ~HOLE).save(tmp_path / "mask.png")
    args = ["--maskFile", "mask.png", "--keepAlpha", "--format", suffix]
    assert_works(complete(tmp_path, model, *args))
    final = np.asarray(Image.open(tmp_path / "completions" / "final" / f"a.{suffix}"))
    assert final.shape == (SIDE, SIDE, 4) and (final[HOLE][:, 3] == 255).all()
    assert abs(final[..., 3].astype(int) - alpha)[~HOLE].max() < 15  # resizing overshoots at edges
    if size == SIDE:
        np.testing.assert_array_equal(final[~HOLE], np.asarray(picture)[~HOLE])
    assert_fails(complete(tmp_path, model, *args[:3], "--format", "jpg"), 2, "--keepAlpha needs --format png or webp")
    assert_fails(complete(tmp_path, model, "--keepAlpha"), 2, "--keepAlpha needs a hole")


# ------------------------------------------------------------------------------------------ other files


@pytest.mark.parametrize(
    ("brand", "name"), [(b"heic", "HEIC"), (b"heix", "HEIC"), (b"mif1", "HEIF"), (b"avif", "AVIF"), (b"", "none of")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, brand, name):
    path = tmp_path / "x.jpg"
    path.write_bytes(bytes(4) + (b"ftyp" + brand if brand else b"") + bytes(100))
    with pytest.raises(PictureError, match=f"{name}.*: save it as PNG or JPEG"):
        read_photo(path)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif", "avif"])
def test_of_an_animation_the_first_frame_is_used(tmp_path, capsys, suffix):
    path, other = tmp_path / f"x.{suffix}", Image.new("RGB", PICTURE.size, (0, 200, 0))
    write(path, PICTURE, save_all=True, append_images=[other])
    pixels = read_photo(path).pixels.astype(int)
    assert abs(pixels - RGB).mean() < 12 < abs(pixels - np.asarray(other)).mean()
    words = "has several pages: only the first page" if suffix == "tif" else "is an animation: only the first frame"
    assert capsys.readouterr().out == f"{path} {words} is used\n"


@pytest.mark.parametrize("animated", [False, True])
@pytest.mark.parametrize("lossless", [False, True])
def test_a_lossless_webp_file_is_not_lossy(tmp_path, lossless, animated):
    arguments = {"lossless": lossless, "icc_profile": profiles.RGB, "exif": b"Exif\0\0VP8L"}
    frames = {"save_all": True, "append_images": [PICTURE.rotate(90)]} if animated else {}
    RGBA.save(tmp_path / "x.webp", **arguments, **frames)
    assert is_lossy(tmp_path / "x.webp") != lossless


def test_a_tiff_without_a_resolution_has_none(tmp_path):
    picture = Image.new("RGB", (8, 8))
    picture.save(tmp_path / "without.tif")
    picture.save(tmp_path / "with.tif", dpi=(300, 300))
    for name, dpi in {"without": None, "with": (300, 300)}.items():
        with Image.open(tmp_path / f"{name}.tif") as file:
            assert metadata_of(file).get("dpi") == dpi
