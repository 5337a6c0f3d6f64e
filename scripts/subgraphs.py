"""Opens the subgraphs of a workflow: their nodes take the place of the one node, as in the page's prompt."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
Identity = int | str
Slot = tuple[Identity, int]

INPUTS, OUTPUTS = -10, -20
"""Where links inside of a subgraph begin that come from outside, and where those end that lead there."""
OPENED = (0, 1)
"""Modes of a node that runs. What is muted or bypassed stays one node."""


def open_subgraphs(workflow: Json) -> Json:
    """Give a workflow with the same prompt and without subgraphs.

    Ids of nodes within are those of the page's prompt: ``outer:inner``. Values that were set at the outer node are in
    ``outer_values`` of the node within, by the name of its input.
    """
    subgraphs = {graph["id"]: graph for graph in workflow.get("definitions", {}).get("subgraphs", ())}
    nodes, links = list(workflow["nodes"]), [tuple(link[:5]) for link in workflow["links"]]
    ends: dict[Slot, Slot] = {}
    while closed := [node for node in nodes if node["type"] in subgraphs and node["mode"] in OPENED]:
        for node in closed:
            inner = _Opened(node, subgraphs[node["type"]], {link[0]: link[1:3] for link in links})
            nodes = [*(other for other in nodes if other is not node), *inner.nodes]
            links += inner.links
            ends |= inner.ends
    return {
        **workflow,
        "nodes": nodes,
        "links": [(link[0], *_end((link[1], link[2]), ends), *link[3:]) for link in links],
    }


def _end(slot: Slot, ends: dict[Slot, Slot]) -> Slot:
    """Follow an output of a subgraph to the node within that makes it."""
    while slot in ends:
        slot = ends[slot]
    return slot


class _Opened:
    """What takes the place of one subgraph's node."""

    def __init__(self, node: Json, graph: Json, origins: dict[Identity, Slot]) -> None:
        """Open a node.

        Args:
            node: stands for the subgraph.
            graph: the subgraph's definition.
            origins: where the links around the node come from.
        """
        self._prefix = f"{node['id']}:"
        given = {slot["name"]: origins[slot["link"]] for slot in node.get("inputs", ()) if slot.get("link") is not None}
        self._given = [given.get(slot["name"]) for slot in graph["inputs"]]
        self.ends: dict[Slot, Slot] = {}
        """From the node's outputs to those within."""
        self.links: list[tuple[Any, ...]] = []
        dropped: set[Identity] = set()
        for link in graph["links"]:
            begin, end = (link["origin_id"], link["origin_slot"]), (link["target_id"], link["target_slot"])
            source = self._given[begin[1]] if begin[0] == INPUTS else (self._prefix + str(begin[0]), begin[1])
            if source is None:
                dropped.add(link["id"])
            elif end[0] == OUTPUTS:
                self.ends[node["id"], end[1]] = source
            else:
                self.links.append((self._name(link["id"]), *source, self._name(end[0]), end[1]))
        values = self._values_inside(graph, node)
        self.nodes = [self._inside(inner, dropped, values.get(inner["id"], {})) for inner in graph["nodes"]]

    def _name(self, identity: Identity) -> str:
        return f"{self._prefix}{identity}"

    def _inside(self, node: Json, dropped: set[Identity], values: Json) -> Json:
        slots = [
            {**slot, "link": None if slot.get("link") in {None, *dropped} else self._name(slot["link"])}
            for slot in node.get("inputs", ())
        ]
        return {**node, "id": self._name(node["id"]), "inputs": slots, "outer_values": values}

    @staticmethod
    def _values_inside(graph: Json, node: Json) -> dict[Identity, Json]:
        """The outer node's values, which it has in the order of its inputs: by node within and its input."""
        nodes, values = {inner["id"]: inner for inner in graph["nodes"]}, iter(node.get("widgets_values") or ())
        found: dict[Identity, Json] = {}
        for link in sorted(graph["links"], key=lambda link: link["origin_slot"]):
            if link["origin_id"] != INPUTS or link["target_id"] == OUTPUTS:
                continue
            target = nodes[link["target_id"]]["inputs"][link["target_slot"]]
            if "widget" in target:
                name, value = graph["inputs"][link["origin_slot"]]["name"], next(values)
                inside = found.setdefault(link["target_id"], {})
                inside[target["widget"]["name"]] = node.get("outer_values", {}).get(name, value)
        return found
