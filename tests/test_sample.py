"""sample.py: pictures against G of the z beside them, walks and arithmetic against NumPy, planted copies, bad calls."""

import shutil

import numpy as np
import pytest
from conftest import assert_fails, assert_works, blobs, lively, run_script, write_pictures
from PIL import Image

from dcgan.directories import ENOUGH
from dcgan.latent import combined, save_z, walk
from images import neighbors
from images.dataset import Dataset
from model import DCGAN


@pytest.fixture(scope="module")
def dcgan():
    dcgan = lively(8, 8)
    dcgan.step.assign(ENOUGH)
    for variable in dcgan.generator.variables:
        if variable.name == "beta":
            variable.assign_add(np.full(variable.shape, 0.3))  # or else all ReLUs have their kink where searches start
    return dcgan


@pytest.fixture
def folder(dcgan, tmp_path):
    dcgan.save(tmp_path / "checkpoints")
    return tmp_path


def sample(folder, *args):
    """What a call says that has to work."""
    result = run_script("sample.py", *args, cwd=folder)
    assert_works(result)
    return result.stdout


def z_in(path):
    with np.load(path) as file:
        return file["z"]


def generated(dcgan, z):
    """G of each z alone, by the formula for pixels."""
    return np.concatenate([((dcgan.generator(z[i : i + 1]).numpy() + 1) * 127.5).round() for i in range(len(z))])


def tiles(path, columns, top=0):
    """The pictures of 16x16 in a sheet, row by row, [N, 16, 16, 3]."""
    sheet = np.asarray(Image.open(path))[top:]
    rows = (len(sheet) - 4) // 132
    assert sheet.shape[1] == columns * 132 + 4
    corners = [(4 + 132 * r, 4 + 132 * c) for r in range(rows) for c in range(columns)]
    return np.stack([sheet[y : y + 128 : 8, x : x + 128 : 8] for y, x in corners])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*")}


def test_a_grid_and_the_same_again(dcgan, folder):
    assert "look at sampled/samples.png" in sample(folder, "--number", 10, "--columns", 4, "--seed", 3)
    z = z_in(folder / "sampled" / "samples.npz")
    assert z.shape == (10, 100) and abs(z).max() <= 1 and z.std() == pytest.approx(3**-0.5, rel=0.1)
    shown = tiles(folder / "sampled" / "samples.png", 4)
    np.testing.assert_array_equal(shown[:10], generated(dcgan, z))
    assert (shown[10:] == 255).all() and len(shown) == 12
    sample(folder, "--number", 10, "--columns", 4, "--seed", 3, "--outDir", "seed")
    sample(folder, "--z", "sampled/samples.npz", "--columns", 4, "--outDir", "file")
    sample(folder, "--z", "seed/samples.npz", "--columns", 4, "--outDir", "seed")
    assert contents(folder / "sampled") == contents(folder / "seed") == contents(folder / "file")
    sample(folder, "--number", 10, "--seed", 4, "--outDir", "seed")
    assert not np.isin(z_in(folder / "seed" / "samples.npz"), z).any()


def test_single_files_take_the_place_of_earlier_ones(dcgan, folder):
    sample(folder, "--single", "--number", 5)
    single = folder / "sampled" / "single"
    sample(folder, "--z", single, "--outDir", "grid")
    z = z_in(folder / "grid" / "samples.npz")
    sample(folder, "--single", "--number", 3)
    assert sorted(contents(single)) == [f"000{i}.{suffix}" for i in range(3) for suffix in ("npz", "png")]
    for i, picture in enumerate(generated(dcgan, z[:3])):
        np.testing.assert_array_equal(np.asarray(Image.open(single / f"000{i}.png")), picture)
        np.testing.assert_array_equal(z_in(single / f"000{i}.npz"), z[i : i + 1])


