"""Imports run downwards only: no room imports one above it, and no modules import each other in a circle."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import rlkit

ROOT = Path(rlkit.__file__).parent
FLOORS = ["", "config", "maths", "memory nets envs", "algos", "runs", "results display sharing tracking", "evidence"]
FLOORS += ["training", "search legacy", "api ui", "cli"]  # "": the modules beside the rooms, such as errors.py
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


def test_contributing_has_the_floors_from_the_top_down():
    page = (ROOT.parents[1] / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`(\w+)`", page.partition("Imports run downwards only:")[2].partition(", and the modules")[0])
    assert named == [room for rooms in reversed(FLOORS) for room in sorted(rooms.split(), key=named.index)]


def imported(room: str) -> dict[str, set[str]]:
    """Module of a room -> the outermost packages that it imports."""
    found = {}
    for name, path in MODULES.items():
        if name.startswith(f"rlkit.{room}"):
            nodes = list(ast.walk(ast.parse(path.read_text())))
            plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
            deeper = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
            found[name] = {module.partition(".")[0] for module in plain | deeper}
    return found


def test_hydra_is_known_to_the_command_line_the_configuration_and_searches_alone():
    users = {name.split(".")[1] for name, packages in imported("").items() if packages & {"hydra", "omegaconf"}}
    assert users == {"cli", "config", "search"}


def test_algorithms_and_mathematics_know_neither_the_log_nor_files():
    for room in ("algos", "maths", "nets"):
        for name, packages in imported(room).items():
            assert not packages & {"loguru", "hydra", "omegaconf", "pathlib", "os", "yaml"}, name


def test_random_numbers_come_from_streams():
    shared = re.compile(r"\bnp\.random\.(?!default_rng|Generator|SeedSequence|PCG64)\w+\(|(?<![.\w])random\.\w+\(")
    for name, path in MODULES.items():
        if name != "rlkit.seeding":  # which seeds and restores the global ones
            code = re.sub(r'""".*?"""|#.*', "", path.read_text(), flags=re.DOTALL)
            assert not shared.search(code), f"{name}: {shared.search(code)}"
