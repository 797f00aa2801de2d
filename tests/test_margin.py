"""Faces with a margin: align.py, the frames, what a model records, and what does not fit it."""

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, assert_fails, assert_works, blobs, run_script, write_pictures
from PIL import Image

from completion import models
from completion.photos import PhotoCompleter
from dcgan import directories
from dcgan.directories import read_config
from dcgan.options import NetworkOptions, SearchOptions, TrainOptions
from dcgan.search_loss import GUESS
from faces.alignment import alignments
from faces.compositing import Compositor, Layer
from faces.frame import Frame
from faces.table import TABLE, check_margin
from images.incomplete import Incomplete
from images.photo import Photo
from jobs.evaluate.aligned import mask_of
from model import DCGAN
from ops import to_float
from utils import UserError

PHOTO = ROOT / "data" / "demo" / "raw" / "astronaut.png"
INNER = "innerEyesAndBottomLip"
SMALL = {"image_size": 16, "gf_dim": 4, "df_dim": 4}
SQUARE = Frame(np.array([[1.0, 0, -50], [0, 1, -50]]), 16)  # the pixels 50 to 65 of a photo


@pytest.fixture(scope="module")
def aligned(tmp_path_factory):
    """The demonstration photo aligned to 128 pixels, without a margin and with half of the side on each side."""
    folder = tmp_path_factory.mktemp("margin")
    shutil.copy(PHOTO, folder)
    for name, margin in (("tight", 0), ("wide", 0.5)):
        args = [PHOTO.name, "align", INNER, name, "--size", 128, "--margin", margin, "--jobs", 1]
        assert_works(run_script("align.py", *args, cwd=folder))
    return folder


def face(aligned, name):
    return np.asarray(Image.open(aligned / name / PHOTO.name), int)


def row(aligned, name):
    with open(aligned / name / TABLE, newline="") as file:
        (found,) = csv.DictReader(file)
    return found


def test_the_middle_is_the_face_without_a_margin(aligned):
    """At half of its resolution: its pixels are the means of 2x2."""
    tight, wide = face(aligned, "tight").reshape(64, 2, 64, 2, 3).mean(axis=(1, 3)), face(aligned, "wide")
    assert wide.shape == (128, 128, 3)
    differences = {
        (y, x): abs(wide[32 + y : 96 + y, 32 + x : 96 + x] - tight).mean() for y in (-1, 0, 1) for x in (-1, 0, 1)
    }
    assert min(differences, key=lambda shift: differences[shift]) == (0, 0)
    assert differences[0, 0] < 4


def test_the_table_tells_margin_and_transform(aligned):
    tight, wide = row(aligned, "tight"), row(aligned, "wide")
    assert (float(tight["margin"]), float(wide["margin"]), wide["size"]) == (0, 0.5, "128")
    for (x, y), place in {(0, 0): 32, (128, 128): 96}.items():  # corners, which lie half a pixel before pixel 0
        inner = np.array([[float(tight[name]) for name in names] for names in (("a", "b", "tx"), ("c", "d", "ty"))])
        outer = np.array([[float(wide[name]) for name in names] for names in (("a", "b", "tx"), ("c", "d", "ty"))])
        in_photo = np.linalg.solve(inner[:, :2], np.array([x, y]) - 0.5 - inner[:, 2])
        np.testing.assert_allclose(outer @ [*in_photo, 1], place - 0.5, atol=1e-4)


def test_an_alignment_with_a_margin_gives_the_same_frame(aligned):
    (tight,), (wide,) = (alignments(aligned / name / TABLE, 64)["astronaut"].frames for name in ("tight", "wide"))
    assert wide.displacement(tight) < 1e-4


@pytest.mark.parametrize("margin", [[], ["--margin", 0.4], ["--margin", -1]])
def test_a_folder_has_one_margin(aligned, margin):
    code, words = (2, "--margin") if -1 in margin else (1, "another --size, --margin")
    result = run_script("align.py", PHOTO.name, "align", INNER, "wide", "--size", 128, *margin, cwd=aligned)
    assert_fails(result, code, words)