def test_a_walk(dcgan, folder):
    assert "sampled/walk.png, sampled/walk.gif" in sample(folder, "--number", 3, "--walk", 4)
    sample(folder, "--number", 3)
    points, z = (z_in(folder / "sampled" / f"{name}.npz") for name in ("samples", "walk"))
    legs = z.reshape(2, 5, 100)
    np.testing.assert_array_equal(legs[:, 0], points[:2])
    np.testing.assert_array_equal(legs[:, 4], points[1:])
    np.testing.assert_allclose(legs[:, 2], (points[:2] + points[1:]) / 2, atol=1e-7)
    np.testing.assert_allclose(legs[:, 1], (legs[:, 0] + legs[:, 2]) / 2, atol=1e-7)
    np.testing.assert_array_equal(tiles(folder / "sampled" / "walk.png", 5), generated(dcgan, z))
    with Image.open(folder / "sampled" / "walk.gif") as gif:
        assert (gif.n_frames, gif.size) == (17, (136, 136))  # 9 there, 8 back
        middle = np.asarray(gif.convert("RGB"), float) if gif.seek(4) is None else None
        assert abs(middle[4:132:8, 4:132:8] - generated(dcgan, points[1:2])[0]).mean() < 10  # of few colors


def test_arithmetic(dcgan, folder):
    rng = np.random.default_rng(0)
    terms = {name: rng.uniform(-1, 1, (n, 100)).astype(np.float32) for name, n in (("a", 3), ("b", 1), ("c", 10))}
    for name, z in terms.items():
        save_z(folder / f"{name}.npz", z)
    parts = [folder / f"a{i}.npz" for i in range(3)]
    for i, path in enumerate(parts):
        save_z(path, terms["a"][i : i + 1])
    sample(folder, "--minus", "c.npz", "--plus", *parts, "--plus", "b.npz")
    mean_a, mean_c = terms["a"].sum(axis=0) / 3, terms["c"].sum(axis=0) / 10
    expected = mean_a + terms["b"][0] - mean_c
    assert abs(expected).max() > 1
    with np.load(folder / "sampled" / "arithmetic.npz") as file:
        np.testing.assert_allclose(file["z"], np.maximum(np.minimum(expected, 1), -1)[None], atol=1e-6)
        for name, term in (("plus1", "a"), ("plus2", "b"), ("minus1", "c")):
            np.testing.assert_array_equal(file[name], terms[term])
    shown = tiles(folder / "sampled" / "arithmetic.png", 4, top=24).reshape(9, 4, 16, 16, 3)
    np.testing.assert_array_equal(shown[0, 3], generated(dcgan, z_in(folder / "sampled" / "arithmetic.npz"))[0])
    assert abs(shown[0, 0] - generated(dcgan, mean_a[None])[0]).max() <= 1  # means differ in the last bit
    np.testing.assert_array_equal(shown[1:4, 0], generated(dcgan, terms["a"]))
    np.testing.assert_array_equal(shown[1:, 2], generated(dcgan, terms["c"][:8]))
    assert (shown[4:, 0] == 255).all() and (shown[1:, 1] == 255).all() and (shown[1:, 3] == 255).all()


def test_the_z_of_a_picture_is_searched_for(dcgan, folder):
    sample(folder, "--single", "--number", 2)
    pictures = [folder / "sampled" / "single" / f"000{i}.png" for i in range(2)]
    sample(folder, "--plus", *pictures, "--outDir", "out")
    with np.load(folder / "out" / "arithmetic.npz") as file:
        z, found = file["plus1"], generated(dcgan, file["plus1"])
    true = np.stack([np.asarray(Image.open(path), float) for path in pictures])
    assert abs(z).max() <= 1
    errors = abs(found - true).mean(axis=(1, 2, 3))
    assert (errors < abs(true[0] - true[1]).mean() / 4).all()
    sample(folder, "--z", *pictures, "--outDir", "out")  # and it is that wherever z can be named
    np.testing.assert_array_equal(z_in(folder / "out" / "samples.npz"), z)


