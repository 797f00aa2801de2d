"""Which file of a folder is the mask of a picture."""

import unicodedata
from pathlib import Path

import pytest

from images.decoding import PictureError
from images.mask_folder import MaskFolder, without_masks
from utils import UserError

NFC, NFD = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Creates empty files in the working directory; returns their paths."""
    monkeypatch.chdir(tmp_path)

    def make(*names):
        for name in names:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()
        return list(map(Path, names))

    return make


@pytest.mark.parametrize(
    ("picture", "mask", "others"),
    [
        ("photos/anna.jpg", "masks/anna.png", ["masks/ann.png", "masks/anna.txt", "masks/.anna.png"]),
        ("photos/anna.jpg", "masks/anna.PNG", []),
        ("photos/anna.JPG", "masks/anna.Bmp", []),
        ("photos/anna.jpg", "masks/anna_mask.png", ["masks/annamask.png"]),
        ("photos/anna.jpg", "masks/anna-mask.PNG", ["masks/anna_masked.png"]),
        ("photos/anna.jpg", "masks/anna_MASK.png", []),
        (f"photos/{NFC}.jpg", f"masks/{NFD}.png", []),
        (f"photos/{NFD}.jpg", f"masks/{NFC}_mask.png", []),
        (f"photos/{NFD}/a.jpg", f"masks/{NFC}/a.png", []),
        ("photos/b/anna.jpg", "masks/b/anna.png", ["masks/a/anna.png", "masks/anna.png"]),
        ("photos/b/c/anna.jpg", "masks/b/c/anna_mask.png", ["masks/c/anna.png"]),
        ("photos/b/anna.jpg", "masks/anna.png", ["masks/a/anna.png"]),
        ("photos/anna.jpg", "masks/anna.png", ["masks/a/anna.png"]),
        ("photos/anna_mask.jpg", "masks/anna_mask.png", []),
        ("photos/anna_mask.jpg", "masks/anna_mask_mask.png", []),
        ("photos/../photos/b/anna.jpg", "masks/b/anna.png", ["masks/anna.png"]),
        ("masks/anna.jpg", "masks/anna_mask.png", []),
        ("masks/anna.jpg", "masks/anna.png", []),
        ("masks/photos/anna.jpg", "masks/anna.png", []),
    ],
)
def test_the_mask_of_a_picture(files, picture, mask, others):
    pictures = files(picture)
    files(mask, *others)
    assert MaskFolder(Path("masks"), pictures).find(pictures[0]) == Path(mask)
    assert MaskFolder(Path("masks").absolute(), pictures).find(pictures[0].absolute()) == Path(mask).absolute()


@pytest.mark.parametrize(
    ("picture", "masks"),
    [
        ("photos/anna.jpg", ["masks/ann.png"]),
        ("photos/anna.jpg", ["masks/b/anna.png"]),
        ("photos/b/anna.jpg", ["masks/anna.png", "masks/b/ann.png"]),  # the masks are in subfolders
        ("photos/" + 250 * "x" + ".jpg", ["masks/anna.png"]),
    ],
)
def test_a_picture_without_a_mask(files, picture, masks):
    files(picture, *masks)
    folder = MaskFolder(Path("masks"), [Path(picture)])
    assert not folder.all_of(Path(picture))
    with pytest.raises(PictureError, match=rf"no mask {Path(picture).stem}\.png in masks"):
        folder.find(Path(picture))


@pytest.mark.parametrize(
    "masks",
    [
        ["masks/anna.bmp", "masks/anna.png"],
        ["masks/anna.png", "masks/anna_mask.png"],
        ["masks/anna-mask.png", "masks/anna_mask.png"],
    ],
)
def test_two_masks_of_one_picture_are_both_named(files, masks):
    files(*masks)
    folder = MaskFolder(Path("masks"), [Path("photos/anna.jpg")])
    assert sorted(map(str, folder.all_of(Path("photos/anna.jpg")))) == masks
    with pytest.raises(PictureError, match=rf"anna\.jpg has several masks, {masks[0]} and {masks[1]}: "):
        folder.find(Path("photos/anna.jpg"))


def test_a_picture_is_not_the_mask_of_another(files):
    pictures = files("all/anna.jpg", "all/anna_mask.jpg", "all/link.png")
    Path("all/link_mask.png").symlink_to(Path("anna.jpg"))
    folder = MaskFolder(Path("all"), pictures)
    assert not any(map(folder.all_of, pictures))


def test_a_folder_without_masks(files):
    Path("masks").mkdir()
    with pytest.raises(UserError, match="no pictures in masks"):
        MaskFolder(Path("masks"), files("a.jpg"))


def test_masks_beside_their_pictures_are_not_pictures(files):
    photos = files("all/anna.jpg", "all/b/ben.png", f"all/{NFC}.jpg", "all/carl.JPEG", "all/two.png", "all/mask.png")
    masks = files("all/anna_mask.png", "all/b/ben-Mask.png", f"all/{NFD}_mask.jpg", "all/carl.png")
    kept = files("all/dora_mask.png", "all/b/anna_mask.png", "all/two.bmp", "elsewhere/x.jpg", "elsewhere/x_mask.png")
    assert without_masks(photos + masks + kept, Path("all")) == photos + kept
    folder = MaskFolder(Path("all"), photos)
    assert list(map(folder.find, photos[:4])) == masks
