"""Graphs that must fail, and the files that make them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from edits import Edit
from safetensors.torch import save_file

from comfyui_host.graph import Node
from comfyui_host.host import GraphError, Host


def message_of(edit: Edit, node: Node, kind: str) -> str:
    """Run a graph that must fail, and return what the user sees; it is our error, of this kind."""
    with pytest.raises(GraphError) as caught:
        edit.run(node)
    found = re.fullmatch(r"(\S*)\.relation_core\.errors\.(\w+): (.*)", str(caught.value).strip(), re.DOTALL)
    assert found, f"not an error of ours: {caught.value}"
    errors = edit.host.module("relation_core.errors")
    assert issubclass(getattr(errors, found[2]), errors.RelationAdapterError)
    assert found[2] == kind
    message = found[3]
    assert re.search("[Ee]xpect|works on|with the same|does not fit the adapter", message), (
        "it does not say what was expected"
    )
    return message


def place(host: Host, kind: str, name: str, content: bytes | dict[str, torch.Tensor] | Path) -> str:
    """Put a file among the models, and return its name."""
    path = host.model_folder(kind) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, Path):
        shutil.copy(content, path)
    else:
        save_file(content, path)
    host.forget_file_lists()
    return name
