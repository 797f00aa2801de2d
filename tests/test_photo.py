"""complete.py --photo: the demonstration photo with holes, turned, with several faces; bit by bit; and bad calls."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import dlib
import numpy as np
import pytest
from conftest import ROOT, assert_fails, assert_works, blobs, run_script
from PIL import Image, ImageCms

from completion.given_masks import GivenMasks
from completion.groups import whole_photos
from completion.photos import PhotoCompleter
from completion.placing import PlacingNetwork
from faces import finding
from faces.alignment import Alignment, alignments, frame_by
from faces.detector import TEMPLATES, FaceFinder, face_transform, filled, predictor_path
from faces.finding import Candidate, Locator, _likely, _looks, _meeting, by_box
from faces.frame import Frame
from faces.placing import SCOUT
from faces.table import COLUMNS
from faces.together import together
from images.mask_options import MaskOptions
from images.photo import Photo
from model import DCGAN
from utils import UserError

PHOTO = ROOT / "data" / "demo" / "raw" / "astronaut.png"
DEMO = Image.open(PHOTO).convert("RGB").crop((100, 0, 400, 260))
MOUTH = (90, 135, 170, 165)  # left, top, right, bottom in DEMO
MODEL = ("--checkpointDir", ROOT / "checkpoints" / "pretrained")


def pixels(path):
    return np.asarray(Image.open(path))


def erased(photo, *boxes):
    """The photo with transparent boxes."""
    photo = photo.convert("RGBA")
    for box in boxes:
        photo.paste((0, 0, 0, 0), box)
    return photo


def complete(cwd, *args, photo="--photo"):
    return run_script("complete.py", photo, *args, "--nIter", 2, *MODEL, cwd=cwd)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos, and what completing most of them has left."""
    folder = tmp_path_factory.mktemp("photo")
    (folder / "in").mkdir()
    erased(DEMO, MOUTH, (0, 0, 20, 20)).save(folder / "in" / "erased.png")
    two = Image.new("RGB", (600, 260))
    two.paste(DEMO, (0, 0))
    two.paste(DEMO.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (300, 0))
    erased(two, (115, 150, 135, 162), (465, 150, 485, 162)).save(folder / "in" / "two.png")
    levels = np.random.default_rng(3).normal(128, 50, (150, 200)).clip(0, 255).astype(np.uint8)
    noise = Image.fromarray(levels).convert("RGB")
    noise.save(folder / "in" / "none.png")
    erased(noise, (90, 60, 110, 90)).save(folder / "in" / "smooth.png")
    erased(DEMO, (80, 0, 170, 70)).save(folder / "in" / "wig.png")
    mask = Image.new("L", (200, 150), 255)
    mask.paste(0, (50, 50, 100, 100))
    mask.save(folder / "mask_of_none.png")
    result = complete(folder, "in", "--outDir", "out", "--outInterval", 1)
    assert_fails(result, 1, "skipped 1 of 5 pictures")
    (folder / "stdout").write_text(result.stdout)
    return folder


@pytest.mark.slow
def test_the_hole_is_completed_and_every_known_pixel_stays(folder):
    for name in ("erased", "smooth", "two"):
        photo, final = pixels(folder / "in" / f"{name}.png"), pixels(folder / "out" / "final" / f"{name}.png")
        known = photo[..., 3] > 0
        np.testing.assert_array_equal(final[known], photo[known][:, :3])
    left, top, right, bottom = MOUTH
    true = np.asarray(DEMO).astype(int)[top:bottom, left:right]
    found = pixels(folder / "out" / "final" / "erased.png")[top:bottom, left:right]
    assert abs(found - true).mean() < 40 < abs(128 - true).mean()


def test_what_is_said(folder):
    said = (folder / "stdout").read_text().splitlines()
    assert any("none.png: no face was found. If" in line and "--points" in line for line in said)
    assert any("wig.png: only filled smoothly, because the hole meets no face. If" in line for line in said)
    assert any("erased.png: 14% of the hole lies beyond faces" in line for line in said)


