"""The scripts in Jupyter and IPython, and the notebook."""

import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.slow
STATE = """
import os, signal, sys, warnings

def state():
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    settings = [os.environ.get(name) for name in ("KERAS_HOME", "KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL")]
    return handlers, settings, warnings.filters[:], sys.stdout.encoding, sys.stdout, sys.stderr
"""
PHOTO = f"{ROOT}/data/demo/raw/astronaut.png"


def executed(*cells: str, cwd) -> list:
    """The outputs of cells that are run in a kernel, cell by cell."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(cwd)}}).execute()
    return [cell.outputs for cell in notebook.cells]


def streams(outputs: list, name: str) -> str:
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == name)


def test_scripts_run_in_a_kernel_and_leave_it_as_it_was(tmp_path):
    (tmp_path / "small").mkdir()
    runs = {
        "simple-distributions.py": "--outDir plots",
        "align.py": f"{PHOTO} align innerEyesAndBottomLip small --size 16 --jobs 1",
        "train-dcgan.py": "--dataset small --image_size 16 --gf_dim 4 --df_dim 4 --epoch 2",
        "sample.py": "--number 4 --checkpointDir checkpoints",
        "complete.py": "small --nIter 2 --checkpointDir checkpoints",
        "evaluate.py": "small --masks center --methods telea",
    }
    calls = [f"%run {ROOT}/{script} {arguments}" for script, arguments in runs.items()]
    *_, again, bad, wrong, same = executed(
        f"{STATE}\nbefore = state()",
        *calls,
        f"%run {ROOT}/complete.py small --nIter 3 --checkpointDir checkpoints",
        f"%run {ROOT}/complete.py nothing.png",
        f"%run {ROOT}/complete.py",
        "print(state() == before)",
        cwd=tmp_path,
    )
    assert (tmp_path / "completions" / "final" / "astronaut.png").exists()
    assert not streams(again, "stderr")
    shown = [output.data["text/plain"] for output in again if output.output_type == "display_data"]
    assert shown[-1].startswith("33/33 iterations")  # one line, redrawn
    assert "completed pictures: completions/final" in streams(again, "stdout")
    assert len(bad) == len(wrong) == 1
    assert streams(bad, "stderr").startswith("error: no file or folder nothing.png")
    assert streams(wrong, "stderr").startswith("error: the following arguments are required: IMG")
    assert streams(same, "stdout") == "True\n"


def test_an_interrupt_of_the_kernel_stops_a_completion(tmp_path):
    outputs, same = executed(
        f"{STATE}\nbefore = state()\nimport threading\n"
        "def interrupt():\n"
        "    import time\n"
        "    from pathlib import Path\n"
        "    while not Path('completions/before.png').exists():\n"
        "        time.sleep(0.1)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=interrupt).start()\n"
        f"%run {ROOT}/complete.py --photo {PHOTO} --nIter 1000",
        "print(state() == before)",
        cwd=tmp_path,
    )
    assert "run the same command again to complete the rest" in streams(outputs, "stdout")
    assert not streams(outputs, "stderr")
    assert streams(same, "stdout") == "True\n"


def test_scripts_run_in_ipython(tmp_path):
    script = f"{STATE}\nbefore = state()\n%run {ROOT}/simple-distributions.py --outDir plots\n%run {ROOT}/align.py\n"
    command = [sys.executable, "-m", "IPython", "-c", f"{script}\nprint(state() == before)"]
    env = {"IPYTHONDIR": str(tmp_path), "PATH": ""}
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert result.stdout.splitlines()[-2:] == ["plots/normal-2d-max.png", "True"]
    assert result.stderr.startswith("error: ") and len(result.stderr.splitlines()) == 1


# ------------------------------------------------------------------------------------- the notebook


@pytest.fixture
def notebook():
    return nbformat.read(ROOT / "image-completion.ipynb", 4)


def code(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_outputs_are_stripped(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all((cell.outputs, cell.execution_count) == ([], None) for cell in cells)


def test_the_notebook_shows_pictures_of_every_step(notebook, tmp_path):
    for path in ROOT.iterdir():
        if not path.name.startswith((".", "output")):
            (tmp_path / path.name).symlink_to(path)
    cells = [cell.replace("COUNT, EPOCHS = 512, 4", "COUNT, EPOCHS = 32, 1") for cell in code(notebook)]
    assert cells != code(notebook)
    outputs = executed(*cells, cwd=tmp_path)
    assert not "".join(streams(each, "stderr") for each in outputs)
    pictures = [output for each in outputs for output in each if "image/png" in output.get("data", {})]
    assert len(pictures) == 4 + 4 + 2  # plots; samples, walk, arithmetic, fine-tuned; photo, masks
    assert (tmp_path / "outputNotebook" / "lowres" / "final" / "astronaut.png").exists()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the repository is no git repository here")
def test_elsewhere_the_first_cell_clones_the_repository(notebook, tmp_path):
    with pytest.raises(CellExecutionError, match="replace OWNER in the address"):
        executed(code(notebook)[0], cwd=tmp_path)
    first = code(notebook)[0].replace("https://github.com/OWNER/dcgan-completion", ROOT.as_uri())
    install = "%pip install -q -r requirements.txt"
    assert install in first
    executed(first.replace(install, "assert Path('requirements.txt').exists()"), cwd=tmp_path)
    assert (tmp_path / "dcgan-completion" / "complete.py").exists()
