"""Leads the wires of the graph that the page shows around its nodes."""

from __future__ import annotations

from collections.abc import Mapping

from comfyui_host.canvas_layout import GROUP_TITLE
from comfyui_host.page import ComfyPage

from .layout import TITLE
from .wires import Rectangle, Wire, lead_around

LETTER = 14
"""Pixels that a letter of a group's title takes."""


def bend_wires(page: ComfyPage, room: Mapping[int, int]) -> None:
    """Put the page's own reroutes on wires that would run under nodes, in a workflow or in a subgraph.

    Args:
        page: draws the graph by the classic renderer.
        room: pixels to keep free below a node's title, by the node's number, where it is not tall enough.
    """
    found = page.page.evaluate(_DRAWN)
    nodes: dict[str, Rectangle] = {
        node: (left, top - TITLE, left + width, top + max(height, room.get(int(node), 0)))
        for node, (left, top, width, height) in found["nodes"].items()
    }
    nodes |= {node: tuple(box) for node, box in found["sockets"].items()}
    words: list[Rectangle] = [
        (left, top, left + LETTER * len(title), top + GROUP_TITLE) for title, (left, top) in found["groups"]
    ]
    links = found["links"]
    wires = [Wire(link["from"], link["output"], link["to"], tuple(link["start"]), tuple(link["end"])) for link in links]
    bends = lead_around(wires, nodes, words)
    page.page.evaluate(_BEND, [[links[index]["link"], points] for index, points in bends.items()])
    page.settle()


_DRAWN = """
() => {
  const graph = app.canvas.graph, outside = [graph.inputNode, graph.outputNode].filter(Boolean);
  const find = id => graph.getNodeById(id) ?? outside.find(node => node.id === id);
  const place = ({pos: [left, top], size: [width, height]}) => [left, top, width, height];
  const frame = ({boundingRect: [left, top, width, height]}) => [left, top, left + width, top + height];
  const links = [...graph.links.values()].map(link => {
    const from = find(link.origin_id), to = find(link.target_id);
    const output = (from.outputs ?? from.slots)[link.origin_slot];
    return {
      link: Number(link.id),
      from: String(link.origin_id),
      output: output.name,
      to: String(link.target_id),
      start: [...(from.getOutputPos?.(link.origin_slot) ?? output.pos)],
      end: [...(to.getInputPos?.(link.target_slot) ?? to.slots[link.target_slot].pos)],
    };
  });
  return {
    links,
    nodes: Object.fromEntries(graph.nodes.map(node => [node.id, place(node)])),
    sockets: Object.fromEntries(outside.map(node => [node.id, frame(node)])),
    groups: graph.groups.map(group => [group.title, [...group.pos]]),
  };
}
"""
_BEND = """
bends => {
  const graph = app.canvas.graph;
  for (const [number, points] of bends) {
    const link = graph.links.get(number);
    for (const point of points) graph.createReroute(point, link);
  }
  app.canvas.setDirty(true, true);
}
"""
