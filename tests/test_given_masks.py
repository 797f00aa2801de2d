"""complete.py with masks of other tools: what it hides, and what it says before it searches."""

import numpy as np
import pytest
from conftest import ROOT, assert_fails, assert_works, blobs, run_script, write_pictures
from PIL import Image

from completion.aligned_reader import AlignedReader
from completion.given_masks import GivenMasks
from dcgan.options import NetworkOptions
from images.decoding import read_picture
from images.mask_options import MaskOptions

FACE = Image.open(ROOT / "data" / "demo" / "raw" / "astronaut.png").convert("RGB").crop((100, 0, 400, 260))
POINTS = ("--points", "111,107 138,108 125,166")
MOUTH = np.s_[150:162, 115:135]
BUNDLED = ROOT / "checkpoints" / "pretrained"


def aligned(trained, *args, cwd):
    return run_script("complete.py", *args, "--nIter", 1, "--checkpointDir", trained / "checkpoints", cwd=cwd)


def photos(*args, cwd):
    search = "--nIter", 1, "--refine", 0, "--outInterval", 0, "--checkpointDir", BUNDLED
    return run_script("complete.py", "--photo", *args, *search, cwd=cwd)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def white_hole(side, hole):
    mask = np.zeros((side, side), np.uint8)
    mask[hole] = 255
    return mask


def said(result, words):
    return [line for line in result.stdout.splitlines() if words in line]


def test_white_holes_are_suspected_before_the_search_once_for_all_pictures(trained, tmp_path):
    write_pictures(tmp_path / "in", blobs(3, 16))
    for i in range(2):
        save(tmp_path / "masks" / f"00{i}.png", white_hole(16, np.s_[4:9, 5:9]))
    save(tmp_path / "masks" / "002.png", white_hole(16, np.s_[:, 8:]))  # half is not more than half
    result = aligned(trained, "in", "--maskDir", "masks", cwd=tmp_path)
    assert_works(result)
    fault = "the hole is more than half of 2 pictures (000.png, 001.png)"
    assert said(result, fault) == [f"{fault}: add --invertMask to fill the other part instead"]
    assert result.stdout.index(fault) < result.stdout.index("look at")
    result = aligned(trained, "in", "--maskDir", "masks", "--invertMask", "--outDir", "turned", cwd=tmp_path)
    assert_works(result)
    assert not said(result, "half")
    hidden = (read_picture(tmp_path / "turned" / "masked.png") == 128).all(-1)
    expected = [read_picture(tmp_path / "masks" / f"00{i}.png", "L") for i in range(3)]
    np.testing.assert_array_equal(hidden, np.hstack(expected) > 0)


@pytest.mark.parametrize("args", [["--maskType", "random", "--randomShare", 0.8], ["--centerScale", 0.1]])
def test_a_large_hole_that_the_options_make_is_not_suspected(trained, tmp_path, args):
    write_pictures(tmp_path / "in", blobs(1, 16))
    result = aligned(trained, "in", *args, cwd=tmp_path)
    assert_works(result)
    assert not said(result, "half")


def test_a_picture_that_is_mostly_transparent(trained, tmp_path):
    picture = np.dstack([blobs(1, 16)[0], 255 - white_hole(16, np.s_[:9])])
    save(tmp_path / "a.png", picture)
    result = aligned(trained, "a.png", cwd=tmp_path)
    assert_works(result)
    assert said(result, "the hole is more than half of a.png: add --invertMask")
    result = aligned(trained, "a.png", "--invertMask", cwd=tmp_path)
    assert_works(result)
    assert not said(result, "half")
    np.testing.assert_array_equal(read_picture(tmp_path / "completions/final/a.png")[:9], picture[:9, :, :3])


def test_a_mask_that_inversion_makes_large(trained, tmp_path):
    write_pictures(tmp_path / "in", blobs(1, 16))
    save(tmp_path / "m.png", 255 - white_hole(16, np.s_[4:9, 5:9]))
    result = aligned(trained, "in", "--maskFile", "m.png", "--invertMask", cwd=tmp_path)
    assert said(result, "the hole is more than half of 000.png: remove --invertMask")


