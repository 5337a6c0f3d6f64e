"""Imports point one way: ``nodes`` and ``relation_tools`` know ``relation_core``; it knows neither, and no host."""

from __future__ import annotations

import ast
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from random_weights import SMALL, random_weights, write_bin

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("relation_core", "relation_tools", "nodes")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
CORE = [path for path in FILES if path.is_relative_to(ROOT / "relation_core")]
HOST = {"comfy", "comfy_api", "comfy_extras", "execution", "folder_paths", "server"}
FOREIGN = HOST | {"diffusers", "transformers", "nodes", "relation_tools"}
FORBIDDEN = {"relation_core": FOREIGN, "relation_tools": HOST | {"nodes"}, "nodes": {"relation_tools", "diffusers"}}
REQUIREMENTS = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
TOP = {"__init__.py", "errors.py", "progress.py", "randomness.py"}

IMPORT_ALL = """
import importlib, json, pkgutil, sys
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith("socket.") else None)
def modules(package):
    return [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
def import_all(names):
    for name in names:
        importlib.import_module(name)
import relation_core
core = modules(relation_core)
import_all(core)
loaded = sorted(sys.modules)
import relation_tools
tools = modules(relation_tools)
diffusers = tuple(f"relation_tools.{name}." for name in ("diffusers_host", "spread", "training", "tuning"))
with_diffusers = [name for name in tools if name.startswith(diffusers)]
import_all(sorted(set(tools) - set(with_diffusers)))
from relation_tools.__main__ import main
assert main(["weights", "inspect", sys.argv[1]]) == 1  # an adapter too small for FLUX.1
assert seen == [], seen
assert "huggingface_hub" not in sys.modules
import_all(with_diffusers)
assert set(seen) <= {"socket.__new__", "socket.bind"}, seen  # urllib3 tries whether this machine has IPv6
import socket
socket.create_connection(("127.0.0.1", int(sys.argv[2]))).close()
assert "socket.connect" in seen  # the watch sees
print(json.dumps([core, loaded]))
"""


def dotted(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix().removesuffix("/__init__").replace("/", ".")


MODULES = {dotted(path) for path in FILES}


def imported(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, anywhere in it, by its absolute name."""
    folders = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = module_of(node, folders)
            for alias in node.names:
                yield f"{module}.{alias.name}" if f"{module}.{alias.name}" in MODULES else module


def module_of(node: ast.ImportFrom, folders: tuple[str, ...]) -> str:
    """The absolute name of the module that a statement imports from, in a file in these folders."""
    above = folders[: len(folders) - node.level + 1] if node.level else ()
    assert node.level <= len(folders) + 1, f"line {node.lineno} leaves the pack"
    return ".".join((*above, *((node.module,) if node.module else ())))


def room(module: str) -> str:
    """The package of a module of the core, such as ``weights``; a module at its top stands for itself."""
    return module.split(".")[1] if "." in module else module


def test_importing_every_module_brings_no_host_and_touches_no_network(tmp_path: Path) -> None:
    """Nor does reading weights."""
    adapter = write_bin(tmp_path / "adapter.bin", random_weights(replace(SMALL, head_dim=128)))
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", IMPORT_ALL, str(adapter), str(server.getsockname()[1])]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names, loaded = json.loads(done.stdout)
    assert {"relation_core", *names} == {dotted(path) for path in CORE}
    assert {name.partition(".")[0] for name in loaded} & FOREIGN == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_imports_upward(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    assert {name.partition(".")[0] for name in imported(path)} & FORBIDDEN[package] == set()


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {dotted(path): {name for name in imported(path) if name in MODULES} for path in FILES}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert set(order) == MODULES


def test_no_test_imports_another() -> None:
    """Two folders may have tests of one name, and which of them is found depends on what else is run."""
    tests = {path: set(imported(path)) for path in sorted((ROOT / "tests").rglob("*.py"))}
    assert len(tests) > 100
    assert {path.name for path, names in tests.items() if any(name.startswith("test_") for name in names)} == set()


def test_every_test_can_be_collected_where_there_is_no_comfyui() -> None:
    """What comes with ComfyUI alone is imported where it is used. Tests in the page are left out without playwright."""
    required = {re.split(r"[;\[<>=]", line)[0].strip().lower() for line in REQUIREMENTS if line[0] != "#"} | {"torch"}
    here = {path.stem for path in (ROOT / "tests").rglob("*.py")} | {path.name for path in ROOT.iterdir()}
    distributions = packages_distributions()
    for path in sorted({*(ROOT / "tests").rglob("*.py")} - {*(ROOT / "tests" / "browser").rglob("*.py")}):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        tops = {name.partition(".")[0] for node in body for name in names_of(node)} - here - sys.stdlib_module_names
        foreign = {top for top in tops if not required & {name.lower() for name in distributions.get(top, [top])}}
        assert not foreign, path


def test_types_are_checked_without_playwright() -> None:
    """Only ``make test-browser`` installs it."""
    left_out = re.search(
        r"(?s)\[tool.pyright\].*?\nexclude = \[(.*?)\n\]", (ROOT / "pyproject.toml").read_text("utf-8")
    )
    assert left_out is not None
    files = [
        path for name in ("benchmarks", "comfyui_host", "scripts", *PACKAGES) for path in (ROOT / name).rglob("*.py")
    ]
    using = [path for path in files if any(name.startswith("playwright") for name in imported(path))]
    assert {path.relative_to(ROOT).as_posix() for path in using} == set(re.findall(r'"([^*"]+)"', left_out[1])) != set()


def test_tests_outside_the_page_need_no_playwright() -> None:
    """Neither do modules that they import, however far; an import inside a function is its own affair."""
    places = [
        *(ROOT / "tests").rglob("*.py"),
        *(ROOT / "scripts").rglob("*.py"),
        *(ROOT / "comfyui_host").rglob("*.py"),
    ]
    paths = {dotted(path): path for path in places}
    graph = {name: set(needed_at_once(path)) for name, path in paths.items()}
    using = {name for name, found in graph.items() if any(other.startswith("playwright") for other in found)}
    assert using
    for name in graph:
        if name.startswith("tests.") and not name.startswith("tests.browser."):
            reached, ahead = set[str](), {name}
            while ahead:
                reached |= ahead
                ahead = {after for before in ahead for after in graph.get(before, ())} - reached
            assert reached & using == set(), name


def needed_at_once(path: Path) -> Iterator[str]:
    """Modules that importing a file imports, with the packages that they lie in."""
    folders = path.relative_to(ROOT).parts[:-1]
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            module = module_of(node, folders)
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def names_of(node: ast.stmt) -> list[str]:
    """Modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def test_the_folders_of_the_core_are_ordered_too() -> None:
    graph: dict[str, set[str]] = {}
    for path in CORE:
        here = room(dotted(path))
        there = {room(name) for name in imported(path) if name.startswith("relation_core.")}
        graph.setdefault(here, set()).update(there - {here})
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("weights") < order.index("adapter") < order.index("relation")
    assert {path.name for path in (ROOT / "relation_core").glob("*.py")} == TOP
