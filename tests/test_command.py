"""Options on the command line: read, refused in one line, and explained."""

import re
import subprocess
import sys
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

import pytest
from conftest import ROOT

from completion.options import PhotoOptions
from dcgan.options import NetworkOptions, SearchOptions, TrainOptions
from images.mask_options import MaskOptions
from jobs.arguments import AlignOptions, DistributionsOptions, SampleOptions
from jobs.command import parse, run
from jobs.complete.arguments import CompleteOptions
from jobs.evaluate.arguments import EvaluateOptions
from jobs.paint.arguments import PaintOptions
from jobs.train.arguments import RunOptions
from utils import Options, number, option


@dataclass(frozen=True)
class Trip(Options):
    """A trip. Not in the help."""

    start: Path = option(MISSING, "where it begins", "start", check=Path, metavar="PLACE")
    days: int = option(3, "how long", check=number(int, 1, 9))
    speed: float | None = option(None, "km/h", "--kmh", check=number(float, above=0, below=200))
    by: str = option("train", "what takes you there", choices=("train", "boat"))
    to: tuple[Path, ...] | None = option(None, "what is seen", check=Path, nargs="+", metavar="PLACE")
    back: bool = option(False, "there and back")


@dataclass(frozen=True)
class Bags(Options):
    """Luggage."""

    count: int = option(MISSING, "how many", check=number(int, 0))
    heavy: bool = option(False, "over 20 kg", "--isHeavy")

    def __post_init__(self):
        super().__post_init__()
        if self.heavy and not self.count:
            raise ValueError("--isHeavy needs a --count")


def read(*argv):
    return parse("Plans trips.\n\ntrip.py here", Trip, Bags, argv=argv)


def said_of_failure(capsys, *argv, kinds=(Trip, Bags)) -> str:
    """What a wrong call says: one line on stderr."""
    with pytest.raises(SystemExit) as ended:
        parse("doc", *kinds, argv=argv)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and re.fullmatch(r"error: .* \(see .* --help\)\n", err)
    return err


def test_an_instance_of_each_kind():
    assert read("here", "--count", "0") == (Trip(Path("here")), Bags(0))
    trip, bags = read(
        *("there", "--days=9", "--kmh", "1e2", "--by", "boat", "--to", "a", "b", "--back", "--count", "2", "--isHeavy")
    )
    assert trip == Trip(Path("there"), 9, 100.0, "boat", (Path("a"), Path("b")), True)
    assert bags == Bags(2, True)


def test_two_dashes_end_the_options():
    trip, _ = read("--count", "0", "--to", "a", "b", "--", "-here")
    assert trip == Trip(Path("-here"), to=(Path("a"), Path("b")))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--count", "1"], "required: PLACE"),
        (["here"], "required: --count"),
        (["here", "--count", "1", "--days", "10"], "argument --days: 10 is not at least 1 and at most 9"),
        (["here", "--count", "1", "--days", "9" * 400], "is not at least 1 and at most 9"),
        (["here", "--count", "1", "--days", "1.5"], "argument --days: 1.5 is not a whole number"),
        (["here", "--count", "1", "--kmh", "nan"], "argument --kmh: nan is not above 0 and below 200"),
        (["here", "--count", "1", "--kmh", "0"], "argument --kmh: 0 is not above 0"),
        (["here", "--count", "1", "--by", "car"], "argument --by: invalid choice: 'car'"),
        (["here", "--count", "1", "--to"], "argument --to: expected at least one argument"),
        (["here", "--count", "0", "--isHeavy"], "--isHeavy needs a --count"),
        (["here", "--count", "1", "--height", "3"], "unrecognized arguments: --height 3"),
        (["here", "--count", "1", "--day", "3"], "unrecognized arguments: --day 3"),
    ],
)
def test_errors_are_one_line(capsys, argv, words):
    assert words in said_of_failure(capsys, *argv)


