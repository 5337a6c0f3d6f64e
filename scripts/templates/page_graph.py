"""Builds a workflow in ComfyUI's own page."""

from __future__ import annotations

import uuid
from math import ceil
from typing import Any

from comfyui_host.canvas_layout import SHOWING, measure_layout, open_renderer, show_pictures
from comfyui_host.page import ComfyPage

from .layout import TITLE, Area, Layout, arrange
from .template import Node, Template

MIN_SCALE = 0.66
"""Below this the page draws boxes in place of text."""
PICTURES = ("LoadImage", "CLIPTextEncode", *SHOWING)
"""Nodes that keep at least the height of their sketch: pictures and prompts fill what they are given."""
SPREAD, ASIDE, TALL = 8, 1200, 1400
"""What is measured lies in rows of so many nodes, so many pixels apart and so tall: the page shows no more at once."""
NOTE_END = 8
"""Pixels below a note's last line."""


def build(page: ComfyPage, template: Template) -> dict[str, Any]:
    """Build a workflow in the page and return what the page saves for it. The name gives it its lasting id."""
    heights, room = _heights(page, template)
    open_renderer(page, nodes_2=False)
    layout = arrange(template, heights, room)
    _put(page, template, layout)
    return page.serialised()


def _heights(page: ComfyPage, template: Template) -> tuple[dict[str, int], dict[str, int]]:
    """Measure what nodes take in both renderers: heights to save, and room to keep, by key."""
    notes = {node.key for node in template.nodes if node.kind.endswith("Note")}
    found: list[dict[str, int]] = []
    for nodes_2 in (False, True):
        open_renderer(page, nodes_2)
        widths = {key: area[2] for key, area in arrange(template, *[_same(template, 0)] * 2).nodes.items()}
        trial = {
            node.key: (ASIDE * (index % SPREAD), (TALL + 200) * (index // SPREAD), widths[node.key], _least(node))
            for index, node in enumerate(template.nodes)
        }
        _put(page, template, Layout(trial, {}))
        show_pictures(page)
        drawn = measure_layout(page)
        boxes, empty = list(drawn.nodes.values()), list(drawn.empty.items())
        heights = {
            node.key: ceil(box.bottom - box.top) - TITLE for node, box in zip(template.nodes, boxes, strict=True)
        }
        space = {name.rsplit(" ", 1)[1]: pixels for name, pixels in empty}
        for index, node in enumerate(template.nodes, 1):
            if node.key in notes:
                heights[node.key] -= int(space[str(index)]) - NOTE_END
        found.append(heights)
    classic, vue = found
    room = {key: max(classic[key], vue[key]) for key in classic}
    return {key: room[key] if key in notes else classic[key] for key in classic}, room


def _same(template: Template, height: int) -> dict[str, int]:
    return {node.key: height for node in template.nodes}


def _least(node: Node) -> int:
    if node.kind.endswith("Note"):
        return TALL
    return node.box[3] if node.kind in PICTURES else 1


def _put(page: ComfyPage, template: Template, layout: Layout) -> None:
    colours = {group.title: group.colour for group in template.groups}
    frames = [
        {"title": title, "color": colours[title], "bounding": area} for title, area in sorted(layout.frames.items())
    ]
    specification = [
        {
            "key": node.key,
            "kind": node.kind,
            "box": layout.nodes[node.key],
            "title": node.title,
            "widgets": dict(node.widgets),
            "links": {name: source.split(".") for name, source in node.links.items()},
            "models": [vars(model) for model in node.models],
            "colour": node.colour,
        }
        for node in template.nodes
    ]
    view = _view([*layout.nodes.values(), *layout.frames.values()])
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, template.name))
    page.page.evaluate(_BUILD, {"identity": identity, "nodes": specification, "groups": frames, "view": view})
    page.settle()


def _view(areas: list[Area]) -> dict[str, Any]:
    """Scale and offset that show the graph in a window of 1600 x 1000 pixels, beside its menus.

    All of it, unless its text could not be read then.
    """
    left, top = min(area[0] for area in areas), min(area[1] for area in areas)
    right, bottom = max(area[0] + area[2] for area in areas), max(area[1] + area[3] for area in areas)
    scale = max(MIN_SCALE, min(1500 / (right - left), 860 / (bottom - top)))
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