def test_a_hole_that_meets_no_face_is_filled_smoothly(folder, tmp_path):
    """Also where no other photo needs a search; and the same call does it once."""
    photo, final = (pixels(folder / path / "smooth.png") for path in ("in", "out/final"))
    hole = photo[..., 3] == 0
    assert final[hole].std() < 0.5 * final[~hole].std() and abs(final[hole].mean() - 128) < 30
    said = (folder / "stdout").read_text().splitlines()
    (line,) = [line for line in said if "smooth.png: " in line]
    assert "only filled smoothly, because no face was found at the hole. If there is one, give" in line
    for again in (False, True):
        result = complete(tmp_path, folder / "in" / "smooth.png")
        assert_works(result)
        assert ("earlier call with the same options: 1 of 1 pictures" in result.stdout) == again
        np.testing.assert_array_equal(pixels(tmp_path / "completions" / "final" / "smooth.png"), final)
    assert {path.name for path in (tmp_path / "completions").glob("*.png")} == {"photos.png"}
    result = complete(folder, "in/erased.png", "--points", "261,207 288,208 275,266", "--outDir", tmp_path / "away")
    assert_works(result)
    assert "in/erased.png: only filled smoothly, because the hole meets no face given by --points" in result.stdout


def test_frames_show_the_faces_and_a_second_sheet_the_photos(folder):
    out = folder / "out"
    assert pixels(out / "before.png").shape == (64, 3 * 64, 3)  # one face and two
    logs = sorted(path.name for path in (out / "logs").glob("hats*"))
    assert logs == ["hats_00.log", "hats_03.log", "hats_03_2.log"]  # the last is photo 3's second face
    assert pixels(out / "photos.png").shape[1] > 3 * 300
    assert "out/photos.png" in (folder / "stdout").read_text()


@pytest.mark.slow
def test_the_same_call_again_does_nothing_and_one_without_a_result_does_that(folder):
    finals = sorted((folder / "out" / "final").iterdir())
    times = [path.stat().st_mtime_ns for path in finals]
    result = complete(folder, "in", "--outDir", "out", "--outInterval", 1)
    assert_fails(result, 1, "1 of 5")
    assert "earlier call with the same options: 4 of 5 pictures" in result.stdout
    assert [path.stat().st_mtime_ns for path in finals] == times
    whole = finals[0].read_bytes()
    finals[0].unlink()
    complete(folder, "in", "--outDir", "out", "--outInterval", 1)
    assert finals[0].read_bytes() == whole


def test_a_turned_photo_with_a_profile_a_mask_of_another_size_and_points(folder, tmp_path):
    """The camera lay on its side; the mask and the points are those of the upright photo."""
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    DEMO.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif, icc_profile=profile)
    mask = Image.new("L", DEMO.size, 255)
    mask.paste(0, MOUTH)
    mask.resize((150, 130), Image.Resampling.NEAREST).save(tmp_path / "mask.png")
    args = ["turned.png", "--maskFile", "mask.png", "--points", "111,107 138,108 125,166"]
    assert_works(complete(tmp_path, *args))
    with Image.open(tmp_path / "completions" / "final" / "turned.png") as final:
        assert final.size == DEMO.size and final.info["icc_profile"] == profile
        same = (np.asarray(final) == np.asarray(DEMO)).all(axis=2)
    left, top, right, bottom = MOUTH
    hole = np.zeros(same.shape, bool)
    hole[top:bottom, left:right] = True
    assert same[~hole][: 50 * 300].all() and same[~hole].mean() > 0.99 and same[hole].mean() < 0.1


def test_a_grey_photo_stays_grey(tmp_path):
    DEMO.convert("L").save(tmp_path / "grey.png")
    assert_works(complete(tmp_path, "grey.png", "--maskType", "center", "--outInterval", 0))
    assert pixels(tmp_path / "completions" / "final" / "grey.png").shape == DEMO.size[::-1]


