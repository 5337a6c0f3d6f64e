"""Where things lie on ComfyUI's canvas, in either of its renderers, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from .page import ComfyPage

GROUP_TITLE = 36
"""Pixels at the top of a group that its title takes."""
ENDING = ("SaveImage", "PreviewImage", "SaveRelation", "LoadRelation")
"""Nodes that show pictures once they ran."""
SHOWING = (*ENDING, "TuneRelation")
"""Nodes that show pictures once they ran, or while they run."""
CORNER = 12
"""Pixels of a node's edge under which a wire may lie."""
STILL_MS = 500
"""What was measured twice, so far apart, is still."""
TOLERANCE = 1.0
"""Pixels: the browser rounds."""


class Box(NamedTuple):
    """A rectangle on the canvas, in the canvas's own pixels."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class CanvasLayout:
    """What the page drew."""

    nodes: dict[str, Box]
    """By title and id; a node's title bar belongs to it."""
    groups: dict[str, Box]
    cut: list[str]
    """Texts that the page shortens, or that only scrolling shows."""
    empty: dict[str, float]
    """By note: pixels below its last line."""
    hidden: list[str]
    """Wires that run under nodes they do not belong to."""


def open_renderer(page: ComfyPage, nodes_2: bool) -> None:
    """Choose a renderer, and have all text drawn however far the view is zoomed out."""
    page.page.evaluate(
        """async nodes_2 => {
          const setting = app.extensionManager.setting;
          await setting.set('Comfy.VueNodes.Enabled', nodes_2);
          await setting.set('LiteGraph.Canvas.MinFontSizeForLOD', 0);
          await setting.set('Comfy.Minimap.Visible', false);
        }""",
        nodes_2,
    )
    page.settle()


def show_pictures(page: ComfyPage, filename: str = "example.png") -> None:
    """Give every node that shows pictures one from the input folder, by the message that ends a node's run."""
    page.page.evaluate(
        """([kinds, filename]) => {
          for (const node of app.graph.nodes.filter(candidate => kinds.includes(candidate.type))) {
            const output = {images: [{filename, subfolder: '', type: 'input'}]};
            const detail = {node: String(node.id), display_node: String(node.id), output, prompt_id: 'shown'};
            app.api.dispatchCustomEvent('executed', detail);
          }
          app.canvas.setDirty(true, true);
        }""",
        [list(SHOWING), filename],
    )
    page.settle()


def measure_layout(page: ComfyPage) -> CanvasLayout:
    """Measure the graph that is open, after all of it was brought into the window."""
    page.page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    page.settle(STILL_MS)
    found, before = page.page.evaluate(_MEASURE), None
    while found != before:  # a busy machine draws late
        page.settle(STILL_MS)
        found, before = page.page.evaluate(_MEASURE), found
    return CanvasLayout(
        {name: Box(*box) for name, box in found["nodes"]},
        {name: Box(*box) for name, box in found["groups"]},
        found["cut"],
        found["empty"],
        page.page.evaluate(_HIDDEN, [CORNER, found["nodes"]]),
    )


def number_of(name: str) -> int:
    """A node's number: the last word of its name in a layout."""
    return int(name.rsplit(" ", 1)[1])


def overlaps(layout: CanvasLayout) -> list[str]:
    """Name nodes that cover each other, with how deep."""
    return [
        f"{first} and {second}: {depth:.0f} px"
        for (first, a), (second, b) in combinations(layout.nodes.items(), 2)
        if (depth := _depth(a, b)) > TOLERANCE
    ]


def strays(layout: CanvasLayout) -> list[str]:
    """Name nodes that lie across a group's edge or over its title, and groups that cover each other."""
    found = [
        f"{node} and the edge of {group}"
        for group, frame in layout.groups.items()
        for node, box in layout.nodes.items()
        if _depth(box, frame) > TOLERANCE and not _within(box, frame)
    ]
    pairs = combinations(layout.groups.items(), 2)
    return found + [f"{first} and {second}" for (first, a), (second, b) in pairs if _depth(a, b) > TOLERANCE]


def _depth(a: Box, b: Box) -> float:
    """How far two boxes reach into each other; negative if they are apart."""
    return min(min(a.right, b.right) - max(a.left, b.left), min(a.bottom, b.bottom) - max(a.top, b.top))


def _within(box: Box, frame: Box) -> bool:
    return (
        box.left >= frame.left - TOLERANCE
        and box.top >= frame.top + GROUP_TITLE - TOLERANCE
        and box.right <= frame.right + TOLERANCE
        and box.bottom <= frame.bottom + TOLERANCE
    )