def test_masks_beside_the_pictures_and_in_subfolders(trained, tmp_path):
    write_pictures(tmp_path / "in", blobs(2, 16))
    write_pictures(tmp_path / "in" / "sub", blobs(2, 16, seed=1))
    for name, column in (("000_mask.png", 2), ("001-Mask.PNG", 4), ("sub/000_mask.png", 6), ("sub/001_mask.png", 8)):
        save(tmp_path / "in" / name, 255 - white_hole(16, np.s_[5:10, column : column + 3]))
    result = aligned(trained, "in", "--maskDir", "in", cwd=tmp_path)
    assert_works(result)
    names = ["000", "001"]
    finals = sorted(path.name for path in (tmp_path / "completions" / "final").iterdir())
    assert finals == sorted([f"in__{name}.png" for name in names] + [f"sub__{name}.png" for name in names])
    hidden = (read_picture(tmp_path / "completions" / "masked.png") == 128).all(-1)
    starts = [2, 16 + 4, 32 + 6, 48 + 8]
    assert np.flatnonzero(hidden.any(axis=0)).tolist() == [start + i for start in starts for i in range(3)]


def test_two_masks_of_one_picture_and_an_unclear_one(trained, tmp_path):
    write_pictures(tmp_path / "in", blobs(3, 16))
    for name in ("000.png", "000_mask.png", "002.png"):
        save(tmp_path / "masks" / name, white_hole(16, np.s_[:9]))
    save(tmp_path / "masks" / "001.png", np.tile(np.arange(0, 256, 16, dtype=np.uint8), (16, 1)))
    result = aligned(trained, "in", "--maskDir", "masks", cwd=tmp_path)
    assert_fails(result, 1, "skipped 2 of 3 pictures")
    assert said(
        result, "skipped: in/000.png has several masks, masks/000.png and masks/000_mask.png: remove all but one"
    )
    assert said(result, "skipped: the mask masks/001.png looks like a photo")


def test_a_grown_hole_of_an_aligned_picture(trained, tmp_path):
    """In pixels of the picture, 64x64, not of the model, 16x16; also if the options make the mask."""
    pictures = blobs(1, 64)
    write_pictures(tmp_path / "in", pictures)
    mask = save(tmp_path / "m.png", 255 - white_hole(64, np.s_[24:32, 16:32]))
    plain, grown = (
        AlignedReader(GivenMasks(MaskOptions(file=mask, grow=grow)), NetworkOptions(), 0) for grow in (0, 4)
    )
    hole = ~plain.read(tmp_path / "in" / "000.png").picture.known
    y, x = np.mgrid[:64, :64]
    expected = np.hypot(y - np.clip(y, 24, 31), x - np.clip(x, 16, 31)) <= 4
    assert hole.sum() == 8 * 16
    np.testing.assert_array_equal(~grown.read(tmp_path / "in" / "000.png").picture.known, expected)
    for args, rows in ((["--maskFile", "m.png"], [6, 7]), (["--maskFile", "m.png", "--growMask", 4], [5, 6, 7, 8])):
        assert_works(aligned(trained, "in", *args, cwd=tmp_path))
        hidden = (read_picture(tmp_path / "completions" / "masked.png") == 128).all(-1)
        assert np.flatnonzero(hidden.any(axis=1)).tolist() == rows
    center = AlignedReader(GivenMasks(MaskOptions(grow=4)), NetworkOptions(), 0).read(tmp_path / "in" / "000.png")
    assert np.flatnonzero(~center.picture.known[32]).tolist() == [*range(12, 52)] and center.hidden is None


