"""Imports run downwards only: no room imports one above it, and no modules import each other in a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import rlkit

ROOT = Path(rlkit.__file__).parent
FLOORS = ["", "config", "maths", "memory nets envs", "algos", "runs", "results display sharing tracking", "evidence"]
FLOORS += ["training", "search legacy", "api", "cli"]  # "": the modules beside the rooms, such as errors.py
MODULES = {
    ".".join(p.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): p for p in ROOT.rglob("*.py")
}


def imports(module: str) -> set[str]:
    nodes = [node for node in ast.walk(ast.parse(MODULES[module].read_text())) if isinstance(node, ast.ImportFrom)]
    named = {name for node in nodes for alias in node.names for name in (node.module, f"{node.module}.{alias.name}")}
    found = named & set(MODULES) - {module, "rlkit"}
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def floor(module: str) -> int:
    room = module.split(".")[1] if (MODULES[module].parent != ROOT or module == "rlkit.api") else ""
    return next(n for n, rooms in enumerate(FLOORS) if room in rooms.split() or room == rooms)


def test_imports_run_downwards_and_never_in_a_circle():
    graph = {name: imports(name) for name in MODULES if name not in ("rlkit", "rlkit.__main__")}
    assert [(a, b) for a, found in graph.items() for b in found if floor(b) > floor(a)] == []
    TopologicalSorter(graph).prepare()  # raises CycleError with the circle


def test_private_parts_of_hydra_and_optuna_are_used_in_one_file():
    private = (
        "hydra._internal",
        "hydra_optuna_sweeper._impl",
        "optuna._transform",
        "._storage",
        "._trial_id",
        "._suggest",
    )
    users = {path.name for path in ROOT.rglob("*.py") if any(word in path.read_text() for word in private)}
    assert users == {"private.py"}
