"""Builds a workflow in ComfyUI's own page."""

from __future__ import annotations

import json
import uuid
from math import ceil
from typing import Any

from comfyui_host.canvas_layout import SHOWING, measure_layout, number_of, open_renderer, show_pictures
from comfyui_host.page import ComfyPage

from ..blueprint import BLUEPRINT, NAME
from .layout import TITLE, Area, Layout, arrange
from .page_wires import bend_wires
from .template import Form, Node, Template

MIN_SCALE = 0.66
"""Below this the page draws boxes in place of text."""
PICTURES = ("LoadImage", "CLIPTextEncode", "PrimitiveStringMultiline", *SHOWING)
"""Nodes that keep at least the height of their sketch: pictures and prompts fill what they are given."""
SPREAD, ASIDE, TALL = 8, 1200, 1400
"""What is measured lies in rows of so many nodes, so many pixels apart and so tall: the page shows no more at once."""
NOTE_END = 8
"""Pixels below a note's last line."""
ROOM = {"SaveRelation": 610}
"""Room to keep, by type: the page of 1.58.1 adds a relation's pictures below the description, and keeps its height."""


def build(page: ComfyPage, template: Template) -> dict[str, Any]:
    """Build a workflow in the page and return what the page saves for it. The name gives it its lasting id."""
    heights, room = _heights(page, template)
    open_renderer(page, nodes_2=False)
    layout = arrange(template, heights, room)
    numbers = _put(page, template, layout)
    bend_wires(page, {numbers[key]: height for key, height in room.items()})
    saved = page.serialised()
    if template.form is not None:
        saved["extra"] |= _form(template.form, numbers)
    return saved


def _form(form: Form, numbers: dict[str, int]) -> dict[str, Any]:
    """Say what App mode shows."""
    return {
        "linearMode": False,
        "linearData": {
            "inputs": [[numbers[line.key], line.widget] for line in form.lines],
            "outputs": [numbers[key] for key in form.outputs],
        },
    }


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
        numbers = _put(page, template, Layout(trial, {}))
        show_pictures(page)
        drawn = measure_layout(page)
        boxes = {number_of(name): box for name, box in drawn.nodes.items()}
        space = {number_of(name): pixels for name, pixels in drawn.empty.items()}
        heights = {key: ceil(boxes[number].bottom - boxes[number].top) - TITLE for key, number in numbers.items()}
        for key in notes:
            heights[key] -= int(space[numbers[key]]) - NOTE_END
        found.append(heights)
    classic, vue = found
    least = {node.key: ROOM.get(node.kind, 0) for node in template.nodes}
    room = {key: max(classic[key], vue[key], least[key]) for key in classic}
    return {key: room[key] if key in notes else classic[key] for key in classic}, room


def _same(template: Template, height: int) -> dict[str, int]:
    return {node.key: height for node in template.nodes}


def _least(node: Node) -> int:
    if node.kind.endswith("Note"):
        return TALL
    return node.box[3] if node.kind in PICTURES else 1


def _put(page: ComfyPage, template: Template, layout: Layout) -> dict[str, int]:
    """Put everything into its place; give the numbers of the nodes by key."""
    lines = template.form.lines if template.form is not None else ()
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
            "labels": {line.widget: line.label for line in lines if line.key == node.key and line.label},
        }
        for node in template.nodes
    ]
    view = _view([*layout.nodes.values(), *layout.frames.values()])
    content = {
        "identity": str(uuid.uuid5(uuid.NAMESPACE_URL, template.name)),
        "subgraphs": _subgraphs(template),
        "nodes": specification,
        "groups": frames,
        "view": view,
    }
    numbers = page.page.evaluate(_BUILD, content)
    page.settle()
    return numbers


def _subgraphs(template: Template) -> list[dict[str, Any]]:
    """Definitions of the subgraphs among the nodes: the blueprint's."""
    if all(node.kind != NAME for node in template.nodes):
        return []
    return json.loads(BLUEPRINT.read_text(encoding="utf-8"))["definitions"]["subgraphs"]


def _view(areas: list[Area]) -> dict[str, Any]:
    """Scale and offset that show the graph in a window of 1600 x 1000 pixels, beside its menus.

    All of it, unless its text could not be read then.
    """
    left, top = min(area[0] for area in areas), min(area[1] for area in areas)
    right, bottom = max(area[0] + area[2] for area in areas), max(area[1] + area[3] for area in areas)
    scale = max(MIN_SCALE, min(1500 / (right - left), 860 / (bottom - top)))
    return {"scale": scale, "offset": [80 / scale - left, 90 / scale - top]}


_BUILD = """
({identity, subgraphs, nodes, groups, view}) => {
  app.graph.clear();
  app.graph.id = identity;
  const built = {}, defined = {};
  for (const definition of subgraphs) {
    app.graph.createSubgraph(definition).configure(definition);
    defined[definition.name] = definition.id;
  }
  for (const {key, kind, box, title, widgets, labels, models, colour} of nodes) {
    const node = LiteGraph.createNode(defined[kind] ?? kind);
    if (!node) throw new Error(`There is no node ${kind}`);
    app.graph.add(node);
    built[key] = node;
    node.pos = [box[0], box[1]];
    node.setSize([box[2], Math.max(box[3], node.computeSize()[1])]);
    if (title) node.title = title;
    for (const [name, value] of Object.entries(widgets)) {
      const [number, control] = name.split('.');
      const named = node.widgets.find(candidate => candidate.name === number);
      const widget = control ? named?.linkedWidgets?.[0] : named;  // its name differs from page to page
      if (!widget) throw new Error(`${kind} has no widget ${name}`);
      widget.value = value;
    }
    for (const [name, label] of Object.entries(labels)) {
      node.widgets.find(candidate => candidate.name === name).label = label;
      node.inputs.find(candidate => candidate.widget?.name === name).label = label;
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
  return Object.fromEntries(Object.entries(built).map(([key, node]) => [key, Number(node.id)]));
}
"""
