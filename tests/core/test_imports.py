"""The core stands alone: no host, no diffusers, no transformers, and nothing of the nodes.

The package ``headless`` is what brings diffusers, and only to those who import it.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "relation_core"
FILES = sorted(CORE.rglob("*.py"))
HOST = {"comfy", "comfy_api", "comfy_extras", "execution", "folder_paths", "nodes", "server"}
FOREIGN = HOST | {"diffusers", "transformers"}
WITH_DIFFUSERS = ("relation_core.headless.", "relation_core.training.")

IMPORT_ALL = f"""
import importlib, json, pkgutil, sys
import relation_core
names = [module.name for module in pkgutil.walk_packages(relation_core.__path__, "relation_core.")]
for name in names:
    if not name.startswith({WITH_DIFFUSERS}):
        importlib.import_module(name)
print(json.dumps([names, sorted(sys.modules)]))
"""


def test_importing_every_module_brings_no_host() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names, loaded = json.loads(done.stdout)
    modules = {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in FILES}
    assert {name.removesuffix(".__init__") for name in modules} == {"relation_core", *names}
    assert {name.partition(".")[0] for name in loaded} & FOREIGN == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CORE).as_posix())
def test_no_file_ever_imports_the_nodes_or_the_host(path: Path) -> None:
    depth = len(path.relative_to(CORE).parts)  # dots that reach the core's own package
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level <= depth, f"line {node.lineno} leaves relation_core"
            names = [node.module or ""] if node.level == 0 else []
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        assert {name.partition(".")[0] for name in names} & HOST == set(), f"line {node.lineno}"