def test_a_widened_frame_by_hand():
    """Half of 16 pixels more on each side: the pixels 42 to 73, two of them to each of the frame's."""
    wide = SQUARE.widened(0.5)
    np.testing.assert_allclose(wide.corners()[[0, 2]], [[41.5, 41.5], [73.5, 73.5]])
    np.testing.assert_allclose(wide.widened(-0.25).transform, SQUARE.transform, atol=1e-12)
    np.testing.assert_allclose(SQUARE.corners(0.5), wide.corners())
    assert wide.size == 16


def completer(margin):
    return PhotoCompleter(
        SimpleNamespace(directory=None, image_size=16, c_dim=3, options=NetworkOptions(16, margin=margin))
    )


def test_a_model_sees_and_completes_its_margin():
    photo = Photo(np.random.default_rng(0).integers(0, 256, (120, 120, 3), np.uint8), np.ones((120, 120), bool))
    photo = photo.hiding(np.pad(np.ones((2, 20), bool), ((44, 74), (40, 60))))  # above the square
    assert not completer(0).damaged(photo, [SQUARE]) and completer(0.5).damaged(photo, [SQUARE]) == [SQUARE]
    seen = completer(0.5).faces(photo, [SQUARE])
    two = photo.pixels[42:74, 42:74].reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))  # by hand
    known = seen.masks[0]
    assert abs(seen.pictures[0] - two)[known].max() < 1
    np.testing.assert_array_equal(np.flatnonzero(~known.all(axis=1)), [1])  # rows 44 and 45
    white = np.full((1, 16, 16, 3), 255, np.uint8)
    finish = completer(0.5).finish(photo, [SQUARE], grain=0, seed=0)
    black = finish(0 * white)
    completed = finish(white)
    changed = (completed.pixels != black.pixels).any(axis=-1)
    assert changed[44:46, 46:58].any() and not changed[photo.known].any()


def test_eyes_lie_where_they_do_without_a_margin():
    tight, wide = mask_of("eyes", NetworkOptions(), 0), mask_of("eyes", NetworkOptions(margin=0.5), 0)
    np.testing.assert_array_equal(wide[16:48, 16:48], tight[::2, ::2])
    assert (~wide).sum() == (~wide[16:48, 16:48]).sum()


# --------------------------------------------------------------------------------- models and pictures


