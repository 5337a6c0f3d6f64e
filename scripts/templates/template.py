"""A workflow as its author arranges it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

OURS, NOTE, FRAME = "cyan", "black", "#3f789e"
"""Colours of our nodes, of notes and of frames, in the page's own words."""


@dataclass(frozen=True)
class ModelFile:
    """A file that ComfyUI's missing-model dialog offers to fetch."""

    name: str
    url: str
    directory: str


@dataclass(frozen=True)
class Node:
    """One node of the graph."""

    key: str
    """Names it in links and groups."""
    kind: str
    box: tuple[int, int, int, int]
    """A sketch of its body: the left edge names its column, the top edge its turn there, and the height is the least
    that it gets. See :mod:`.layout`."""
    title: str = ""
    widgets: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Values by name. The page's own control below a number is ``NAME.control``."""
    links: Mapping[str, str] = field(default_factory=dict[str, str])
    """By input: ``key.output``."""
    models: tuple[ModelFile, ...] = ()
    colour: str = ""
    """One of the page's own node colours."""


@dataclass(frozen=True)
class Group:
    """A frame around nodes."""

    title: str
    keys: tuple[str, ...]
    colour: str = FRAME


@dataclass(frozen=True)
class Line:
    """One line of a form."""

    key: str
    """Of the node."""
    widget: str
    label: str = ""
    """What the form and the node call the widget, where its own name does not say what goes in."""


@dataclass(frozen=True)
class Form:
    """What the page's App mode shows of a workflow."""

    lines: tuple[Line, ...]
    """In the form's order."""
    outputs: tuple[str, ...]
    """Keys of the nodes whose pictures are shown."""


@dataclass(frozen=True)
class Template:
    """A workflow with its name, which is also that of its file and of its thumbnail."""

    name: str
    nodes: list[Node]
    groups: list[Group]
    places: tuple[str, ...] = ()
    """Files below ComfyUI's base folder that widgets name, besides models and ``example.png``."""
    form: Form | None = None
    """For App mode; the workflow opens as a graph."""


def note(key: str, box: tuple[int, int, int, int], title: str, text: str) -> Node:
    """A note in Markdown."""
    return Node(key, "MarkdownNote", box, title, {"text": text}, colour=NOTE)


def adapted(nodes: list[Node], changes: Mapping[str, Mapping[str, Any]], without: Collection[str] = ()) -> list[Node]:
    """Make nodes of another workflow fit.

    Args:
        nodes: of the other workflow.
        changes: by key, fields of the node. Widgets and links are added to those it has; the rest is replaced.
        without: keys of the nodes to leave out.
    """

    def change(node: Node) -> Node:
        fields = dict(changes.get(node.key, {}))
        for name in ("widgets", "links"):
            if name in fields:
                fields[name] = {**getattr(node, name), **fields[name]}
        return replace(node, **fields)

    return [change(node) for node in nodes if node.key not in without]