def test_the_nearest_pictures(dcgan, folder):
    sample(folder, "--number", 3)
    copies = tiles(folder / "sampled" / "samples.png", 3)
    paths = write_pictures(folder / "faces", blobs(8, 16))
    Image.fromarray(copies[1]).save(folder / "faces" / "copy.png")
    Image.fromarray(copies[2][:, ::-1]).save(folder / "faces" / "mirror.png")
    paths[3].write_bytes(b"no picture")
    said = sample(folder, "--number", 3, "--nearest", "faces")
    assert "skipped: cannot read the picture faces/003.png" in said and "nearest of 9 pictures" in said
    assert "  1: 0.0 to faces/copy.png\n" in said and "  2: 0.0 to faces/mirror.png, mirrored\n" in said
    shown = tiles(folder / "sampled" / "nearest.png", 4, top=24).reshape(3, 4, 16, 16, 3)
    for column in (0, 1):
        np.testing.assert_array_equal(shown[1:, column], copies[1:])
    said_again = sample(folder, "--z", "sampled/nearest.npz", "--nearest", "faces")
    assert said_again == said


def test_the_nearest_by_brute_force(tmp_path, monkeypatch):
    pictures, others = blobs(5, 16, seed=1), blobs(40, 16, seed=2)
    dataset = Dataset(write_pictures(tmp_path, others), 16, 3, memory=0)
    monkeypatch.setattr(neighbors, "AT_ONCE", 7 * 16 * 16 * 3)
    found = neighbors.nearest(pictures, dataset, 3, lambda done: None)
    both = np.stack([others, np.flip(others, axis=2)]).astype(float)
    distances = np.sqrt(((both[:, None] - pictures[None, :, None]) ** 2).mean(axis=(3, 4, 5)))
    order = distances.min(axis=0).argsort(axis=1)[:, :3]
    np.testing.assert_array_equal(found.numbers, order)
    np.testing.assert_allclose(found.distances, np.take_along_axis(distances.min(axis=0), order, axis=1))
    np.testing.assert_array_equal(found.mirrored, np.take_along_axis(distances.argmin(axis=0) == 1, order, axis=1))


def test_a_grey_model_of_another_size(tmp_path):
    DCGAN(8, c_dim=1, z_dim=5, gf_dim=4, df_dim=4).save(tmp_path / "grey")
    model = ("--checkpointDir", "grey")
    write_pictures(tmp_path / "faces", blobs(2, 16)[..., 0])
    sample(tmp_path, *model, "--number", 2)
    for mode in (["--walk", 2], ["--single"], ["--nearest", "faces"]):
        sample(tmp_path, *model, "--z", "sampled/samples.npz", *mode)
    sample(tmp_path, *model, "--plus", "sampled/walk.npz", "--minus", "faces")
    names = ("samples", "walk", "nearest", "arithmetic", "single/0001")
    assert {Image.open(tmp_path / "sampled" / f"{name}.png").mode for name in names} == {"L"}
    assert z_in(tmp_path / "sampled" / "arithmetic.npz").shape == (1, 5)