def test_a_model_keeps_its_margin(tmp_path):
    dcgan = DCGAN(8, gf_dim=4, df_dim=4, margin=0.25)
    dcgan.save(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["margin"] == 0.25
    assert DCGAN.load(tmp_path).options.margin == dcgan.grown(16).options.margin == 0.25
    config = json.loads((tmp_path / "config.json").read_text())
    del config["margin"]  # as in an earlier version
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_config(tmp_path).margin == DCGAN.load(tmp_path).options.margin == 0


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """A folder with pictures that align.py wrote with a margin, as far as their table tells, and another without."""
    folder = tmp_path_factory.mktemp("faces")
    for name, margin in (("wide", "0.25"), ("tight", "")):
        names = [path.name for path in write_pictures(folder / name, blobs(8, 16))]
        rows = [f"{each},{each},aligned,1,0,0,0,1,0,99,80,16,,{margin}" for each in names]
        header = "source,output,status,a,b,tx,c,d,ty,width,height,size,faces,margin"
        (folder / name / TABLE).write_text("\n".join([header, *rows]) + "\n")
    DCGAN(**SMALL).save(folder / "model")
    return folder


def test_pictures_beside_a_table_have_its_margin(faces):
    wide = sorted((faces / "wide").glob("*.png"))
    check_margin(wide, 0.25)
    check_margin([faces / "wide" / "other.png", faces / "other.png"], 0)  # of these nothing is known
    with pytest.raises(UserError, match=r"000.png was aligned with --margin 0.25, but the model is for --margin 0: "):
        check_margin(wide, 0)


def train(faces, pictures, *args):
    small = [part for name, value in SMALL.items() for part in (f"--{name}", value)]
    files = ["--checkpoint_dir", "out/model", "--sample_dir", "out/samples", "--log_dir", "out/logs"]
    args = ["--dataset", pictures, *files, "--epoch", 1, "--batch_size", 8, *small, *args]
    return run_script("train-dcgan.py", *args, cwd=faces)


@pytest.mark.slow
def test_training_on_another_margin_is_refused(faces):
    fault = "was aligned with --margin 0.25, but the model is for --margin 0"
    assert_fails(train(faces, "wide"), 1, fault, "give that --margin, too")
    assert_fails(train(faces, "wide", "--init", "model"), 1, fault, "give that --margin, too")
    assert not (faces / "out" / "model" / "config.json").exists()
    result = train(faces, "wide", "--init", "model", "--margin", 0.25)
    assert result.returncode == 0 and "it was trained with --margin 0" in result.stdout
    assert DCGAN.load(faces / "out" / "model").options.margin == 0.25
    assert_fails(train(faces, "wide", "--margin", 0.5), 1, "has --margin 0.25, not 0.5")
    assert_fails(train(faces, "tight", "--epoch", 2), 1, "tight/000.png was aligned with --margin 0", "other pictures")
    assert "--epoch 1 is reached already" in train(faces, "wide").stdout


def test_pictures_of_another_margin_are_not_projected(faces):
    result = run_script("sample.py", "--z", "tight/000.png", "wide", "--checkpointDir", "model", cwd=faces)
    assert_fails(result, 1, "wide/000.png was aligned with --margin 0.25, but the model is for --margin 0")


@pytest.mark.slow
def test_aligned_pictures_of_another_margin_are_not_completed(faces):
    shutil.copytree(faces / "model", faces / "other")
    config = (faces / "other" / "config.json").read_text()
    (faces / "other" / "config.json").write_text(config.replace('"margin": 0.0', '"margin": 0.25'))
    search = ["--aligned", "--nIter", 1, "--refine", 0, "--outInterval", 0]
    for model, good, bad in (("model", "tight", "wide"), ("other", "wide", "tight")):
        args = [f"{good}/000.png", f"{bad}/000.png", *search, "--checkpointDir", model, "--outDir", f"by-{model}"]
        result = run_script("complete.py", *args, cwd=faces)
        assert result.returncode == 1 and f"{bad}/000.png was aligned with --margin" in result.stdout
        assert len(list((faces / f"by-{model}" / "final").glob("*.png"))) == 1
        result = run_script("evaluate.py", bad, "--checkpointDir", model, cwd=faces)
        assert_fails(result, 1, f"{bad}/000.png was aligned with --margin")


# ------------------------------------------------------------------------------------ coarse to fine


def stub(color):
    """A model of 16 pixels that completes every picture in one color."""

    def complete(incomplete, search, stopped):
        assert not (incomplete.masks.all(axis=(1, 2))).any()
        yield SimpleNamespace(generated=np.full_like(incomplete.pictures, color))

    options = NetworkOptions(16, margin=0.5 if color == 200 else 0)
    return SimpleNamespace(directory=None, image_size=16, c_dim=3, options=options, complete=complete)


def both():
    """A completer with a wide model, and a photo of noise with a square face, the pixels 40 to 71."""
    completer = PhotoCompleter(stub(50))
    completer.wide = SimpleNamespace(dcgan=stub(200), options=stub(200).options)
    photo = Photo(np.random.default_rng(0).integers(0, 256, (120, 120, 3), np.uint8), np.ones((120, 120), bool))
    return completer, photo, Frame(np.array([[0.5, 0, -20], [0, 0.5, -20]]), 16)


@pytest.mark.parametrize(("rows", "columns", "beyond"), [((45, 60), (45, 60), False), ((45, 60), (45, 90), True)])
def test_heads_are_completed_where_the_hole_reaches_beyond_the_face(rows, columns, beyond):
    completer, photo, frame = both()
    known = photo.known.copy()
    known[slice(*rows), slice(*columns)] = False
    photo = Photo(photo.pixels, known)
    (layer,) = completer.completed_heads([completer.heads(photo, [frame])])
    assert bool(layer) == beyond
    if beyond:
        np.testing.assert_allclose(layer.frames[0].corners(), frame.corners(0.5))


@pytest.mark.parametrize(("above", "touched"), [(9, True), (12, False)])
def test_a_hole_near_a_face_is_filled_if_there_is_a_model_of_heads(above, touched):
    """The face has the rows 40 to 71. A hole is near if it is at most 0.3 * 32 = 9.6 rows away."""
    completer, photo, frame = both()
    photo = photo.hiding(np.pad(np.ones((2, 20), bool), ((39 - above, 79 + above), (45, 55))))
    assert completer.damaged(photo, [frame]) == []
    assert completer.touched(photo, [frame]) == [frame] * touched
    (layer,) = completer.completed_heads([completer.heads(photo, [frame])])
    assert bool(layer) == touched
    completer.wide = None
    assert completer.touched(photo, [frame]) == []


def test_a_face_that_is_hidden_wholly_is_not_completed():
    completer, photo, frame = both()
    assert completer.touched(photo.hiding(frame.covered(photo.shape, 0.1)), [frame]) == []


def test_a_hidden_half_of_a_head_is_guessed_from_the_other_one():
    completer, photo, frame = both()
    known = photo.known.copy()
    known[20:90, 20:56] = False  # the left half of the head's frame, whose pixels have 4x4 of the photo
    heads = completer.heads(Photo(photo.pixels, known), [frame]).incomplete
    (picture,), (guessed,) = heads.pictures, heads.guessed
    assert guessed[4:-4, 4:7].all() and not guessed[:, 8:].any()
    assert not guessed[[0, 0, -1, -1], [0, 1, 0, 1]].any()  # beside the head
    np.testing.assert_array_equal(picture[guessed], picture[:, ::-1][guessed])


def test_a_guess_counts_little_in_the_search():
    incomplete = Incomplete(blobs(2, 8), np.arange(8) >= 4, tones=(None, None))
    guess = incomplete.mirrored(np.arange(8) >= 2)
    dcgan, search = DCGAN(8, gf_dim=4, df_dim=4), SearchOptions(n_iter=1, refine=0)
    without, counted = (next(iter(dcgan.complete(each, search))) for each in (incomplete, guess))
    off = abs(to_float(without.generated).numpy() - to_float(guess.pictures).numpy())[:, :, 2:4].sum(axis=(1, 2, 3))
    np.testing.assert_allclose((counted.losses - without.losses)[:, 0], GUESS * off, rtol=0.05)


def test_each_photo_gets_its_own_heads():
    completer, photo, frame = both()
    completer.wide.dcgan.complete = lambda incomplete, search, stopped: iter(
        [
            SimpleNamespace(
                generated=np.arange(len(incomplete), dtype=np.uint8)[:, None, None, None] + incomplete.pictures * 0
            )
        ]
    )
    wide = Photo(photo.pixels, np.pad(np.zeros((15, 45), bool), ((45, 60), (45, 30)), constant_values=True))
    heads = [completer.heads(each, [frame] * count) for each, count in ((wide, 1), (photo, 1), (wide, 2), (wide, 0))]
    assert [len(each.frames) for each in heads] == [1, 0, 2, 0]
    first, none, third, nobody = completer.completed_heads(heads)
    assert none is None and nobody is None
    assert (len(first.faces), len(third.faces)) == (1, 2)
    assert completer.completed_heads([]) == [] and PhotoCompleter(stub(50)).completed_heads(heads) == [None] * 4


def test_faces_fade_into_heads_but_heads_do_not_fade():
    """Without a known pixel near, each shows its colors: the face in its frame, the ramp of the head around it."""
    completer, photo, frame = both()
    known = np.zeros((120, 120), bool)
    known[0] = True
    photo = Photo(np.full((120, 120, 3), 100, np.uint8), known)
    face, head = np.full((1, 16, 16, 3), 50, np.uint8), np.empty((1, 16, 16, 3), np.uint8)
    head[:] = 50 + 10 * np.arange(16)[:, None]  # brighter by 2.5 with each pixel of the photo
    without, result = (
        completer.finish(photo, [frame], 0, 0, heads)(face).pixels.astype(int)
        for heads in (None, Layer(completer.reached([frame]), head))
    )
    np.testing.assert_array_equal(result[0], photo.pixels[0])
    assert abs(result[56, 56] - without[56, 56]).max() <= 1
    for beside in (slice(26, 34), slice(78, 86)):
        assert np.ptp(result[56, beside, 0]) > 12  # of 17.5; the known row takes the rest
    for beside in (slice(0, 38), slice(74, 120)):  # no edge where the head's frame ends
        assert np.abs(np.diff(result[56, beside, 0])).max() < 10


@pytest.mark.parametrize("gap", range(-4, 7))
def test_heads_of_the_photo_s_color_leave_no_trace_where_their_frames_meet(gap):
    """Two heads side by side, and a hole over parts of both."""
    photo = Photo(np.full((100, 200, 3), 200, np.uint8), np.ones((100, 200), bool))
    frames = [Frame(np.array([[0.25, 0, -0.25 * left], [0, 0.25, -5]]), 16) for left in (20, 84 + gap)]
    photo = photo.hiding(np.pad(np.ones((70, 100), bool), ((15, 15), (40, 60))))
    heads = Layer(frames, np.full((2, 16, 16, 3), 200, np.uint8))
    np.testing.assert_array_equal(Compositor(photo, [], heads=heads)(np.empty((0, 16, 16, 3))), 200)


def test_what_is_far_from_a_head_does_not_tint_it():
    """The head and what is near are dark; what the hole reaches, far beyond the head's frame, is bright."""
    photo = Photo(np.full((64, 300, 3), 50, np.uint8), np.ones((64, 300), bool))
    photo.pixels[:, 240:] = 250
    photo = photo.hiding(np.pad(np.ones((64, 200), bool), ((0, 0), (40, 60))))
    head = Layer([Frame(np.array([[0.25, 0, -2.5], [0, 0.25, 0]]), 16)], np.full((1, 16, 16, 3), 50, np.uint8))
    completed = Compositor(photo, [], heads=head)(np.empty((0, 16, 16, 3)))
    assert completed[:, 40:70].max() < 55


def test_the_bundled_model_for_photos_comes_with_the_wide_one(tmp_path, monkeypatch):
    for name, margin in (("faces", 0.0), ("pretrained-wide", 0.25)):
        DCGAN(8, gf_dim=4, df_dim=4, margin=margin).save(tmp_path / name)
    shutil.copytree(tmp_path / "faces", tmp_path / "own")
    monkeypatch.setattr(directories, "bundled", lambda photos: tmp_path / "faces")
    monkeypatch.chdir(tmp_path)
    for named in (None, tmp_path / "faces", Path("faces")):
        wide = models.wide_model(models.open_model(named, photos=True))
        assert wide and wide.dcgan.options.margin == wide.options.margin == 0.25
    assert models.wide_model(models.open_model(tmp_path / "own")) is None
    assert models.wide_model(DCGAN(8, gf_dim=4, df_dim=4)) is None


@pytest.mark.parametrize("folder", [ROOT, ROOT / "tests"])
def test_the_wide_model_is_found_from_any_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for named in (directories.bundled(photos=True), ROOT / "checkpoints" / "pretrained-128"):
        assert directories.wide_of(named) == ROOT / "checkpoints" / "pretrained-wide"
    assert directories.wide_of(directories.bundled(photos=False)) is None


def test_a_folder_without_a_wide_model_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(directories, "bundled", lambda photos: tmp_path / "faces")
    (tmp_path / "pretrained-wide").mkdir()
    (tmp_path / "pretrained-wide" / "README.md").touch()
    assert directories.wide_of(tmp_path / "faces") is None


def test_a_bundled_model_that_was_trained_on_is_none(tmp_path):
    """Its faces are no longer those that the wide model was trained with."""
    dcgan = DCGAN(8, gf_dim=4, df_dim=4)
    dcgan.save(tmp_path)
    dcgan = DCGAN.load(tmp_path)
    assert dcgan.directory == tmp_path.resolve()
    next(dcgan.train(np.zeros((2, 8, 8, 3), np.uint8), TrainOptions(batch_size=2)))
    assert dcgan.directory is None