@pytest.mark.slow
def test_an_undamaged_versions_alignment(folder, tmp_path, finder):
    """Of the photo, of a larger version, and not of another photo with its name."""
    DEMO.save(tmp_path / "erased.png")
    result = run_script(
        "align.py", "erased.png", "align", "innerEyesAndBottomLip", "aligned", "--size", 32, cwd=tmp_path
    )
    assert_works(result)
    for name in ("same", "larger", "other"):
        (tmp_path / name).mkdir()
    photo = Image.open(folder / "in" / "erased.png")
    photo.save(tmp_path / "same" / "erased.png")
    photo.resize((600, 520)).save(tmp_path / "larger" / "erased.png")
    photo.crop((0, 0, 300, 200)).save(tmp_path / "other" / "erased.png")
    args = ["same", "larger", "other", "--alignment", "aligned/alignment.csv", "--outInterval", 1]
    result = complete(tmp_path, *args)
    assert_fails(result, 1, "skipped 1 of 3 pictures")
    assert "skipped: other/erased.png is 300x200 but the photo of this name in --alignment was 300x260" in result.stdout
    faces = pixels(tmp_path / "completions" / "before.png").astype(int)
    assert abs(faces[:, :64] - faces[:, 64:]).mean() < 6
    (frame,) = alignment(finder, np.asarray(DEMO))
    x, y = (frame.back @ [5, 40, 1]).round().astype(int)
    assert abs(faces[40, 5] - np.asarray(DEMO)[y, x]).max() < 40


@pytest.fixture(scope="module")
def finder():
    return FaceFinder(str(predictor_path(None)))


@pytest.fixture(scope="module")
def completer():
    return PhotoCompleter(DCGAN.load(MODEL[1]))


def alignment(finder, photo):
    """The frames of the faces of an undamaged photo, from left to right, as align.py finds them."""
    boxes = sorted(finder.faces(photo), key=lambda box: box.left())
    return [Frame(face_transform(finder.landmarks(photo, box), "innerEyesAndBottomLip", 64), 64) for box in boxes]


def known_but_for(shape, frame, box):
    """bool [H, W]: a photo's pixels but for a box (left, top, right, bottom) in a face's frame."""
    left, top, right, bottom = box
    mask = np.ones((64, 64), bool)
    mask[top:bottom, left:right] = False
    return ~frame.under(mask, shape[:2])


def roughly(faces):
    return [filled(photo.pixels, photo.known) for photo, _ in faces]


def damaged_faces(finder, photo, fill=roughly, everywhere=False, near=0):
    locator = Locator(finder, PlacingNetwork(), PlacingNetwork(SCOUT), fill, 64, near=near)
    (found,) = together([locator.faces_at_hole(photo, everywhere)])
    return found.result()


@pytest.mark.parametrize("box", [(4, 2, 60, 22), (12, 38, 52, 60), (0, 0, 32, 64)])
@pytest.mark.slow
def test_a_damaged_face_is_found_where_it_is(finder, completer, box):
    """The eyes, the mouth and the left half hidden: displaced by a twentieth of the frame at most."""
    photo = np.asarray(DEMO)
    (true,) = alignment(finder, photo)
    known = known_but_for(photo.shape, true, box)
    shown = [np.where(known[..., None], photo, value).astype(np.uint8) for value in (0, 255)]
    (found,), (other,) = (each.result() for each in completer.locate([Photo(each, known) for each in shown]))
    np.testing.assert_array_equal(found.transform, other.transform)  # hidden pixels have no influence
    assert found.displacement(true) < 3.2


def test_landmarks_that_can_be_seen_put_a_face_where_align_would(finder):
    """Its hole is filled with what is hidden, which is found by what is around."""
    photo = np.asarray(DEMO)
    (true,) = alignment(finder, photo)
    known = known_but_for(photo.shape, true, (12, 38, 52, 60))

    def undamaged(faces):
        ((close_up, _),) = faces
        (height, width), known = close_up.shape, np.uint8(close_up.known)
        found = cv2.matchTemplate(photo, close_up.pixels, cv2.TM_CCORR_NORMED, mask=known)
        *_, (left, top) = cv2.minMaxLoc(found)
        return [photo[top : top + height, left : left + width]]

    (found,) = damaged_faces(finder, Photo(photo, known), undamaged)
    assert found.displacement(true) < 1


def test_a_second_face_that_is_nearly_hidden_is_found(finder):
    photo = np.concatenate([np.asarray(DEMO), np.asarray(DEMO)[:, ::-1]], axis=1)
    first, second = alignment(finder, photo)
    known = known_but_for(photo.shape, first, (20, 40, 44, 58)) & known_but_for(photo.shape, second, (0, 0, 36, 64))
    found = damaged_faces(finder, Photo(photo, known))
    assert [a.displacement(b) < 6.4 for a, b in zip(found, (first, second), strict=True)] == [True, True]


