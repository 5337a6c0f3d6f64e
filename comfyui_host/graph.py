"""Writing ComfyUI graphs in tests."""

from __future__ import annotations

from typing import Any


class Graph:
    """A prompt in ComfyUI's API form, built node by node."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}

    def copy(self) -> Graph:
        """Another graph with the same nodes so far."""
        other = Graph()
        other.nodes = dict(self.nodes)
        return other

    def add(self, class_type: str, **inputs: Any) -> Node:
        """Add a node; inputs are values, or nodes (their first output) or outputs of nodes."""
        name = str(len(self.nodes) + 1)
        links = {key: value.link(0) if isinstance(value, Node) else value for key, value in inputs.items()}
        self.nodes[name] = {"class_type": class_type, "inputs": links}
        return Node(name)


class Node:
    """A node in a graph; ``node[i]`` is its i-th output."""

    def __init__(self, name: str) -> None:
        self.name = name

    def link(self, index: int) -> list[Any]:
        """Name an output of this node, as an input of another takes it."""
        return [self.name, index]

    def __getitem__(self, index: int) -> list[Any]:
        return self.link(index)
