"""Folders that nobody checked: every script goes on with the pictures it can read and names the others."""

import io
import os
import random
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import blobs, errors, run_script
from PIL import Image

from completion.aligned_reader import AlignedReader
from completion.given_masks import GivenMasks
from dcgan.options import NetworkOptions
from images.decoding import load_picture
from images.mask_files import read_mask
from images.mask_options import MaskOptions
from utils import UserError

PICTURE = Image.fromarray(blobs(1, 48)[0])
NAMES = [
    "with space.png",
    "quote'\".png",
    "new\nline.png",
    "ümläut 日本.png",
    os.fsdecode(b"bytes\xff.png"),
    "-dash.png",
]
NAMES += ["escape\x1b[31m.png", "#%s{0}.png", " .png", "a.b..png", "long" * 62 + ".png"]


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def kinds() -> dict[str, bytes]:
    """The picture in all formats and modes, by file name."""
    exif = Image.Exif()
    exif[0x0112] = 6
    sixteen_bits = Image.fromarray(np.asarray(PICTURE.convert("L")).astype(np.uint16) * 257)
    palette = PICTURE.convert("P")
    files = {f"{mode}.png": encoded(PICTURE.convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA")}
    files |= {f"{name}.tif": encoded(PICTURE, "TIFF", compression=f"tiff_{name}") for name in ("lzw", "deflate")}
    return files | {
        "I;16.png": encoded(sixteen_bits, "PNG"),
        "F.tif": encoded(Image.fromarray(np.asarray(sixteen_bits) / np.float32(65535)), "TIFF"),
        "G4.tif": encoded(PICTURE.convert("1"), "TIFF", compression="group4"),
        "jpeg.tif": encoded(PICTURE, "TIFF", compression="jpeg"),
        "exif.jpg": encoded(PICTURE, "JPEG", exif=exif),
        "progressive.jpeg": encoded(PICTURE, "JPEG", progressive=True),
        "CMYK.JPG": encoded(PICTURE.convert("CMYK"), "JPEG"),
        "still.gif": encoded(palette, "GIF"),
        "moving.gif": encoded(palette, "GIF", save_all=True, append_images=[palette.rotate(90)]),
        "x.bmp": encoded(PICTURE, "BMP"),
        "lossy.webp": encoded(PICTURE, "WEBP"),
        "lossless.webp": encoded(PICTURE.convert("RGBA"), "WEBP", lossless=True),
        "x.ppm": encoded(PICTURE, "PPM"),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """faces/ with files in good/ that can be read and in bad/ that cannot, and with links that lead in circles."""
    folder = tmp_path_factory.mktemp("any")
    good, bad = folder / "faces" / "good", folder / "faces" / "bad"
    good.mkdir(parents=True)
    bad.mkdir()
    for name, content in kinds().items():
        (good / name).write_bytes(content)
    for name in NAMES:
        (good / name).write_bytes(encoded(PICTURE, "PNG"))
    Image.new("RGB", (1, 1)).save(good / "one.png")
    Image.new("L", (9000, 30)).save(good / "wide.png")
    Image.new("1", (20, 33000)).save(good / "tall.png")
    (good / "folder.png").mkdir()
    (good / "folder.png" / "inside.png").write_bytes(encoded(PICTURE, "PNG"))
    (good / "folder.png" / "circle").symlink_to(folder)
    Image.new("1", (14000, 14000)).save(bad / "bomb.png")
    (bad / "cut.jpg").write_bytes(encoded(PICTURE, "JPEG")[:500])
    (bad / "empty.png").touch()
    (bad / "text.png").write_text("hello")
    (bad / "postscript.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (bad / "dangling.png").symlink_to("nowhere")
    (bad / "circle.png").symlink_to("circle.png")
    (bad / "device.png").symlink_to("/dev/zero")
    os.mkfifo(bad / "pipe.png")
    return folder


def left_out(result) -> set[str]:
    return {Path(path).name for path in re.findall(r"^skipped: cannot read the picture (.*?): ", result.stdout, re.M)}


def test_training(folder):
    good, bad = (list((folder / "faces" / name).rglob("*.*")) for name in ("good", "bad"))
    result = run_script("train-dcgan.py", "--dataset", "faces", "--image_size", 16, "--epoch", 1, cwd=folder)
    assert (result.returncode, errors(result)) == (0, [])
    assert left_out(result) == {path.name for path in bad}
    readable = sum(path.is_file() and not path.is_symlink() for path in good)
    assert f"{len(bad)} of {len(bad) + readable} pictures could not be read" in result.stdout


def test_completing(folder):
    paths = [path for name in ("good", "bad") for path in sorted((folder / "faces" / name).iterdir())]
    paths = [path for path in paths if not path.is_dir()]
    good, bad = ({path for path in paths if path.parent.name == name} for name in ("good", "bad"))
    pictures = [f"./{path.relative_to(folder)}" for path in paths]
    result = run_script("complete.py", *pictures, "--nIter", 1, "--outInterval", 0, cwd=folder)
    assert result.returncode == 1
    skipped = len(bad) + 1
    assert errors(result) == [f"error: skipped {skipped} of {len(paths)} pictures, see above; completed the others"]
    assert left_out(result) == {path.name for path in bad}
    assert "skipped: faces/good/one.png is 1x1, too small for this 64x64 model: use a larger picture" in result.stdout
    assert len(list((folder / "completions" / "final").iterdir())) == len(good) - 1


def test_aligning(folder):
    result = run_script("align.py", "faces", "align", "innerEyesAndBottomLip", "out", "--verbose", cwd=folder)
    assert result.returncode == 1
    assert [re.sub(r"faces.*", "", line) for line in errors(result)] == ["error: no face was aligned from "]
    lines = result.stdout.splitlines()
    assert {line for line in lines if "unreadable" in line and ": " in line} == {
        f"bad/{path.name}: unreadable" for path in (folder / "faces" / "bad").iterdir()
    }
    assert "\x1b" not in result.stdout


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Some bits flipped, bytes overwritten, taken out or put in, mostly in the header; or the end cut off."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4])):
        place = rng.randrange(len(data) if rng.random() < 0.5 else min(len(data), 64))
        match rng.randrange(6):
            case 0:
                data[place] ^= 1 << rng.randrange(8)
            case 1:
                data[place] = rng.randrange(256)
            case 2:
                del data[max(place, 1) :]
            case 3:
                del data[max(place, 1) : place + rng.randrange(2, 10)]
            case 4:
                data[place:place] = rng.randbytes(rng.randrange(1, 9))
            case 5:
                data[place : place + 4] = rng.choice(
                    [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\xff\xff"]
                )
    return bytes(data)


@pytest.mark.filterwarnings("ignore")
def test_damage_ends_in_a_picture_or_in_a_word(tmp_path, capfd):
    files = sorted(kinds().items())
    colored, grey = (
        AlignedReader(GivenMasks(MaskOptions(kind="left")), NetworkOptions(8), 0),
        AlignedReader(GivenMasks(MaskOptions(grow=1)), NetworkOptions(8, 1), 0),
    )
    readers = [
        lambda path: load_picture(path, 8, 1)[0],
        lambda path: load_picture(path, 8, 3)[0],
        lambda path: colored.read(path).picture.pixels,
        lambda path: grey.read(path).picture.pixels,
        lambda path: np.stack([read_mask(path)] * 3, axis=-1)[:8, :8] * np.uint8(1),
    ]
    outcomes = {"read": 0, "refused": 0}
    for seed in range(2000):
        rng = random.Random(seed)
        name, content = rng.choice(files)
        path = tmp_path / name
        path.write_bytes(mutated(content, rng))
        try:
            picture = readers[seed % 5](path)
        except UserError as error:
            assert str(path) in str(error)
            outcomes["refused"] += 1
        else:
            assert picture.dtype == np.uint8 and picture.ndim == 3
            outcomes["read"] += 1
    assert min(outcomes.values()) > 50
    assert capfd.readouterr().err == ""