def test_faces_are_those_that_meet_the_hole_each_once():
    """Two squares of 64 pixels side by side, and the right one again, nearly, which is less sure."""
    squares = {
        name: Candidate(0.5, None, Frame(np.array([[1.0, 0, -left], [0, 1, 0]]), 64), 0)
        for name, left in (("left", 0), ("right", 70), ("again", 75))
    }

    def chosen(*holes, margin=0):
        known = np.ones((64, 160), bool)
        for left, right in holes:
            known[20:40, left:right] = False
        found = _meeting([*squares.values()], Photo(np.zeros((64, 160, 3), np.uint8), known), margin)
        return [name for name, square in squares.items() if any(square is each for each in found)]

    assert chosen((30, 60)) == ["left"]
    assert chosen((30, 90)) == ["left", "right"]
    assert chosen((66, 110)) == ["right"]
    assert chosen((66, 68), (145, 160)) == []
    assert chosen((145, 160), margin=0.2) == ["right"]


def test_a_face_whose_hole_goes_far_beyond_it_is_found(finder):
    photo = np.asarray(DEMO)
    (true,) = alignment(finder, photo)
    known = known_but_for(photo.shape, true, (0, 0, 32, 64))
    known[170:] = False
    (found,) = damaged_faces(finder, Photo(photo, known))
    assert found.displacement(true) < 6.4


def test_a_face_that_dlib_does_not_detect_is_found_at_a_hole(finder, monkeypatch):
    """The upper half of the face hidden, and then a corner of the photo."""
    photo = np.asarray(DEMO)
    (true,) = alignment(finder, photo)
    monkeypatch.setattr(finding, "look", lambda *args: [])
    (found,) = damaged_faces(finder, Photo(photo, known_but_for(photo.shape, true, (0, 0, 64, 32))))
    assert found.displacement(true) < 6.4
    corner = np.ones(photo.shape[:2], bool)
    corner[-40:, -40:] = False
    assert damaged_faces(finder, Photo(photo, corner)) == []


@pytest.mark.parametrize(("guesses", "found"), [([4], 0), ([4, 4], 0), ([4, 4, 4], 3), ([7], 1), ([4, 4, 7], 3)])
def test_a_place_to_which_several_guesses_lead_is_more_likely_a_face(guesses, found):
    """Two pixels apart; another one is far away."""
    frames = [Frame(np.array([[1.0, 0, -left], [0, 1, 0]]), 64) for left in (*range(0, 2 * len(guesses), 2), 90)]
    likely = _likely([Candidate(-1, None, frame, score) for frame, score in zip(frames, [*guesses, 5], strict=True)])
    assert [each.likely for each in likely] == sorted(guesses, reverse=True)[:found]


@pytest.mark.parametrize(("doubt", "score", "found"), [(9.0, 0.5, 1), (9.0, 0.2, 0), (-9, 0.2, 1), (-9, -0.6, 1)])
def test_what_the_network_doubts_is_a_face_only_if_dlib_is_sure(monkeypatch, doubt, score, found):
    assert len(found_in_a_box(monkeypatch, score, -doubt)) == found


@pytest.mark.parametrize(("score", "others", "found"), [(3, [], 1), (3, [0.2], 1), (3, [0.5], 0), (-1, [], 0)])
def test_a_plausible_guess_is_taken_if_the_photo_has_no_clear_face(monkeypatch, score, others, found):
    assert len(found_in_a_box(monkeypatch, -0.1, score, others)) == found


@pytest.mark.parametrize(("near", "found"), [(0, 1), (0.3, 2)])
def test_an_intact_face_near_the_hole_does_not_end_the_search(monkeypatch, near, found):
    """The first look shows a face beside the hole, and the next one the face that is hidden in part."""
    beside, hidden = dlib.rectangle(190, 80, 250, 140), dlib.rectangle(80, 80, 140, 140)
    monkeypatch.setattr(finding, "placed", lambda photo, guess, network: returned((guess, 9)))
    monkeypatch.setattr(finding, "_looks", lambda *args: [[(beside, 0.9)], [(hidden, 0.5)]])
    monkeypatch.setattr(Locator, "_refined", lambda self, photo, frame: returned(frame))
    known = np.ones((260, 260), bool)
    known[100:120, 120:185] = False
    frames = damaged_faces(None, Photo(np.zeros((260, 260, 3), np.uint8), known), near=near)
    assert len(frames) == found
    assert min(frame.displacement(by_box(hidden, 64)) for frame in frames) < 1