def help_of(capsys, *kinds, doc="doc") -> str:
    """The help's text, in lines of any length."""
    with pytest.raises(SystemExit) as ended:
        parse(doc, *kinds, argv=["--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_help_has_the_examples_the_groups_and_the_defaults(capsys):
    text = help_of(capsys, Trip, Bags, doc="Plans trips.\n\n  trip.py here\n  trip.py there")
    assert re.match(r"usage: \S+ \[options\] PLACE --count N\n", text)
    assert "Plans trips.\n\n  trip.py here\n  trip.py there\n" in text
    assert "A trip:\n" in text and "Luggage:\n" in text and "Not in the help" not in text
    shown = " ".join(text.split())
    assert "--days N how long (default: 3)" in shown
    assert "--by {train,boat} what takes you there (default: train)" in shown
    assert "PLACE where it begins --" in shown
    for without in ("--kmh N km/h --", "--back there and back L", "--count N how many --", "--isHeavy over 20 kg"):
        assert without in shown


@pytest.mark.parametrize(
    "kinds",
    [
        (RunOptions, NetworkOptions, TrainOptions),
        (CompleteOptions, MaskOptions, SearchOptions),
        (EvaluateOptions,),
        (AlignOptions,),
        (DistributionsOptions,),
    ],
)
def test_every_option_of_a_script_is_explained(capsys, kinds):
    shown = " ".join(help_of(capsys, *kinds).split())
    for field in (field for kind in kinds for field in fields(kind)):
        text = " ".join(field.metadata["text"].split())
        # A word that is too long for its line is broken at its hyphens.
        assert text.replace(" ", "").replace("-", "") in shown.replace(" ", "").replace("-", ""), field.name
        if field.default not in (MISSING, None, False):
            assert f"(default: {field.default})" in shown, field.name


REQUIRED = {
    RunOptions: ["--dataset", "faces"],
    CompleteOptions: ["a.png"],
    EvaluateOptions: ["faces"],
    AlignOptions: ["raw", "align", "outerEyesAndNose", "out"],
}


@pytest.mark.parametrize("kind", [NetworkOptions, TrainOptions, SearchOptions, MaskOptions, *REQUIRED])
def test_defaults_are_those_of_python(kind):
    (options,) = parse("doc", kind, argv=REQUIRED.get(kind, []))
    for field in fields(kind):
        if field.default is not MISSING:
            assert getattr(options, field.name) == field.default, field.name


@pytest.mark.parametrize(
    "kind",
    [
        AlignOptions,
        CompleteOptions,
        EvaluateOptions,
        MaskOptions,
        PaintOptions,
        PhotoOptions,
        RunOptions,
        SampleOptions,
    ],
)
def test_a_tilde_is_the_home_folder(kind, monkeypatch):
    """In every path, also where no shell replaces it: --outDir=~/x."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    for field in fields(kind):
        if "Path" in str(field.type):
            assert field.metadata["check"]("~/x") == Path("/home/me/x"), field.name
    assert parse("doc", DistributionsOptions, argv=["--outDir=~/x"])[0].out_dir == Path("/home/me/x")


@pytest.mark.parametrize(
    ("kind", "argv", "expected"),
    [
        (NetworkOptions, "--image_size 16 --c_dim 1 --gf_dim 6,5 --df_dim 2", NetworkOptions(16, 1, 100, (6, 5), 2)),
        (TrainOptions, "--epoch 3 --flip --ema 0", TrainOptions(epochs=3, flip=True, ema=0.0)),
        (
            SearchOptions,
            "--nIter 7 --contextWindow 0 --lr 2 --hmcL 3",
            SearchOptions("lbfgs", "zero", 7, 2.0, hmc_l=3, context_window=0),
        ),
        (MaskOptions, "--maskFile m.png --invertMask", MaskOptions(file=Path("m.png"), invert=True)),
        (MaskOptions, "--holeColor 00FF00 --growMask 2", MaskOptions(hole_color="#00ff00", grow=2)),
        (MaskOptions, "--maskType random --randomShare .8", MaskOptions(kind="random", random_share=0.8)),
        (CompleteOptions, "a.png b.png --outDir o", CompleteOptions((Path("a.png"), Path("b.png")), out_dir=Path("o"))),
    ],
)
def test_options_of_the_scripts(kind, argv, expected):
    assert parse("doc", kind, argv=argv.split()) == (expected,)


@pytest.mark.parametrize(
    ("kind", "argv", "words"),
    [
        (NetworkOptions, "--image_size 63", "--image_size: 63 is not a power of two from 8 to 1024"),
        (NetworkOptions, "--gf_dim 6,5", "gf_dim has 2 numbers, but image_size 64 needs 4"),
        (NetworkOptions, "--gf_dim 6,x", "--gf_dim: x is not a whole number"),
        (NetworkOptions, "--df_dim 0", "--df_dim: 0 is not at least 1"),
        (NetworkOptions, "--c_dim 2", "--c_dim: invalid choice: 2"),
        (TrainOptions, "--beta1 1", "--beta1: 1 is not at least 0 and below 1"),
        (TrainOptions, "--seed -1", "--seed: -1 is not at least 0"),
        (SearchOptions, "--contextWindow 4", "--contextWindow: 4 is neither 0 nor an odd number from 3 to 511"),
        (SearchOptions, "--approach newton", "--approach: invalid choice: 'newton'"),
        (MaskOptions, "--maskType left --maskDir m", "--maskDir and --holeColor exclude each other"),
        (MaskOptions, "--holeColor 00ff00 --invertMask", "--invertMask needs --maskFile, --maskDir or transparent"),
        (MaskOptions, "--holeColor #0f0", "--holeColor: #0f0 is not a color"),
        (MaskOptions, "--maskType left --centerScale .3", "--centerScale needs --maskType center"),
        (MaskOptions, "--randomShare .3", "--randomShare needs --maskType random"),
        (EvaluateOptions, "faces --masks middle", "--masks: invalid choice: 'middle'"),
    ],
)
def test_options_that_the_scripts_refuse(capsys, kind, argv, words):
    assert words in said_of_failure(capsys, *argv.split(), kinds=(kind,))


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (TrainOptions, {"learning_rate": 0}),
        (TrainOptions, {"epochs": 0}),
        (TrainOptions, {"batch_size": 2.5}),
        (SearchOptions, {"approach": "newton"}),
        (SearchOptions, {"context_window": 4}),
        (SearchOptions, {"n_iter": 0}),
        (SearchOptions, {"lam": float("nan")}),
        (SearchOptions, {"seed": -1}),
        (MaskOptions, {"kind": "middle"}),
        (MaskOptions, {"center_scale": 0.6}),
        (MaskOptions, {"kind": "left", "folder": Path("m")}),
        (EvaluateOptions, {"dataset": Path("faces"), "masks": ("middle",)}),
        (CompleteOptions, {"imgs": ("a.png",), "blend": "glue"}),
    ],
)
def test_limits_hold_for_callers_in_python(kind, changes):
    with pytest.raises(ValueError):
        kind(**changes)


LIMITED = (
    f"ROOT = {str(ROOT)!r}\n"
    + """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1_000_000_000,) * 2)
