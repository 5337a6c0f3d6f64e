"""Conventions of ComfyUI that have no test elsewhere, and the table in docs/conventions.md."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator

from comfyui_host.find import PACK
from comfyui_host.host import Host
from comfyui_host.object_info import our_nodes

TABLE = PACK / "docs" / "conventions.md"
HOST = ("comfy", "comfy_api", "comfy_extras", "execution", "folder_paths", "nodes", "server")
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
FORBIDDEN_IMPORTS = {"subprocess", "pip", "ctypes"}


def trees(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((PACK / folder).rglob("*.py")):
            yield str(path.relative_to(PACK)), ast.parse(path.read_text(encoding="utf-8"))


def root(node: ast.expr) -> str:
    """The name that an expression such as ``comfy.utils.x[0]`` begins with."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def imported(node: ast.AST) -> list[tuple[str, str]]:
    """Full name and local name of what a statement imports."""
    if isinstance(node, ast.Import):
        return [(alias.name, alias.asname or alias.name.partition(".")[0]) for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return [(f"{node.module}.{alias.name}", alias.asname or alias.name) for alias in node.names]
    return []


def changed(tree: ast.Module) -> list[str]:
    """Statements that change something inside a module of ComfyUI."""
    names = {local for node in ast.walk(tree) for full, local in imported(node) if full.partition(".")[0] in HOST}
    found = []
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else [getattr(node, "target", None)]
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr"):
            found += [ast.unparse(node)] if root(node.args[0]) in names else []
        for target in targets:
            if isinstance(target, ast.Attribute | ast.Subscript) and root(target) in names:
                found.append(ast.unparse(node))
    return found


def test_the_pack_is_v3_alone(host: Host) -> None:
    pack = importlib.import_module(host.node_classes["ApplyRelationAdapter"].__module__.rsplit(".nodes.", 1)[0])
    assert callable(pack.comfy_entrypoint)
    assert not hasattr(pack, "NODE_CLASS_MAPPINGS") and not hasattr(pack, "NODE_DISPLAY_NAME_MAPPINGS")
    for name in our_nodes(host):
        assert host.node_classes[name].GET_SCHEMA().node_id == name


def test_the_nodes_run_no_code_but_their_own() -> None:
    for file, tree in trees("nodes", "relation_core"):
        for node in ast.walk(tree):
            for name, _ in imported(node):
                assert name.partition(".")[0] not in FORBIDDEN_IMPORTS, f"{file}:{node.lineno} imports {name}"
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called not in FORBIDDEN_CALLS, f"{file}:{node.lineno} calls {called}"


def test_nothing_of_comfyui_is_replaced() -> None:
    """But the host's own switch for learning, which its Train LoRA sets too; learning sets it back."""
    switch = "comfy.model_management.in_training"
    found = {file: changed(tree) for file, tree in trees("nodes") if changed(tree)}
    assert found == {"nodes/tuning_model.py": [f"{switch} = True", f"{switch} = was_training"]}
    for line in ("folder_paths.x = 1", "comfy.utils.y[0] += 2", "del comfy.utils.z", "setattr(comfy.utils, 'z', 3)"):
        assert changed(ast.parse(f"import comfy.utils\nimport folder_paths\n{line}\n")), line


def test_templates_are_workflows_of_the_page() -> None:
    """Every JSON in the folder is offered as a template, so none may be in API form."""
    templates = sorted((PACK / "workflows").glob("*.json"))
    assert templates
    for path in templates:
        workflow = json.loads(path.read_text(encoding="utf-8"))
        assert {"nodes", "links", "groups", "version"} <= set(workflow), path.name


def test_every_convention_names_checks_that_exist() -> None:
    rows = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith(("| convention |", "| --- "))]
    assert rows
    targets = re.findall(r"^([\w-]+):", (PACK / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for row in rows:
        checks = re.findall(r"`([^`]+)`", row.split(" | ")[-1])
        assert checks, row
        for check in checks:
            if check.startswith("make "):
                assert check.removeprefix("make ") in targets, check
            else:
                file, test = check.split("::")
                assert f"\ndef {test}(" in (PACK / "tests" / f"{file}.py").read_text(encoding="utf-8"), check
