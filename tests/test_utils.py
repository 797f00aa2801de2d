"""Progress and options."""

import math
from dataclasses import FrozenInstanceError, dataclass, replace
from pathlib import Path

import pytest

import utils


def test_clock():
    assert utils.clock(59.6) == "0:01:00"
    assert utils.clock(36000 + 62) == "10:01:02"


def test_progress_in_a_pipe_is_plain_lines(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(utils.time, "monotonic", lambda: now[0])
    progress = utils.Progress(40, "photos")
    for done in range(1, 41):
        now[0] += 1
        progress.update(done, "loss 3")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"{n}/40 photos, 1.0 photos/s, 0:00:{40 - n:02d} left, loss 3" for n in (10, 20, 30, 40)]


# ---------------------------------------------------------------------------------------- options


@pytest.mark.parametrize("bad", ["0", "-1", "x", "nan", "inf", "", 0, -1.5, math.nan, math.inf, True, None, [1]])
def test_number_refuses(bad):
    with pytest.raises(ValueError):
        utils.number(float, above=0)(bad)


@pytest.mark.parametrize("bad", ["1.5", "x", 1.5, 2.0, math.nan, False, None])
def test_a_whole_number_has_no_fraction(bad):
    with pytest.raises(ValueError, match=f"{bad} is not a whole number"):
        utils.number(int)(bad)


def test_number_accepts_its_limits_and_says_them():
    count, share = utils.number(int, 1, 9), utils.number(float, 0, below=1)
    assert [count("1"), count(9)] == [1, 9]
    assert [share("0"), share(0.5), share(0)] == [0, 0.5, 0]
    for check, bad, words in (
        (count, "10", "10 is not at least 1 and at most 9"),
        (count, 0, "0 is not at least 1 and at most 9"),
        (share, 1, "1 is not at least 0 and below 1"),
        (utils.number(float), "inf", "inf is not finite"),
        (count, "9" * 400, "at most 9"),
    ):
        with pytest.raises(ValueError, match=words):
            check(bad)


@pytest.mark.parametrize("value", [3, "3"])
def test_a_number_of_a_kind_is_of_that_kind(value):
    """A whole number where a fraction may stand is the same option as that fraction."""
    assert type(utils.number(float)(value)) is float
    assert type(utils.number(int)(value)) is int


@dataclass(frozen=True)
class Trip(utils.Options):
    """A trip. It has stations."""

    days: int = utils.option(3, "how long", check=utils.number(int, 1))
    speed: float | None = utils.option(None, "km/h", check=utils.number(float, above=0))
    by: str = utils.option("train", "what takes you there", choices=("train", "boat"))
    to: tuple[Path, ...] = utils.option((), "where", check=Path, nargs="+")


def test_options_are_checked_whoever_names_them():
    assert (Trip().days, Trip().speed, Trip().by) == (3, None, "train")
    trip = Trip(4, 80.5, "boat", ["a", "b"])
    assert (trip.days, trip.speed, trip.by, trip.to) == (4, 80.5, "boat", (Path("a"), Path("b")))
    assert replace(trip, days=1).days == 1
    with pytest.raises(FrozenInstanceError):
        trip.days = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"days": 0}, "^days: 0 is not at least 1$"),
        ({"days": 1.5}, "^days: 1.5 is not a whole number$"),
        ({"speed": math.nan}, "^speed: nan is not above 0$"),
        ({"by": "car"}, "^by: car is not one of train, boat$"),
    ],
)
def test_options_that_are_not_what_their_fields_take(changes, message):
    with pytest.raises(ValueError, match=message):
        Trip(**changes)
    with pytest.raises(ValueError, match=message):
        replace(Trip(), **changes)


def test_options_are_equal_and_hash_by_what_they_say():
    """A completion's results carry the options' repr, and tf.functions are compiled for them."""
    assert Trip(speed=80) == Trip(speed=80.0)
    assert repr(Trip(speed=80)) == repr(Trip(speed=80.0))
    assert hash(Trip(to=["a"])) == hash(Trip(to=(Path("a"),)))
