"""The benchmark runs; what it finds depends on the machine."""

import json

from conftest import ROOT, run_process


def test_the_benchmark_on_small_networks(tmp_path):
    script = str((ROOT / "tests" / "benchmark.py").relative_to(ROOT))
    result = run_process(script, "--rounds", 1, "--batch", 2, "--dim", 2, "--profile", "--json", "b.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    figures = json.loads((tmp_path / "b.json").read_text())
    assert figures["mixed"]["training step, images/s"] > 0
    assert sum(figures["profile, float32"].values()) > 0
    assert "share of a step that waits for pictures" in result.stdout
