"""A workflow with places for a sample: ComfyUI's API form, with ``{{before}}`` and the like in its inputs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from relation_core.files.json_file import read_json

from .errors import EvaluationError

PICTURES = ("before", "after", "source")
PLACES = (*PICTURES, "text", "seed")
RESULT_TITLE = "result"
SHIPPED = Path(__file__).with_name("relation_transfer.json")
"""The pack's workflow with the paper's settings, without its comparison picture."""
_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True)
class Values:
    """The values for a sample's places."""

    before: str
    """Name of the picture as ComfyUI's ``LoadImage`` takes it; likewise ``after`` and ``source``."""
    after: str
    source: str
    text: str
    seed: int


@dataclass(frozen=True)
class Template:
    """A workflow template."""

    nodes: dict[str, Any]

    @property
    def result_node(self) -> str | None:
        """The node titled "result", if there is one: the one whose picture is taken."""
        titled = [name for name, node in self.nodes.items() if _title(node).strip().casefold() == RESULT_TITLE]
        return titled[0] if len(titled) == 1 else None

    def filled(self, values: Values) -> dict[str, Any]:
        """Return the prompt of a sample.

        A place alone in its input becomes the value, ``{{seed}}`` a number; inside a text it becomes part of it.
        """
        return {name: _filled(node, values) for name, node in self.nodes.items()}


def load_template(path: Path) -> Template:
    """Read a template.

    Raises:
        EvaluationError: the file is no workflow in API form, a picture has no place in it, or a place is unknown.
    """
    try:
        nodes: Any = read_json(path)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"Cannot read the workflow '{path}': {error}. Give a workflow in API form.") from error
    is_api = isinstance(nodes, dict) and all(
        isinstance(node, dict) and "class_type" in node and "inputs" in node
        for node in cast("dict[str, Any]", nodes).values()
    )
    if not nodes or not is_api:
        raise EvaluationError(
            f"'{path}' is not a workflow in API form: expected nodes with class_type and inputs. In ComfyUI choose "
            "File, Export (API)."
        )
    found = set(_PLACE.findall(json.dumps(nodes)))
    missing, unknown = [name for name in PICTURES if name not in found], sorted(found - set(PLACES))
    if missing or unknown:
        raise EvaluationError(
            f"'{path}' has the places {sorted(found)}; missing: {missing}, unknown: {unknown}. Write "
            f"{', '.join(f'{{{{{name}}}}}' for name in PLACES)} as values of inputs; the three pictures are needed."
        )
    return Template(cast("dict[str, Any]", nodes))


def _title(node: dict[str, Any]) -> str:
    found: Any = node.get("_meta")
    return str(cast("dict[str, Any]", found).get("title", "")) if isinstance(found, dict) else ""


def _filled(part: Any, values: Values) -> Any:
    if isinstance(part, dict):
        return {key: _filled(value, values) for key, value in cast("dict[str, Any]", part).items()}
    if isinstance(part, list):
        return [_filled(value, values) for value in cast("list[Any]", part)]
    if not isinstance(part, str):
        return part
    alone = _PLACE.fullmatch(part.strip())
    if alone:
        return getattr(values, alone[1])
    return _PLACE.sub(lambda place: str(getattr(values, place[1])), part)