def returned(value):
    """A generator that returns a value and asks for nothing."""
    return value
    yield


def found_in_a_box(monkeypatch, dlib_score, network_score, others=()):
    """The faces where dlib sees a box in the middle, with a hole in its corner, and others of these scores far away."""
    monkeypatch.setattr(finding, "placed", lambda photo, guess, network: returned((guess, network_score)))
    box, away = dlib.rectangle(80, 80, 180, 180), dlib.rectangle(200, 200, 240, 240)
    landmarks = np.column_stack([np.linspace(80, 180, 68), np.tile([90, 170], 34)]).astype(int)
    monkeypatch.setattr(finding, "look", lambda *args: [(box, dlib_score), *((away, score) for score in others)])
    known = np.ones((260, 260), bool)
    known[80:100, 80:100] = False
    photo = Photo(np.zeros((260, 260, 3), np.uint8), known)
    return damaged_faces(SimpleNamespace(landmarks=lambda *args: landmarks), photo)


@pytest.mark.parametrize("radius", [10, 20, 30])
@pytest.mark.slow
def test_where_there_is_no_face_none_is_found(finder, radius):
    """The badge of the demonstration photo, which dlib takes for a face, with a hole in it."""
    photo = np.array(Image.open(PHOTO).convert("RGB"))[230:]
    assert finder.faces(photo)
    known = cv2.circle(np.ones(photo.shape[:2], np.uint8), (170, 150), radius, 0, -1) > 0
    assert damaged_faces(finder, Photo(photo, known)) == []
    assert damaged_faces(finder, Photo(photo, np.ones_like(known)), everywhere=True) == []


