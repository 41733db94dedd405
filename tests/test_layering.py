"""The layers of ARCHITECTURE.md, kept by walking every import."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "autoadapt"

LAYERS = [  # a package may import from the rows above its own, and from nothing else
    {"errors"},
    {"seeding", "files", "interrupts"},
    {"plugins", "space"},
    {"config", "records"},
    {"data", "networks"},
    {"cost", "metrics", "uda", "scores", "strategies", "objective"},
    {"training", "analysis"},
    {"experiment"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

HOMES = {  # heavy or foreign packages, and the only places that may import them
    "ray": {"experiment"},
    "optuna": {"strategies"},
    "fvcore": {"cost"},
    "matplotlib": {"analysis"},
    "typer": {"cli"},
    "rich": {"cli"},
    "numba": {"scores"},
    "onnx": {"experiment"},
    "onnxruntime": {"experiment"},
    "onnxscript": {"experiment"},
}


def imported(path: Path) -> set[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return set(names)


def own_package(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    me = own_package(path)
    for name in imported(path):
        first, *rest = name.split(".")
        if first == "autoadapt" and rest and rest[0] != "__version__" and rest[0] != me:
            assert RANK[rest[0]] < RANK[me], f"{me} may not import {rest[0]}"
        assert me in HOMES.get(first, {me}), f"{first} may only be imported in {HOMES[first]}"


def test_every_package_has_a_row() -> None:
    assert {own_package(path) for path in FILES} == set(RANK)


OPENERS = {"open_evaluation", "open_evaluation_files"}
"""What opens labels of target images, all in ``data.open``."""
AFTERWARDS = {
    "experiment/evaluate.py",
    "experiment/scored_truth.py",
    "experiment/search.py",  # an evaluation set that is opened when somebody asks for it
}


def test_only_what_comes_after_training_and_scoring_opens_target_labels() -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in FILES
        if path != ROOT / "data/open.py"
        and OPENERS & {name.rpartition(".")[2] for name in imported(path)}
    }
    assert users <= AFTERWARDS
    assert users >= {"experiment/evaluate.py", "experiment/scored_truth.py"}


def test_labels_of_images_that_were_adapted_to_serve_banks_and_reports_alone() -> None:
    """``experiment.scored_truth`` compares with them; what scores or proposes cannot name it."""
    users = {
        str(path.relative_to(ROOT))
        for path in FILES
        if any(name.startswith("autoadapt.experiment.scored_truth") for name in imported(path))
    }
    assert users == {"experiment/bank.py"}


def test_search_and_training_cannot_name_labelled_metrics() -> None:
    """Also ``training`` and ``analysis``, whose rows alone would let them."""
    users = {
        own_package(path)
        for path in FILES
        if any(name.startswith("autoadapt.metrics") for name in imported(path))
    }
    assert users <= {"metrics", "experiment"}
