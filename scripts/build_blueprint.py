"""Builds the subgraph blueprint in ComfyUI's page: ``python -m scripts.build_blueprint COMFYUI``.

The nodes are those of the workflow for relation transfer, arranged anew and turned into a subgraph by the page itself.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
import uuid
from math import ceil
from pathlib import Path
from typing import Any

from comfyui_host.canvas_layout import measure_layout, number_of, open_renderer
from comfyui_host.page import ComfyPage, open_page
from comfyui_host.server import PACK, ComfyServer

from .blueprint import BLUEPRINT, NAME
from .small_models import write_models
from .templates.layout import TITLE
from .templates.page_wires import bend_wires

WORKFLOW = PACK / "workflows" / "relation_transfer.json"
DESCRIPTION = (
    "Shows FLUX.1 an edit on a pair of pictures, before and after, and makes the same edit on the source. The prompt "
    "says which way the edit goes."
)

LAYOUT = {
    # node or title of a note: left, top, width, height
    "UNETLoader": (0, 0, 420, 82),
    "LoraLoaderModelOnly": (0, 140, 420, 82),
    "LoadRelationAdapter": (0, 284, 420, 82),
    "DualCLIPLoader": (0, 452, 420, 130),
    "VAELoader": (0, 648, 420, 58),
    "Models": (0, 764, 420, 310),
    "RelationExemplarEncode": (560, 0, 320, 142),
    "CLIPTextEncode": (560, 230, 320, 100),
    "FluxGuidance": (560, 386, 320, 58),
    "RelationSourceEncode": (560, 534, 320, 122),
    "ApplyRelationAdapter": (1020, 0, 320, 194),
    "BasicGuider": (1020, 260, 320, 46),
    "RelationScheduler": (1020, 382, 320, 82),
    "RandomNoise": (1020, 550, 320, 82),
    "KSamplerSelect": (1020, 690, 320, 58),
    "SamplerCustomAdvanced": (1460, 0, 300, 106),
    "VAEDecode": (1460, 170, 300, 46),
    "Settings": (1460, 280, 300, 180),
}
GROUPS = {
    # title: left, top, width, height
    "Models": (-20, -80, 460, 1174),
    "Pair, source and prompt": (540, -80, 360, 800),
    "Sampling": (1000, -80, 780, 860),
}
OUTSIDE = {
    # left and top of the sockets that lead out of the subgraph
    "inputs": (-260, -280),
    "outputs": (1860, 140),
}
ALIASES = ["relation adapter", "edit by example", "image analogy", "before and after", "copy an edit", "visual prompt"]
"""Words that find it in the page's search, once the server passes them on: 0.33 does not."""
SOCKETS = {"before": "before", "after": "after", "image": "source"}
"""What comes in from outside, and what it is called there."""
WIDGETS = (
    ("CLIPTextEncode", "text", "prompt"),
    ("ApplyRelationAdapter", "strength", "strength"),
    ("RelationSourceEncode", "long_side", "long_side"),
    ("RandomNoise", "noise_seed", "seed"),
    ("UNETLoader", "unet_name", "unet_name"),
    ("LoraLoaderModelOnly", "lora_name", "lora_name"),
    ("LoadRelationAdapter", "adapter_name", "adapter_name"),
    ("LoadRelationAdapter", "vision_name", "vision_name"),
    ("DualCLIPLoader", "clip_name1", "clip_name1"),
    ("DualCLIPLoader", "clip_name2", "clip_name2"),
    ("VAELoader", "vae_name", "vae_name"),
)
"""What can be set from outside: node, widget, and its name there."""
SIZE = (400, 420)


