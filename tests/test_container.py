"""The Dockerfile, as far as it can be checked without an engine."""

import json
import re
from fnmatch import fnmatch

from conftest import ROOT, run_script

LINES = (ROOT / "Dockerfile").read_text().splitlines()


def test_it_copies_what_exists_and_starts_the_page(tmp_path):
    assert len(LINES) <= 20
    instructions = [line.partition(" ")[::2] for line in LINES if not line.startswith("#")]
    for _, copied in filter(lambda each: each[0] == "COPY", instructions):
        assert all((ROOT / name).exists() for name in copied.split()[:-1])
    python, script, *arguments = json.loads(dict(instructions)["CMD"])
    assert python == "python"
    helped = run_script(script, "--help", cwd=tmp_path).stdout
    assert all(flag in helped for flag in arguments if flag.startswith("--"))


def test_the_image_has_the_models_and_the_demonstration_photo():
    ignored = (ROOT / ".dockerignore").read_text().split()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    assert kept == {
        "checkpoints/pretrained",
        "checkpoints/pretrained-128",
        "checkpoints/pretrained-wide",
        "data/demo",
        "outputs.py",
    }
    assert all((ROOT / path).exists() for path in kept)


def test_the_image_has_all_modules():
    ignored = (ROOT / ".dockerignore").read_text().split()
    left_out = {path.name for path in ROOT.glob("*.py") if any(fnmatch(path.name, pattern) for pattern in ignored)}
    assert all(f"!{name}" in ignored for name in left_out)


def test_the_page_listens_on_the_port_that_is_exposed(tmp_path):
    (port,) = re.findall(r"EXPOSE (\d+)", "\n".join(LINES))
    assert f"(default: {port})" in run_script("paint.py", "--help", cwd=tmp_path).stdout