_MEASURE = """
() => {
  const graph = app.canvas.graph, view = app.canvas.ds, cut = [], empty = {};
  const name = node => `${node.title} ${node.id}`;
  const corners = ([left, top, width, height]) => [left, top, left + width, top + height];
  const nodes_2 = LiteGraph.vueNodesMode;
  const nodes = graph.nodes.map(node => {
    const element = nodes_2 && document.querySelector(`[data-node-id="${CSS.escape(node.id)}"]`);
    if (!element) {
      node.updateArea(app.canvas.ctx);
      return [name(node), corners(node.boundingRect)];
    }
    const frame = app.canvas.canvas.getBoundingClientRect(), box = element.getBoundingClientRect();
    const x = pixel => (pixel - frame.left) / view.scale - view.offset[0];
    const y = pixel => (pixel - frame.top) / view.scale - view.offset[1];
    for (const part of element.querySelectorAll('*')) {
      const style = getComputedStyle(part);
      const words = part.value || part.innerText;
      const shortens = style.overflowX !== 'visible' && style.textOverflow === 'ellipsis';
      if (words && shortens && part.scrollWidth > part.clientWidth + 1) cut.push(`${name(node)}: ${words}`);
    }
    return [name(node), [x(box.left), y(box.top), x(box.right), y(box.bottom)]];
  });
  for (const [title, node] of [['Inputs', graph.inputNode], ['Outputs', graph.outputNode]])
    if (node) nodes.push([`${title} ${node.id}`, corners(node.boundingRect)]);
  for (const node of graph.nodes) {
    const body = nodes_2
      ? document.querySelector(`[data-node-id="${CSS.escape(node.id)}"]`)
      : node.widgets?.find(widget => widget.element)?.element;
    for (const text of body ? [body, ...body.querySelectorAll('*')] : []) {
      if (!text.matches('.comfy-markdown-content, .tiptap, textarea')) continue;
      if (getComputedStyle(text).opacity === '0' || text.matches('.comfy-markdown textarea')) continue;
      const sample = text.matches('textarea') ? text : text.lastElementChild;
      if (text.scrollHeight > text.clientHeight + 2)
        cut.push(`${name(node)}: ${text.scrollHeight - text.clientHeight} px of its text`);
      else if (sample && sample !== text) {
        const below = text.getBoundingClientRect().bottom - sample.getBoundingClientRect().bottom;
        empty[name(node)] = below / view.scale;
      }
    }
  }
  if (!nodes_2) {
    const drawText = CanvasRenderingContext2D.prototype.fillText, drawNode = app.canvas.drawNode;
    let current = '', last = '';
    app.canvas.drawNode = function (node, context) {
      current = name(node);
      return drawNode.call(this, node, context);
    };
    CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
      if (/(\\u2026|\\.\\.\\.?)$/.test(text)) cut.push(`${current}: ${last} ${text}`);
      last = text;
      return drawText.call(this, text, ...place);
    };
    try {
      app.canvas.draw(true, true);
    } finally {
      CanvasRenderingContext2D.prototype.fillText = drawText;
      app.canvas.drawNode = drawNode;
    }
  }
  const groups = graph.groups.map(group => [group.title, corners(group.boundingRect ?? group._bounding)]);
  return {nodes, groups, cut: [...new Set(cut)], empty};
}
"""
_HIDDEN = """
([corner, nodes]) => {
  const graph = app.canvas.graph, context = document.createElement('canvas').getContext('2d'), hidden = [];
  context.lineWidth = 6;  // farther than two of the points below are apart, so that no wire slips through
  const edges = nodes.map(([name, [left, top, right, bottom]]) => {
    const points = [];
    for (let x = left + corner; x <= right - corner; x += 4) points.push([x, top + corner], [x, bottom - corner]);
    for (let y = top + corner; y <= bottom - corner; y += 4) points.push([left + corner, y], [right - corner, y]);
    return [name, points];
  });
  const titled = id => nodes.map(([name]) => name).find(name => name.endsWith(` ${id}`));
  for (const link of graph.links.values()) {
    const [from, to] = [link.origin_id, link.target_id].map(titled), reroutes = [];
    for (let at = graph.reroutes.get(link.parentId); at; at = graph.reroutes.get(at.parentId)) reroutes.push(at);
    const paths = [...reroutes, link].map(segment => segment.path);
    if (!paths.every(path => path instanceof Path2D)) throw new Error(`Wire ${link.id} is not drawn`);
    const drawn = ([x, y]) => paths.some(path => context.isPointInStroke(path, x, y));
    for (const [name, points] of edges)
      if (name !== from && name !== to && points.some(drawn))
        hidden.push(`the wire from ${from} to ${to} under ${name}`);
  }
  return hidden;
}
"""
