"""Numbers, errors and progress of the command line."""

import pytest

import cli


def test_clock():
    assert cli.clock(59.6) == "0:01:00"
    assert cli.clock(36000 + 62) == "10:01:02"


@pytest.mark.parametrize("bad", ["0", "-1", "x", "nan", "inf"])
def test_number_refuses(bad):
    parser = cli.Parser("test")
    parser.add_argument("--lr", type=cli.number(float, above=0))
    with pytest.raises(SystemExit) as exit_:
        parser.parse_args([f"--lr={bad}"])
    assert exit_.value.code == 2


def test_number_accepts_its_limits_and_says_them(capsys):
    parser = cli.Parser("test")
    parser.add_argument("--n", type=cli.number(int, 1, 9))
    parser.add_argument("--beta", type=cli.number(float, 0, below=1))
    assert vars(parser.parse_args(["--n", "9", "--beta", "0"])) == {"n": 9, "beta": 0.0}
    for bad, words in (
        (["--n", "10"], "10 is not at least 1 and at most 9"),
        (["--beta", "1"], "1 is not at least 0 and below 1"),
        (["--n", "9" * 400], "at most 9"),
    ):
        with pytest.raises(SystemExit):
            parser.parse_args(bad)
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1


def test_progress_in_a_pipe_is_plain_lines(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(cli.time, "monotonic", lambda: now[0])
    progress = cli.Progress(40, "photos")
    for done in range(1, 41):
        now[0] += 1
        progress.update(done, "loss 3")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"{n}/40 photos, 1.0 photos/s, 0:00:{40 - n:02d} left, loss 3" for n in (10, 20, 30, 40)]
