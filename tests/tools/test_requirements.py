"""Every command says in one line which optional library it lacks, and which extra has it; it asks for all it uses."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from relation_tools.__main__ import GROUPS, IMPORTED
from relation_tools.commands.extras import HEADLESS, LEAST, PACKAGES, MissingLibraryError, require

ROOT = Path(__file__).resolve().parents[2]
WITH_OTHERS = {"pydantic_core": "pydantic", "urllib3": "requests", "filelock": "huggingface_hub", "tomli": "pydantic",
               "fsspec": "torch"}  # fmt: skip
"""Modules that come with another library."""
MODELS = [f"--{name}=x" for name in ("model", "adapter", "vision", "vae")]
PAIR = ["--before=x", "--after=x"]
COMMANDS: dict[str, list[list[str]]] = {
    "dataset": [["build", "x", "y"], ["validate", "x"], ["stats", "x"], ["sheet", "x", "y"],
                ["landscapes", "x/y"]],
    "edit": [[*PAIR, "--source=x", "--out=x", *MODELS]],
    "encode": [[*PAIR, "--out=x.safetensors", "--adapter=x", "--vision=x"]],
    "evaluate": [["run", "x", "y", "--server=x"], ["score", "x", "y"], ["score", "x", "y", "--judge", "--clip=x"],
                 ["report", "x", "y", "z"]],
    "measure": [["x.jsonl", "--cache=x", *MODELS], ["--landscapes=1", *MODELS]],
    "pretrain": [["autoencoder", "x", "--pictures=y"], ["vision", "x", "--pictures=y"]],
    "train": [["x.toml"]],
    "tune": [[*PAIR, "--out=x.safetensors", *MODELS]],
    "weights": [["download"], ["convert", "x", "y"], ["inspect", "x"]],
}  # fmt: skip
OWN = {("evaluate", "run"): ["aiohttp"], ("evaluate", "score"): ["skimage"], ("evaluate", "report"): ["jinja2"],
       ("weights", "download"): ["huggingface_hub", "requests"]}  # fmt: skip
"""What a command asks for beyond its group's."""
BY_OPTIONS: dict[str, dict[str, str]] = {
    "dataset": {"ray": "ray", "pyarrow": "ray"},
    "edit": {"ray": "ray", "pyarrow": "ray"},
    "evaluate": {"ray": "ray", "pyarrow": "ray", **dict.fromkeys(set(HEADLESS) - {"numpy", "PIL", "tqdm"}, "headless")},
}
"""Modules that a group asks for where an option needs them, with the extras that have them."""
BLOCKED = """
import importlib, importlib.metadata, json, logging, sys

class Blocker:
    blocked = ""
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
versions, found = importlib.metadata.version, {}
importlib.metadata.version = lambda name: found.get(name) or versions(name)
lines = []
class Lines(logging.Handler):
    def emit(self, record): lines.append(record.getMessage())
logging.getLogger().addHandler(Lines())
from relation_tools.__main__ import main

said = []
for arguments, blocked, old in json.load(sys.stdin):
    Blocker.blocked, found = blocked, old
    lines.clear()
    was = sys.modules.pop(blocked, None)
    if was:
        sys.modules[blocked] = None
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    except BaseException as error:
        status = repr(error)
    said.append([status, list(lines)])
    if was:
        sys.modules[blocked] = was
json.dump(said, sys.stdout)
"""


def extra_of(group: str) -> str:
    return IMPORTED[group][0] if group in IMPORTED else module_of(group).EXTRA


def module_of(group: str):  # noqa: ANN201
    return importlib.import_module(f"relation_tools.commands.{group}")


def needs_of(group: str) -> list[str]:
    """What a group asks for before it does anything."""
    return list(IMPORTED[group][1:]) if group in IMPORTED else list(module_of(group).NEEDS)


def calls(group: str) -> Iterator[tuple[list[str], list[str]]]:
    """Commands of a group, with what each asks for."""
    for arguments in COMMANDS[group]:
        yield [group, *arguments], needs_of(group) + OWN.get((group, arguments[0]), [])


def run_blocked(cases: list[tuple[list[str], str, dict[str, str]]]) -> list[tuple[int, list[str]]]:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], cwd=ROOT, input=json.dumps(cases), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def extras() -> dict[str, dict[str, str]]:
    """The extras of the project: packages with their oldest versions."""
    found: dict[str, dict[str, str]] = {}
    for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"optional-dependencies\.(\w+) = (\[.*\])", line):
            names = [re.match(r"([\w-]+)(?:>=([\d.]+))?", name) for name in ast.literal_eval(match[2])]
            found[match[1]] = {name[1]: name[2] or "" for name in names if name}
    return found


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_missing_is_named_with_its_extra(group: str) -> None:
    """Each library alone, before any other is imported."""
    cases = [(arguments, module) for arguments, needs in calls(group) for module in needs]
    for (arguments, module), (status, lines) in zip(
        cases, run_blocked([(arguments, module, {}) for arguments, module in cases]), strict=True
    ):
        package = PACKAGES.get(module, module)
        assert status == 1 and len(lines) == 1, (arguments, module, status, lines)
        assert lines[0].startswith(f"This needs {package}, which is not installed. Run `pip install {package}`, or ")
        assert f"`pip install '.[{extra_of(group)}]'`" in lines[0] and "\n" not in lines[0]


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_too_old_is_named_with_its_extra(group: str) -> None:
    cases = [(arguments, name) for arguments, needs in calls(group) for name in needs if name in LEAST]
    said = run_blocked([(arguments, "", {name: "0.1.2"}) for arguments, name in cases])
    for (arguments, name), (status, lines) in zip(cases, said, strict=True):
        assert status == 1 and len(lines) == 1, (arguments, name, status, lines)
        wanted = f"This needs {name} {LEAST[name]} or newer; found 0.1.2. Run `pip install --upgrade '{name}>="
        assert lines[0].startswith(wanted) and f"`pip install '.[{extra_of(group)}]'`" in lines[0]