@pytest.mark.parametrize(
    ("side", "seen"),
    [(250, [(250, 1, -0.7), (250, 2, -1.0)]), (2400, [(1200, 1, -0.7), (2400, 0, -0.7), (600, 2, -1.0)])],
)
def test_looks_for_a_face_become_closer_and_find_it_in_the_photos_pixels(monkeypatch, side, seen):
    """A detector that finds the middle of what it is shown."""
    asked = []

    def look(photo, doublings, least):
        asked.append((max(photo.shape), doublings, least))
        height, width = photo.shape[:2]
        return [(dlib.rectangle(width // 4, height // 4, width * 3 // 4, height * 3 // 4), 0.1)]

    monkeypatch.setattr(finding, "look", look)
    photo = Photo(np.zeros((side // 2, side, 3), np.uint8), np.ones((side // 2, side), bool))
    for ((box, _),) in _looks(photo, None):
        expected = np.array([side / 4, side / 8, side * 3 / 4, side * 3 / 8])
        assert np.abs(np.array([box.left(), box.top(), box.right(), box.bottom()]) - expected).max() <= 4
    assert asked == seen


def test_points_in_any_order_of_the_eyes():
    points = np.array([[111.0, 107], [138, 108], [125, 166]])
    np.testing.assert_allclose(frame_by(points, 64).transform, frame_by(points[[1, 0, 2]], 64).transform)


@pytest.mark.parametrize(("stretch", "refused"), [(1 / 1.85, False), (1.85, False), (3.5, True), (1 / 3.5, True)])
def test_points_of_a_face_that_is_longer_or_wider(stretch, refused):
    """Than align.py's template: by as much as any real face is, and by more."""
    points = 100 * np.array([*TEMPLATES["innerEyesAndBottomLip"].values()]) * [1, stretch]
    with pytest.raises(UserError, match="not those of a face") if refused else nullcontext():
        np.testing.assert_allclose(frame_by(points, 50).transform, [[0.5, 0, 0], [0, 0.5 / stretch, 0]], atol=1e-4)


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["in/erased.png", "--points", "1,1 2,2 3,3"], 1, ["--points 1,1 2,2 3,3 are not those of a face"]),
        (["in/erased.png", "--points", "125,166 111,107 138,108"], 1, ["--points 125,166 ", "then its lower lip"]),
        (["in/erased.png", "--points", "1110,107 138,108 125,166"], 1, ["--points 1110,107 "]),
        (["in/erased.png", "--points", "-1e9,0 1e9,0 0,2e9"], 2, ["three points"]),
        (["in/erased.png", "--points", "1,1 2,2"], 2, ["three points"]),
        (["in/erased.png", "in/two.png", "--points", "1,1 2,2 3,9"], 2, ["one photo"]),
        (["in/erased.png", "--maskType", "lowres"], 2, ["lowres", "aligned"]),
        (["in/erased.png", "--alignment", "missing.csv"], 1, ["missing.csv"]),
        (["in/erased.png", "--maskFile", "mask_of_none.png"], 1, ["no picture was completed"]),
        (["in/erased.png", "--maskFile", "in/none.png"], 1, ["in/none.png", "like a photo"]),
    ],
)
def test_bad_calls(folder, args, code, words):
    assert_fails(complete(folder, *args, "--outDir", "bad"), code, *words)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ("1111,1107 1138,1108 1125,1166", "is 300x260 and shows nothing of a face at --points 1111,1107 "),
        (
            "111,107 138,108 125,166 411,107 438,108 425,166",
            "nothing of a face at --points 411,107 438,108 425,166",
        ),
        (
            "411,107 438,108 425,166 111,107 138,108 125,166",
            "nothing of a face at --points 411,107 438,108 425,166",
        ),
        ("-100000,0 100000,0 0,400000", "nothing of a face at --points -100000,0 "),
    ],
)
def test_points_where_the_photo_has_no_face_to_complete(folder, points, words):
    """Beyond its edge, also beside a face that is there; so large that the photo is lost in it."""
    result = complete(folder, "in/erased.png", "--points", points, "--outDir", "bad")
    assert_fails(result, 1, "no picture was completed")
    assert any("skipped: in/erased.png" in line and words in line for line in result.stdout.splitlines())


def test_faces_by_points_away_from_the_hole_are_told(folder, tmp_path):
    points = "111,107 138,108 125,166 261,207 288,208 275,266"
    result = complete(folder, "in/erased.png", "--points", points, "--outInterval", 0, "--outDir", tmp_path / "out")
    assert_works(result)
    assert "in/erased.png: the hole meets 1 of the 2 given faces" in result.stdout


def test_points_of_a_face_that_the_photos_edge_cuts(folder, tmp_path):
    """Its left half, of which the mouth is erased."""
    erased(DEMO, MOUTH).crop((0, 0, 125, 260)).save(tmp_path / "cut.png")
    assert_works(complete(tmp_path, "cut.png", "--points", "111,107 138,108 125,166", "--outInterval", 0))


def test_points_are_for_photos(folder):
    args = ["x.png", "--points", "1,1 2,2 3,9", "--aligned"]
    assert_fails(run_script("complete.py", *args, cwd=folder), 2, "--points and --aligned exclude each other")


@pytest.fixture
def mixed(tmp_path, demo_face):
    """A photo with a small face, the same with a hole in it, and pictures for the model."""
    (tmp_path / "in").mkdir()
    face = Image.fromarray(demo_face)
    erased(DEMO, (115, 150, 135, 162)).save(tmp_path / "in" / "erased.png")
    DEMO.save(tmp_path / "in" / "photo.png")
    face.save(tmp_path / "in" / "aligned.png")
    face.resize((200, 200)).save(tmp_path / "in" / "enlarged.png")
    face.resize((90, 90)).save(tmp_path / "in" / "twice.png")
    Image.fromarray(blobs(1, 100)[0]).save(tmp_path / "in" / "nothing.png")
    (tmp_path / "in" / "unreadable.png").write_text("no picture")
    return tmp_path


def test_a_picture_of_another_size_in_which_a_face_is_small_is_a_photo(mixed, monkeypatch):
    imgs = sorted((mixed / "in").iterdir())
    usual = GivenMasks(MaskOptions())
    kinds, _ = whole_photos(imgs, 64, usual)
    assert {path.stem for path, kind in zip(imgs, kinds, strict=True) if kind} == {"erased", "photo"}
    photos = [mixed / "in" / name for name in ("photo.png", "unreadable.png")]
    assert whole_photos(photos, 64, usual)[0] == [True, True]
    assert whole_photos([mixed / "in" / "unreadable.png"], 64, usual)[0] == [False]
    monkeypatch.setattr("faces.detector.face_fills", lambda *args: 1 / 0)  # is not needed
    imgs = [mixed / "in" / name for name in ("aligned.png", "unreadable.png")]
    assert whole_photos(imgs, 64, usual)[0] == [False] * 2


def test_a_photo_is_told_by_what_its_mask_leaves(tmp_path):
    """The mouth is painted over, so that dlib finds no face; a square mask is one for the center of the picture."""
    photo, mask = DEMO.copy(), Image.new("L", DEMO.size, 255)
    photo.paste(Image.effect_noise((80, 50), 200).convert("RGB"), (85, 120))
    photo.save(tmp_path / "photo.png")
    mask.paste(0, (85, 120, 165, 170))
    mask.save(tmp_path / "mask.png")
    Image.new("L", (9, 9)).save(tmp_path / "square.png")

    def told(**options):
        return whole_photos([tmp_path / "photo.png"], 64, GivenMasks(MaskOptions(**options)))[0]

    assert told() == told(file=tmp_path / "square.png") == [False]
    assert told(file=tmp_path / "mask.png") == [True]


def sizes(folder):
    return {path.stem: Image.open(path).size for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "size", "said"), [(MODEL, 64, 1), ((), 64, 2)])