def test_the_bundled_model_where_there_is_no_other(tmp_path):
    assert "pretrained, trained for" in sample(tmp_path, "--number", 1)
    assert Image.open(tmp_path / "sampled" / "samples.png").size == (136, 136)


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ("--number 0", 2, ["at least 1"]),
        ("--walk 0", 2, ["at least 1"]),
        ("--minus a.npz", 2, ["--minus needs --plus"]),
        ("--walk 2 --single", 2, ["--single and --walk exclude each other"]),
        ("--plus a.npz --nearest faces", 2, ["--plus and --nearest exclude each other"]),
        ("--plus a.npz --z a.npz", 2, ["--z and --plus exclude each other"]),
        ("--z a.npz --number 3", 2, ["--number is for random z"]),
        ("--plus a.npz --seed 3", 2, ["--seed is for random z"]),
        ("--walk 3 --columns 3", 2, ["--columns is for a grid"]),
        ("--walk 3 --number 1", 2, ["two z"]),
        ("--z a.npz --walk 3", 1, ["two z"]),
        ("--number 20000", 1, ["20000 pictures"]),
        ("--z missing.npz", 1, ["no file missing.npz"]),
        ("--z cut.npz", 1, ["cannot read z from cut.npz"]),
        ("--z short.npz", 1, ["short.npz has 99 numbers, not the model's 100"]),
        ("--z wide.npz", 1, ["wide.npz is not [N, 100] in [-1, 1]"]),
        ("--z nan.npz", 1, ["nan.npz is not"]),
        ("--z none.npz", 1, ["none.npz is not"]),
        ("--plus a.npz --minus bad.png", 1, ["cannot read the picture bad.png"]),
        ("--plus empty", 1, ["no pictures in empty"]),
        ("--nearest empty", 1, ["no pictures in empty"]),
        ("--nearest missing", 1, ["no folder missing"]),
        ("--nearest bad", 1, ["none of the 1 pictures can be read"]),
        ("--checkpointDir empty", 1, ["no model in empty"]),
    ],
)
def test_bad_calls_leave_nothing(folder, args, code, words):
    good = np.zeros((1, 100))
    for name, z in (
        ("short", good[:, 1:]),
        ("wide", good + 1.5),
        ("nan", good + np.nan),
        ("none", good[1:]),
        ("a", good),
    ):
        save_z(folder / f"{name}.npz", z)
    (folder / "cut.npz").write_bytes((folder / "a.npz").read_bytes()[:-60])
    (folder / "empty").mkdir()
    for path in (folder / "bad.png", folder / "bad" / "bad.png"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no picture")
    assert_fails(run_script("sample.py", *args.split(), cwd=folder), code, *words)
    assert not (folder / "sampled").exists()


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("samples.npz", []),
        ("walk.gif", ["--walk", 2]),
        ("nearest.png", ["--nearest", "faces"]),
        ("single/0001.npz", ["--single"]),
    ],
)
def test_what_others_wrote_stays(folder, name, args):
    other = folder / "sampled" / name
    other.parent.mkdir(parents=True)
    other.write_text("precious")
    write_pictures(folder / "faces", blobs(2, 16))
    before = sorted((folder / "sampled").rglob("[!.]*"))
    result = run_script("sample.py", "--number", 2, *args, cwd=folder)
    assert_fails(result, 1, f"sampled/{name} was not written by this program", "--outDir")
    assert other.read_text() == "precious" and sorted((folder / "sampled").rglob("[!.]*")) == before


def test_walks_and_sums_stay_in_the_cube():
    corners = np.sign(np.random.default_rng(0).uniform(-1, 1, (5, 100))).astype(np.float32)
    assert abs(walk(corners, 7)).max() == 1
    assert abs(combined([corners, corners], [1, 1])).max() <= 1


def test_z_that_is_named_is_not_written_over(folder):
    sample(folder, "--number", 2, "--walk", 1)
    sample(folder, "--number", 2, "--single")
    sample(folder, "--number", 2)
    shutil.copy(folder / "sampled" / "samples.npz", folder / "other.npz")
    before = {path: path.read_bytes() for path in (folder / "sampled").rglob("*.npz")}
    for args in (
        ["--z", "sampled/walk.npz", "--walk", 2],
        ["--z", "sampled/single/0001.npz", "--single"],
        ["--z", "sampled/samples.npz", "other.npz"],
        ["--z", "sampled/samples.png"],
    ):
        assert_fails(run_script("sample.py", *args, cwd=folder), 1, args[1], "would be overwritten by the results")
    write_pictures(folder / "faces", blobs(2, 16))
    assert_fails(
        run_script("sample.py", "--nearest", "faces", "--outDir", "faces", cwd=folder), 1, "contains the pictures"
    )
    assert before == {path: path.read_bytes() for path in before}
