"""Turns a workflow as the page saves it into the prompt that the page would post.

Links, widgets in their order, muted and bypassed nodes, reroutes, notes and subgraphs are handled; whatever else a
workflow may hold (primitives) is refused by name rather than guessed at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .subgraphs import Identity, Json, open_subgraphs

WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
NOTES = frozenset({"Note", "MarkdownNote"})
REROUTE = "Reroute"
MUTED, BYPASSED = 2, 4


class ConversionError(Exception):
    """A workflow holds something that this converter does not know."""


@dataclass(frozen=True)
class _Link:
    source: Identity
    slot: int


def workflow_to_api(workflow: Json, object_info: Json) -> dict[str, Json]:
    """Convert a workflow.

    Args:
        workflow: UI format, version 0.4.
        object_info: what the server says about its node types (``/object_info``).

    Returns:
        The prompt: ``class_type``, ``inputs`` and title of every node that runs, by id.

    Raises:
        ConversionError: a node's type is unknown to the server and to this function, or its values are too few.
    """
    workflow = open_subgraphs(workflow)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    links = {link[0]: _Link(link[1], link[2]) for link in workflow["links"]}
    prompt: dict[str, Json] = {}
    for identity, node in nodes.items():
        if node["mode"] in (MUTED, BYPASSED) or node["type"] in NOTES or node["type"] == REROUTE:
            continue
        if node["type"] not in object_info:
            raise ConversionError(
                f"Node {identity} is a '{node['type']}', which this server does not know. Install the nodes it comes "
                "from; primitives must be replaced by plain nodes."
            )
        inputs = dict(_widget_values(node, object_info[node["type"]])) | node.get("outer_values", {})
        for slot in node.get("inputs", ()):
            if slot.get("link") is None:
                continue
            link = _origin(links[slot["link"]], nodes, links)
            if link is not None:
                inputs[slot["name"]] = [str(link.source), link.slot]
        title = node.get("title") or object_info[node["type"]]["display_name"] or node["type"]
        prompt[str(identity)] = {"inputs": inputs, "class_type": node["type"], "_meta": {"title": title}}
    return prompt


def _widget_values(node: Json, info: Json) -> Iterator[tuple[str, Any]]:
    """Give every widget its value: the page saves them in the order of the node's inputs."""
    values = iter(node.get("widgets_values") or ())
    for section in ("required", "optional"):
        for name in info["input_order"].get(section, ()):
            kind, *rest = info["input"][section][name]
            options: Json = rest[0] if rest else {}
            if not (isinstance(kind, list) or kind in WIDGET_TYPES) or options.get("forceInput"):
                continue
            try:
                value = next(values)
            except StopIteration as error:
                if section == "required" or "default" not in options:
                    raise ConversionError(
                        f"Node {node['id']} ({node['type']}) has no value for '{name}': the workflow was saved with "
                        "another version of this node. Open it in the page and save it again."
                    ) from error
                value = options["default"]  # the workflow is older than this input
            yield name, value
            if options.get("control_after_generate"):
                next(values, None)  # "fixed", "randomize": the page's own
            # An upload button's value comes last of all, so it is left over.


def _origin(link: _Link, nodes: dict[Identity, Json], links: dict[Identity, _Link]) -> _Link | None:
    """Follow a link back through reroutes and bypassed nodes to a node that runs; None if there is none."""
    node = nodes[link.source]
    if node["mode"] == MUTED:
        return None
    if node["mode"] != BYPASSED and node["type"] != REROUTE:
        return link
    wanted = node["outputs"][link.slot]["type"]
    inputs = node.get("inputs", [])
    if node["type"] != REROUTE:  # the input in the same place, or else the first one of the same type
        inputs = sorted(inputs[link.slot : link.slot + 1] + inputs, key=lambda slot: slot["type"] != wanted)
        inputs = [slot for slot in inputs if slot["type"] == wanted]
    if not inputs or inputs[0].get("link") is None:
        return None
    return _origin(links[inputs[0]["link"]], nodes, links)