def test_a_color_marks_the_hole_of_aligned_pictures(trained, tmp_path):
    pictures = blobs(3, 16)
    pictures[:2, 5:9, 4:8] = (0, 255, 0)
    write_pictures(tmp_path / "in", pictures)
    result = aligned(trained, "in", "--holeColor", "00FF00", cwd=tmp_path)
    assert_fails(result, 1, "skipped 1 of 3 pictures")
    assert said(result, "skipped: in/002.png has no pixels of the --holeColor #00ff00")
    assert said(result, "32 pixels of 2 pictures (000.png, 001.png) have the --holeColor #00ff00")
    assert not said(result, "--growMask")
    finals = [read_picture(tmp_path / "completions" / "final" / f"00{i}.png") for i in range(2)]
    known = np.ones((16, 16), bool)
    known[5:9, 4:8] = False
    for final, picture in zip(finals, pictures, strict=False):
        np.testing.assert_array_equal(final[known], picture[known])
        assert (final[~known] != (0, 255, 0)).any(axis=-1).all()


@pytest.mark.slow
def test_a_hole_that_was_painted_in_a_jpeg(tmp_path):
    """Its edge stays green unless the hole grows; pixels that are not hidden stay."""
    photo = np.array(FACE)
    photo[MOUTH] = (0, 255, 0)
    Image.fromarray(photo).save(tmp_path / "a.jpg", quality=90)
    photo = read_picture(tmp_path / "a.jpg").astype(int)
    ghosts = []
    for grow in (0, 4):
        result = photos("a.jpg", "--holeColor", "#00ff00", "--growMask", grow, *POINTS, cwd=tmp_path)
        assert_works(result)
        assert len(said(result, "pixels of a.jpg have the --holeColor")) == 1
        assert bool(said(result, "around the hole of a.jpg: add --growMask 4")) == (not grow)
        final = read_picture(tmp_path / "completions" / "final" / "a.png").astype(int)
        same = (final == photo).all(axis=-1)
        assert same.sum() > 0.98 * same.size and not same[153:159, 118:132].any()
        greenness = (final[..., 1] - final[..., [0, 2]].max(axis=-1))[145:167, 110:140]
        ghosts.append((greenness > 40).sum())
    assert ghosts[0] > 50 and ghosts[1] == 0


@pytest.mark.slow
def test_masks_of_photos(tmp_path):
    """White holes beside their photos, in a mask of 0 and 1."""
    (tmp_path / "in").mkdir()
    FACE.save(tmp_path / "in" / "a.jpg", quality=95)
    mask = np.zeros((260, 300), np.uint8)
    mask[MOUTH] = 1
    save(tmp_path / "in" / "a_MASK.PNG", mask)
    result = photos("in", "--maskDir", "in", *POINTS, cwd=tmp_path)
    fault = "the hole is more than half of a.jpg"
    assert said(result, fault) == [f"{fault}: add --invertMask to fill the other part instead"]
    result = photos("in", "--maskDir", "in", "--invertMask", "--growMask", 3, *POINTS, cwd=tmp_path)
    assert_works(result)
    assert not said(result, "half")
    changed = (read_picture(tmp_path / "completions/final/a.png") != read_picture(tmp_path / "in/a.jpg")).any(axis=-1)
    y, x = np.mgrid[:260, :300]
    grown = np.hypot(y - np.clip(y, 150, 161), x - np.clip(x, 115, 134)) <= 3
    assert not (changed & ~grown).any() and changed[grown].mean() > 0.9


@pytest.mark.slow
def test_a_made_mask_grows_by_pixels_of_the_photo(tmp_path):
    """The result follows --growMask, though the photo has no hole of its own."""
    FACE.save(tmp_path / "a.png")
    counts = []
    for grow in (0, 6):
        assert_works(photos("a.png", "--growMask", grow, *POINTS, cwd=tmp_path))
        changed = (read_picture(tmp_path / "completions/final/a.png") != np.asarray(FACE)).any(axis=-1)
        rows = np.flatnonzero(changed.any(axis=1))
        counts.append(rows[-1] - rows[0])
    assert abs(counts[1] - counts[0] - 12) <= 1
