"""Numbers and errors of the command line."""

import pytest

from jobs import command


@pytest.mark.parametrize("bad", ["0", "-1", "x", "nan", "inf"])
def test_number_refuses(bad):
    parser = command.Parser("test")
    parser.add_argument("--lr", type=command.number(float, above=0))
    with pytest.raises(SystemExit) as exit_:
        parser.parse_args([f"--lr={bad}"])
    assert exit_.value.code == 2


def test_number_accepts_its_limits_and_says_them(capsys):
    parser = command.Parser("test")
    parser.add_argument("--n", type=command.number(int, 1, 9))
    parser.add_argument("--beta", type=command.number(float, 0, below=1))
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