sys.path.insert(0, ROOT)
sys.argv = ["complete.py", ROOT + "/data/demo/raw/astronaut.png"]
import complete
complete.run(complete.main)
"""
)


def test_too_little_memory_for_a_library_is_one_line(tmp_path):
    pytest.importorskip("resource")
    command = [sys.executable, "-c", LIMITED]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.returncode == 1
    assert re.fullmatch(r"error: (cannot load a library \(.*\)|out of memory): .*\n", result.stderr), result.stderr


@pytest.fixture
def without_signals(monkeypatch):
    """`run` leaves the signals of the tests' own process alone."""
    monkeypatch.setattr("jobs.interrupts.ignore", lambda: None)


@pytest.mark.parametrize("kind", [MemoryError, type("ResourceExhaustedError", (Exception,), {})])
def test_out_of_memory_is_one_line(capsys, without_signals, kind):
    def main():
        raise kind("12 GB")

    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: out of memory: use smaller pictures or a smaller batch\n"


def test_a_missing_library_is_named(capsys, without_signals):
    def main():
        import no_such_library  # noqa: F401

    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        "error: the library no_such_library is missing: pip install -r requirements.txt\n"
    )


@pytest.mark.parametrize("error", ["ImportError('no room')", "RuntimeError('no room')", "SystemError('no room')"])
def test_a_library_that_fails_at_its_import_is_one_line(capsys, without_signals, monkeypatch, tmp_path, error):
    (tmp_path / "failing_library.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(tmp_path)

    def main():
        import failing_library  # noqa: F401

    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        "error: cannot load a library (no room): free some memory, or install the requirements again\n"
    )


def test_a_fault_of_the_program_keeps_its_traceback(without_signals):
    def main():
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        run(main)