def test_all_that_is_missing_is_named_at_once() -> None:
    script = "sys.modules.update(dict.fromkeys(('peft', 'matplotlib', 'PIL'))); sys.exit(main(['train', 'x.toml']))"
    code = f"import sys; from relation_tools.__main__ import main; {script}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "This needs pillow, peft, matplotlib, which are not installed. Run `pip install pillow"
    )


@cache
def imports(path: Path, lazy: bool) -> tuple[str, ...]:
    """Modules that a file imports by itself; with ``lazy`` also those that its functions import."""
    folders = path.relative_to(ROOT).parts[:-1]

    def walk(node: ast.AST, inside: bool) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if inside and not lazy:
                continue
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                above = folders[: len(folders) - child.level + 1] if child.level else ()
                module = ".".join((*above, *((child.module,) if child.module else ())))
                yield from (module, *(f"{module}.{alias.name}" for alias in child.names))
            yield from walk(child, inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))

    return tuple(walk(ast.parse(path.read_text(encoding="utf-8")), False))


def reached(group: str, lazy: bool) -> set[str]:
    """Optional libraries that a group's module leads to."""
    waiting, seen, found = [f"relation_tools.commands.{group}"], set[str](), set[str]()
    while waiting:
        module = waiting.pop()
        top = module.partition(".")[0]
        if module in seen:
            continue
        seen.add(module)
        if top not in ("relation_core", "relation_tools"):
            found |= {WITH_OTHERS.get(top, top)} - sys.stdlib_module_names
            continue
        path = ROOT / module.replace(".", "/")
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                waiting.extend(imports(file, lazy))
    return found


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_asks_for_all_that_it_imports(group: str) -> None:
    asked = {module for _, needs in calls(group) for module in needs}
    at_once = set(IMPORTED[group][1:]) if group in IMPORTED else set[str]()
    assert reached(group, lazy=False) <= at_once
    with_models = {"torch", "torchvision", "transformers", "lpips"} if group == "evaluate" else set[str]()
    by_options = BY_OPTIONS.get(group, {})
    assert reached(group, lazy=True) - {"__future__"} <= asked | with_models | by_options.keys()
    in_extra = extras()[extra_of(group)].keys()
    assert {PACKAGES.get(module, module) for module in asked | with_models} <= in_extra
    assert all(PACKAGES.get(module, module) in extras()[extra] for module, extra in by_options.items())


def test_what_an_option_needs_is_named_with_that_options_extra() -> None:
    spread = ["edit", *COMMANDS["edit"][0], "--ray"]
    headless = ["evaluate", "run", "x", "y", "--headless", *MODELS]
    build = ["dataset", "build", "x", "y", "--ray"]
    score = ["evaluate", "score", "x", "y", "--ray"]
    cases = [(spread, "ray"), (build, "ray"), (score, "ray"), (headless, "diffusers"), ([*headless, "--ray"], "ray")]
    for (_, module), (status, lines) in zip(cases, run_blocked([(*case, {}) for case in cases]), strict=True):
        extra = "headless" if module == "diffusers" else "ray"
        assert status == 1 and len(lines) == 1, (module, status, lines)
        assert f"This needs {module}, which is not installed." in lines[0] and f"`pip install '.[{extra}]'`" in lines[0]


def test_the_oldest_versions_are_those_of_the_project() -> None:
    for extra, packages in extras().items():
        for package, version in packages.items():
            if package != "tomli":
                assert version == LEAST.get(package, ""), (extra, package)
    assert LEAST.keys() <= {package for packages in extras().values() for package in packages}


@pytest.mark.parametrize("version", ["2.4", "2.4.0rc1", "2.14.1", "10.0", ""])
def test_a_version_that_is_new_enough(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    require("training", "pydantic")


@pytest.mark.parametrize("version", ["2.3.9", "1.10", "2", "0.24"])
def test_a_version_that_is_too_old(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """Compared as numbers, not as text."""
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    with pytest.raises(MissingLibraryError, match=rf"needs pydantic 2\.4 or newer; found {version}\. Run"):
        require("training", "pydantic")