def test_photos_and_aligned_pictures_in_one_call(mixed, model, size, said):
    """By one model, or by the bundled model of each kind."""
    result = run_script("complete.py", "in", "--nIter", 1, "--refine", 0, *model, cwd=mixed)
    assert_fails(result, 1, "skipped 1 of 7 pictures")
    assert "completed as whole photos: 2 pictures (erased.png, photo.png)" in result.stdout
    assert "model's size: 3 of 7 pictures. To complete them as whole photos instead, add --photo" in result.stdout
    lines = [line for line in result.stdout.splitlines() if line.startswith("model: ")]
    assert len(lines) == 2 and len(set(lines)) == said
    whole, small = dict.fromkeys(("erased", "photo"), DEMO.size), (size, size)
    final = mixed / "completions" / "final"
    assert sizes(final) == whole | dict.fromkeys(("aligned", "enlarged", "nothing", "twice"), small)


def test_the_kind_can_be_named(mixed):
    for photo, size in (("--photo", DEMO.size), ("--aligned", (64, 64))):
        args = ["in/photo.png", "--outInterval", 0, "--outDir", photo.strip("-")]
        assert_works(complete(mixed, *args, photo=photo))
        assert sizes(mixed / photo.strip("-") / "final") == {"photo": size}
        sheets = {path.name for path in (mixed / photo.strip("-")).glob("[!.]*.*")}
        assert sheets == ({"photos.png", "sheet.png"} if photo == "--photo" else {"sheet.png"})


