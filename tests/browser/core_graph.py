"""What the page complains of without us: a graph of core nodes alone, used as the tests use our workflows."""

from __future__ import annotations

import json
import re
from typing import Any

from canvas import drop_text, faults, fit_view, open_help, run_to_pictures

from comfyui_host.canvas_layout import open_renderer
from comfyui_host.page import ComfyPage, open_page
from comfyui_host.server import ComfyServer

VARIABLE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b\d+(\.\d+)*%?(, \d+(\.\d+)*%?)*|(?<=widgetName: )\w+")
"""What differs between two complaints of the same kind: identities, node numbers, ports, lists of sizes, and the
names of widgets that the page seeks in the next graph when a graph with a form is left."""
PAGES_OF_A_PACK = re.compile(r"/extensions/[^/ ]+/docs/[^/ ]+/en\.md")
"""The page asks every pack for an English translation before the help page itself; core's pages lie elsewhere."""

_BUILD = """
picture => {
  app.graph.clear();
  const add = (kind, pos, widgets = {}) => {
    const node = LiteGraph.createNode(kind);
    app.graph.add(node);
    node.pos = pos;
    for (const [name, value] of Object.entries(widgets))
      node.widgets.find(widget => widget.name === name).value = value;
    return node;
  };
  const load = add('LoadImage', [0, 0], {image: picture});
  const scale = add('ImageScaleBy', [400, 0]);
  const mask = add('GrowMask', [400, 200]);
  const save = add('SaveImage', [800, 0]), preview = add('PreviewImage', [1200, 0]);
  load.connect(0, scale, 0);
  load.connect(1, mask, 0);
  scale.connect(0, save, 0);
  scale.connect(0, preview, 0);
  add('CLIPTextEncode', [0, 500]);
  add('KSampler', [400, 500]);
  add('RandomNoise', [800, 500]);
  add('MarkdownNote', [1200, 500], {text: '## A note\\n\\n**1** Its text.'});
  const group = new LiteGraph.LGraphGroup('A group');
  group.configure({...group.serialize(), bounding: [-20, -80, 1600, 500]});
  app.graph.add(group);
  app.graph.extra.linearData = {inputs: [[load.id, 'image']], outputs: [save.id]};
}
"""
_SUBGRAPH = """
() => {
  const inside = app.graph.nodes.filter(node => node.type === 'ImageScaleBy');
  app.graph.convertToSubgraph(new Set(inside));
}
"""
_NOTHING = {"last_node_id": 0, "last_link_id": 0, "nodes": [], "links": [], "version": 0.4}


def complaints(page: ComfyPage, of_core: frozenset[str]) -> list[str]:
    """What the console said, less what it says of core nodes too."""
    return [line for line in page.complaints if _kind(line) not in of_core and PAGES_OF_A_PACK.search(line) is None]


def complaints_of_core(server: ComfyServer) -> frozenset[str]:
    """Build, save, drop, run and read about a graph of core nodes, in both renderers; give what the console said."""
    said: list[str] = []
    for nodes_2 in (False, True):
        with open_page(server.address) as page:
            open_renderer(page, nodes_2)
            page.page.evaluate(_BUILD, "example.png")
            _use(page, page.serialised())
            page.page.evaluate(_SUBGRAPH)
            page.settle()
            page.load(page.serialised())
            page.prompt()
            faults(page)
            page.load(_NOTHING)
            open_help(page, "KSampler")
            open_renderer(page, nodes_2=False)
            said += page.complaints
    return frozenset(map(_kind, said))


def _use(page: ComfyPage, workflow: dict[str, Any]) -> None:
    drop_text(page, "core.json", json.dumps(workflow))
    fit_view(page)
    run_to_pictures(page)
    page.page.evaluate("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    page.settle()
    page.page.keyboard.press("Escape")
    page.settle()


def _kind(complaint: str) -> str:
    return VARIABLE.sub("#", complaint)
