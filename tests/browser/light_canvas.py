"""Makes a workflow on the canvas light, as :func:`light_server.light` does a prompt."""

from __future__ import annotations

from light_server import LONG_SIDE, STEPS

from comfyui_host.page import ComfyPage

_LIGHTEN = """
([side, steps]) => {
  const least = (node, name, bound) => {
    const widget = node.widgets?.find(candidate => candidate.name === name);
    if (widget) widget.value = Math.min(widget.value, bound);
  };
  for (const graph of [app.graph, ...app.graph.subgraphs.values()])
    for (const node of [...graph.nodes]) {
      if (node.type === 'RelationSourceEncode' || node.isSubgraphNode?.()) least(node, 'long_side', side);
      if (node.type === 'RelationScheduler' || node.type === 'TuneRelation') least(node, 'steps', steps);
      if (node.type === 'TuneRelation') least(node, 'long_side', side);
      if (node.type !== 'DualCLIPLoader') continue;
      const loader = LiteGraph.createNode('CLIPLoader');
      graph.add(loader);
      loader.pos = [node.pos[0], node.pos[1]];
      const values = {clip_name: 'clip_l.safetensors', type: 'stable_diffusion'};
      for (const [name, value] of Object.entries(values))
        loader.widgets.find(widget => widget.name === name).value = value;
      for (const link of [...graph.links.values()].filter(link => link.origin_id === node.id))
        loader.connect(0, graph.getNodeById(link.target_id), link.target_slot);
      graph.remove(node);
    }
}
"""


def lighten(page: ComfyPage) -> None:
    """Encode prompts by CLIP-L alone; make pictures of at most 128 pixels in at most 4 steps, and learn in as many."""
    page.page.evaluate(_LIGHTEN, [LONG_SIDE, STEPS])
    page.settle()