def test_thin_pictures_and_transparent_spots_are_no_obstacle(tmp_path):
    """A picture two pixels high, and a face whose hole is its middle though another spot is transparent."""
    (tmp_path / "in").mkdir()
    Image.new("RGB", (5000, 2)).save(tmp_path / "in" / "thin.png")
    erased(DEMO, (0, 0, 6, 6)).save(tmp_path / "in" / "spot.png")
    result = complete(tmp_path, "in", "--maskType", "center", "--outDir", "out")
    assert_fails(result, 1, "skipped 1 of 2 pictures")
    photo, final = pixels(tmp_path / "in" / "spot.png"), pixels(tmp_path / "out" / "final" / "spot.png")
    changed = (photo[..., :3] != final).any(axis=-1)
    assert changed[:6, :6].any() and changed[100:160, 90:170].mean() > 0.2
    assert not changed[200:].any()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([f"{name}/1.jpg,{name}.png,aligned,1,0,0,0,1,0,99,80,64,," for name in "AB"], "several photos named 1"),
        (["1.jpg,1.png,aligned,1,0,0,0,,0,99,80,64,,"], "damaged at 1.jpg"),
        (["1.jpg,1.png,aligned,0,0,0,0,0,0,99,80,64,,"], "damaged at 1.jpg"),
        (["1.jpg,1.png,aligned,nan,0,0,0,1,0,99,80,64,,"], "damaged at 1.jpg"),
        (["1.jpg,1.png,aligned,1e308,0,0,0,1e308,0,99,80,64,,"], "damaged at 1.jpg"),
        (["1.jpg,1.png,aligned,1e-20,0,0,0,1e-20,0,99,80,64,,"], "damaged at 1.jpg"),
        (["1.jpg,1.png,aligned,1,0,1e308,0,1,0,99,80,64,,"], "damaged at 1.jpg"),
        (["1.jpg,1.png,aligned,1,0,0,0,1,0,0,80,64,,"], "damaged at 1.jpg"),
        (["1.jpg,1.png,aligned,1,0,0,0,1,0,99,80,0,,"], "damaged at 1.jpg"),
        (["1.jpg,1.png,aligned,1,0,0,0,1,0,99,80,,,"], "damaged at 1.jpg"),
        (["1.jpg,1.png,aligned,1,0,0,0,1,0,,,,,"], "is of an earlier version, .*: run align.py RAW align inner"),
        (["1.jpg,,no face,,,,,,,,,,,"], "has no aligned face"),
        ([], "has no aligned face"),
    ],
)
def test_alignments_that_say_nothing_sure(tmp_path, rows, words, recwarn):
    if rows:
        (tmp_path / "alignment.csv").write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    with pytest.raises(UserError, match=words):
        alignments(tmp_path / "alignment.csv", 64)
    assert not recwarn.list


def test_an_alignment_is_that_of_the_photo_in_any_resolution(tmp_path):
    """A photo of 100x80 whose two faces were aligned to 32 pixels, for a model of 64."""
    transform = np.array([[0.5, 0.1, 3], [-0.1, 0.5, 4]])
    numbers = ",".join(map(str, transform.ravel()))
    rows = [f"A/1.jpg,1_{i}.png,aligned,{numbers},100,80,32,2," for i in (1, 2)]
    (tmp_path / "alignment.csv").write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    alignment = alignments(tmp_path / "alignment.csv", 64)["1"]
    for scale in (1, 2, 0.25):
        photo = Photo(np.zeros((int(80 * scale), int(100 * scale), 3), np.uint8), np.zeros((80, 100), bool))
        photo = replace(photo, known=np.zeros(photo.pixels.shape[:2], bool))  # an erased face is one, too
        frame, other = alignment.in_photo(tmp_path / "1.jpg", photo)
        for x, y in ((0, 0), (50, 20), (99, 79)):
            place = scale * (np.array([x, y]) + 0.5) - 0.5
            np.testing.assert_allclose(frame.transform @ [*place, 1], 2 * transform @ [x, y, 1], atol=1e-9)
        np.testing.assert_array_equal(frame.transform, other.transform)


@pytest.mark.parametrize(
    ("shape", "left", "words"),
    [
        ((80, 100), 200, "shows nothing of a face in --alignment"),
        ((100, 80), 0, "1.jpg is 80x100 but the photo of this name in --alignment was 100x80"),
        ((80, 104), 0, "1.jpg is 104x80 but"),
    ],
)
def test_an_alignment_that_cannot_be_that_of_the_photo(shape, left, words):
    alignment = Alignment((80, 100), [Frame(np.array([[1.0, 0, -left], [0, 1, 0]]), 64)])
    with pytest.raises(UserError, match=words):
        alignment.in_photo(Path("1.jpg"), Photo(np.zeros((*shape, 3), np.uint8), np.ones(shape, bool)))


def test_a_badge_that_looks_a_little_like_a_face_stays(tmp_path):
    """The quick start: the middle of the one clear face is hidden; dlib takes the suit's badge for another."""
    photo = Image.open(ROOT / "data" / "demo" / "raw" / "astronaut.png").convert("RGB")
    photo.save(tmp_path / "photo.png")
    assert_works(complete(tmp_path, "photo.png", "--outDir", "out"))
    changed = (np.asarray(photo) != pixels(tmp_path / "out" / "final" / "photo.png")).any(axis=-1)
    assert changed[80:170, 175:265].mean() > 0.2 and not changed[220:].any()
