"""What may import what, as in docs/contributing.md.

Told by the imports themselves, those within functions and those for type checkers, too.
"""

import ast
import sys
from graphlib import TopologicalSorter

import pytest
from conftest import ROOT

FLOORS = {
    "utils": 0,
    "outputs": 1,
    "kernels": 1,
    "images": 1,
    "ops": 2,
    "faces": 2,
    "dcgan": 3,
    "model": 4,
    "completion": 5,
    "jobs": 6,
}
TENSORFLOW = {"keras", "tensorflow"}
# Before arguments are read.
FOR_SCRIPTS = {
    "completion.options",
    "dcgan.options",
    "images.mask_options",
    "jobs.arguments",
    "jobs.command",
    "jobs.evaluate.methods",
    "jobs.interrupts",
    *(f"jobs.{job}.arguments" for job in ("complete", "evaluate", "paint", "train")),
}


def module_of(path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {
    module_of(path): ast.parse(path.read_text())
    for path in [*ROOT.glob("*.py"), *(path for floor in FLOORS for path in ROOT.glob(f"{floor}/**/*.py"))]
}
MODULES = sorted(module for module in FILES if module.split(".")[0] in FLOORS)
SCRIPTS = sorted(FILES.keys() - MODULES)


def imports(tree: ast.AST) -> set[str]:
    """The modules that are imported anywhere in a file or a part of it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level
            names = {f"{node.module}.{name.name}" for name in node.names}
            submodules = names & FILES.keys()
            found |= submodules if len(submodules) == len(names) else submodules | {node.module}
    return found


def imports_at_once(tree: ast.Module) -> set[str]:
    """The modules that are imported when the file is, not only once a function is called."""
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {name for node in top for name in imports(node)}


def floor_of(module: str) -> int | None:
    """None for what is no module of the project."""
    return FLOORS.get(module.split(".")[0])


def test_every_file_has_its_floor():
    assert {module.split(".")[0] for module in MODULES} == FLOORS.keys()
    assert SCRIPTS == ["align", "complete", "evaluate", "paint", "sample", "simple-distributions", "train-dcgan"]


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_imported_from_above(module):
    assert not imports(FILES[module]) & set(SCRIPTS)
    floor, room = floor_of(module), module.split(".")[0]
    for other in imports(FILES[module]):
        if floor_of(other) is not None:
            assert floor_of(other) < floor or other.startswith(f"{room}."), f"{module} imports {other}"


def test_there_is_no_circle():
    graph = {module: {name for name in imports(FILES[module]) if name in FILES} for module in MODULES}
    TopologicalSorter(graph).prepare()  # CycleError names it


@pytest.mark.parametrize("module", FILES)
def test_one_module_imports_tensorflow(module):
    """So that it is imported without its messages, and where it is not needed not at all."""
    libraries = {name.split(".")[0] for name in imports(FILES[module])}
    assert libraries & TENSORFLOW == (TENSORFLOW if module == "kernels.tensorflow" else set())


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_imports_jobs_and_options_alone(script):
    """At its top options alone, so that --help and errors come at once."""
    assert imports_at_once(FILES[script]) <= FOR_SCRIPTS
    assert all(name in FOR_SCRIPTS or name.startswith("jobs.") for name in imports(FILES[script]))


def test_options_are_light():
    """What scripts import before they read their arguments needs nothing but Python's own library."""
    seen = set()
    waiting = set(FOR_SCRIPTS)
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting |= {name for name in imports_at_once(FILES[module]) if floor_of(name) is not None} - seen
    libraries = {name.split(".")[0] for module in seen for name in imports_at_once(FILES[module])}
    assert libraries - FLOORS.keys() <= sys.stdlib_module_names