def build(page: ComfyPage, workflow: dict[str, Any]) -> dict[str, Any]:
    """Turn the workflow into one node, and return what the page saves for it."""
    open_renderer(page, nodes_2=False)
    page.load(workflow)
    page.page.evaluate(
        _BUILD,
        {
            "name": NAME,
            "layout": LAYOUT,
            "groups": GROUPS,
            "sockets": SOCKETS,
            "widgets": WIDGETS,
            "outside": OUTSIDE,
            "size": SIZE,
        },
    )
    page.settle()
    _lead_wires(page)
    saved = page.serialised()
    (subgraph,) = saved["definitions"]["subgraphs"]
    (node,) = saved["nodes"]
    for slot in (*subgraph["inputs"], *subgraph["outputs"], *node["inputs"], *node["outputs"]):
        if "label" in slot:  # the search shows names, and the node labels
            slot["name"] = slot.pop("label")
            slot.pop("localized_name", None)
    subgraph |= {"category": "RelationAdapter", "description": DESCRIPTION}
    saved["extra"]["BlueprintSearchAliases"] = ALIASES
    return json.loads(_lasting_ids(json.dumps(saved)))


def _lead_wires(page: ComfyPage) -> None:
    """Lead the wires inside around nodes as tall as either renderer draws them."""
    page.page.evaluate("() => app.canvas.setGraph(app.graph.nodes[0].subgraph)")
    open_renderer(page, nodes_2=True)
    drawn = measure_layout(page).nodes
    open_renderer(page, nodes_2=False)
    bend_wires(page, {number_of(name): ceil(box.bottom - box.top) - TITLE for name, box in drawn.items()})
    page.page.evaluate("() => app.canvas.setGraph(app.graph)")


def _lasting_ids(text: str) -> str:
    """Replace the page's random ids by ones that stay the same when the blueprint is built again."""
    found = dict.fromkeys(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", text))
    for index, identity in enumerate(found):
        text = text.replace(identity, str(uuid.uuid5(uuid.NAMESPACE_URL, f"{NAME} {index}")))
    return text


_BUILD = """
({name, layout, groups, sockets, widgets, outside, size}) => {
  const placeOf = node => layout[node.type] ?? layout[node.title];
  for (const node of [...app.graph.nodes])
    if (!placeOf(node) && !['LoadImage', 'SaveImage'].includes(node.type)) app.graph.remove(node);
  for (const group of [...app.graph.groups]) app.graph.remove(group);
  for (const reroute of [...app.graph.reroutes.values()]) app.graph.removeReroute(reroute.id);
  const inside = app.graph.nodes.filter(placeOf);
  for (const node of inside) {
    const [left, top, width, height] = placeOf(node);
    node.pos = [left, top];
    node.setSize([width, height]);
  }
  const {subgraph, node} = app.graph.convertToSubgraph(new Set(inside));
  subgraph.name = node.title = name;
  for (const [title, bounding] of Object.entries(groups)) {
    const group = new LiteGraph.LGraphGroup(title);
    group.configure({...group.serialize(), title, color: '#3f789e', bounding});
    subgraph.add(group);
  }
  for (const input of [...subgraph.inputs]) {
    if (!(input.name in sockets)) subgraph.removeInput(input);  // the page offers the prompt by itself
    else if (sockets[input.name] !== input.name) subgraph.renameInput(input, sockets[input.name]);
  }
  for (const [kind, widget, title] of widgets) {
    const inner = subgraph.nodes.find(candidate => candidate.type === kind);
    const slot = inner.inputs.find(candidate => candidate.widget?.name === widget);
    subgraph.addInput(title, slot.type).connect(slot, inner);
  }
  subgraph.inputNode.pos = outside.inputs;
  subgraph.outputNode.pos = outside.outputs;
  subgraph.renameOutput(subgraph.outputs[0], 'result');
  for (const other of [...app.graph.nodes]) if (other !== node) app.graph.remove(other);
  node.pos = [200, 200];
  node.setSize(size);
  app.canvas.ds.scale = 1;
  app.canvas.ds.offset = [0, 0];
}
"""


def main() -> None:
    """Build the blueprint in a server with small models, whose names are the real ones."""
    comfyui = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        write_models(base / "models")
        (base / "input").mkdir()
        shutil.copy(comfyui / "input" / "example.png", base / "input")
        with ComfyServer(comfyui, base) as server, open_page(server.address) as page:
            blueprint = build(page, json.loads(WORKFLOW.read_text(encoding="utf-8")))
            page.screenshot(PACK / "build" / "workflows" / "blueprint.png")
    BLUEPRINT.parent.mkdir(exist_ok=True)
    BLUEPRINT.write_text(json.dumps(blueprint, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
