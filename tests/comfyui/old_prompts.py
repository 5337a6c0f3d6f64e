"""Files that earlier commits wrote, and what they must still mean; see ``old_files/README.md``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from comfyui_host.server import Prompt

OLD_FILES = Path(__file__).with_name("old_files")
WORKFLOWS = sorted(path for path in OLD_FILES.glob("*.json") if not path.stem.endswith(".api"))
LATER: dict[str, dict[str, Any]] = {
    "RelationExample": {"pairs": 1},
    "SaveRelation": {"title": "", "description": ""},
}
"""Inputs that nodes got later, with the values that leave everything as it was."""


def old_prompt(workflow: Path) -> Prompt:
    """A workflow's API form of its own time, with the inputs that came later, and without titles, which change."""
    prompt: Prompt = json.loads(workflow.with_suffix(".api.json").read_text(encoding="utf-8"))
    for node in prompt.values():
        node["inputs"] = {**LATER.get(node["class_type"], {}), **node["inputs"]}
    return without_titles(prompt)


def without_titles(prompt: Prompt) -> Prompt:
    """A prompt without what nodes are called."""
    return {key: {name: value for name, value in node.items() if name != "_meta"} for key, node in prompt.items()}
