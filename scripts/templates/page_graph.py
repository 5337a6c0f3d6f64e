"""Builds a workflow in ComfyUI's own page."""

from __future__ import annotations

import uuid
from typing import Any

from comfyui_host.page import ComfyPage

from .template import Template

MIN_SCALE = 0.66
"""Below this the page draws boxes in place of text."""
TITLE, GROUP_TITLE, MARGIN = 30, 50, 20
"""Pixels: a node's title above its body, a group's title, and the space between a group's edge and its nodes."""


def build(page: ComfyPage, template: Template) -> dict[str, Any]:
    """Build a workflow in the page and return what the page saves for it. The name gives it its lasting id."""
    boxes = {node.key: node.box for node in template.nodes}
    frames = [
        {"title": group.title, "color": group.colour, "bounding": _frame([boxes[key] for key in group.keys])}
        for group in template.groups
    ]
    specification = [
        {
            "key": node.key,
            "kind": node.kind,
            "box": node.box,
            "title": node.title,
            "widgets": dict(node.widgets),
            "links": {name: source.split(".") for name, source in node.links.items()},
            "models": [vars(model) for model in node.models],
            "colour": node.colour,
        }
        for node in template.nodes
    ]
    view = _view(list(boxes.values()))
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, template.name))
    page.page.evaluate(_BUILD, {"identity": identity, "nodes": specification, "groups": frames, "view": view})
    page.settle()
    return page.serialised()


def _frame(boxes: list[tuple[int, int, int, int]]) -> list[int]:
    left, top = min(box[0] for box in boxes) - MARGIN, min(box[1] for box in boxes) - TITLE - GROUP_TITLE
    right, bottom = max(box[0] + box[2] for box in boxes) + MARGIN, max(box[1] + box[3] for box in boxes) + MARGIN
    return [left, top, right - left, bottom - top]


def _view(boxes: list[tuple[int, int, int, int]]) -> dict[str, Any]:
    """Scale and offset that show the graph in a window of 1600 x 1000 pixels, beside its menus.

    All of it, unless its text could not be read then.
    """
    left, top, width, height = _frame(boxes)
    scale = max(MIN_SCALE, min(1500 / width, 860 / height))
    return {"scale": scale, "offset": [80 / scale - left, 90 / scale - top]}


_BUILD = """
({identity, nodes, groups, view}) => {
  app.graph.clear();
  app.graph.id = identity;
  const built = {};
  for (const {key, kind, box, title, widgets, models, colour} of nodes) {
    const node = LiteGraph.createNode(kind);
    if (!node) throw new Error(`There is no node ${kind}`);
    app.graph.add(node);
    built[key] = node;
    node.pos = [box[0], box[1]];
    node.setSize([box[2], box[3]]);
    if (title) node.title = title;
    for (const [name, value] of Object.entries(widgets)) {
      const widget = node.widgets.find(candidate => candidate.name === name);
      if (!widget) throw new Error(`${kind} has no widget ${name}`);
      widget.value = value;
    }
    if (models.length) node.properties.models = models;
    if (colour) Object.assign(node, LGraphCanvas.node_colors[colour]);
  }
  for (const {key, links} of nodes) {
    for (const [input, [source, output]] of Object.entries(links)) {
      const target = built[key].findInputSlot(input), from = built[source].findOutputSlot(output);
      if (target < 0 || from < 0) throw new Error(`No link ${source}.${output} -> ${key}.${input}`);
      built[source].connect(from, built[key], target);
    }
  }
  for (const {title, color, bounding} of groups) {
    const group = new LiteGraph.LGraphGroup(title);
    group.configure({...group.serialize(), title, color, bounding});
    app.graph.add(group);
  }
  app.canvas.ds.scale = view.scale;
  app.canvas.ds.offset = view.offset;
  app.canvas.setDirty(true, true);
}
"""
