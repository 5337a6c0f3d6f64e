"""What a person does and sees on ComfyUI's canvas."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from comfyui_host.canvas_layout import ENDING
from comfyui_host.find import PACK
from comfyui_host.page import ComfyPage

SCREENSHOTS = PACK / "build" / "browser"
RUN_MS = 600_000


def drop(page: ComfyPage, path: Path) -> None:
    """Drag a file onto the canvas."""
    drop_text(page, path.name, path.read_text(encoding="utf-8"))


def drop_text(page: ComfyPage, name: str, text: str) -> None:
    """Drag a file of this name and content onto the canvas."""
    transfer = page.page.evaluate_handle(
        """([name, text]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([text], name, {type: 'application/json'}));
          return transfer;
        }""",
        [name, text],
    )
    page.page.dispatch_event("#graph-canvas", "drop", {"dataTransfer": transfer, "clientX": 700, "clientY": 500})
    page.settle()


def faults(page: ComfyPage) -> list[str]:
    """Everything on the canvas that a person would see in red, and every open dialog."""
    return page.page.evaluate(
        """() => {
          const faults = [];
          for (const node of app.graph.nodes) {
            const name = `${node.type} ${node.id}`;
            if (!LiteGraph.registered_node_types[node.type]) faults.push(`${name} is missing`);
            if (node.has_errors) faults.push(`${name} is red`);
          }
          for (const link of app.graph.links.values()) {
            const target = app.graph.getNodeById(link.target_id), input = target?.inputs?.[link.target_slot];
            const output = app.graph.getNodeById(link.origin_id)?.outputs?.[link.origin_slot];
            const name = `${target?.type} ${link.target_id}.${input?.name}`;
            if (!output || !input) faults.push(`${name} is linked to nothing`);
            else if (!LiteGraph.isValidConnection(output.type, input.type)) faults.push(`${name} has a wrong link`);
          }
          for (const dialog of document.querySelectorAll('[role=dialog], [role=alertdialog], [role=alert]'))
            if (dialog.innerText.trim()) faults.push(`dialog: ${dialog.innerText}`);
          for (const overlay of document.querySelectorAll('[data-testid=error-overlay]'))
            faults.push(`errors: ${overlay.innerText}`);
          return faults;
        }"""
    )


def kinds(page: ComfyPage) -> list[str]:
    """Types of the nodes on the canvas, sorted."""
    return sorted(page.page.evaluate("() => app.graph.nodes.map(node => node.type)"))


def place(page: ComfyPage, kind: str) -> None:
    """Put one node on an empty canvas, and select it."""
    page.page.evaluate(
        """kind => {
          app.graph.clear();
          const node = LiteGraph.createNode(kind);
          app.graph.add(node);
          node.pos = [400, 300];
          app.canvas.ds.scale = 1;
          app.canvas.ds.offset = [0, 0];
          app.canvas.selectNode(node);
          app.canvas.setDirty(true, true);
        }""",
        kind,
    )


def fit_view(page: ComfyPage) -> None:
    """Bring the whole graph into the window: a node that is unseen shows no pictures."""
    page.page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    page.settle()


def run_to_pictures(page: ComfyPage) -> None:
    """Press *Run*, and wait until every node that ends with pictures shows some."""
    page.page.get_by_test_id("queue-button").click()
    page.page.wait_for_function(
        """kinds => app.graph.nodes.filter(node => kinds.includes(node.type)).every(node => {
          const element = LiteGraph.vueNodesMode && document.querySelector(`[data-node-id="${CSS.escape(node.id)}"]`);
          const images = element ? [...element.querySelectorAll('img')] : node.imgs ?? [];
          return images.some(image => image.naturalWidth > 0);
        })""",
        arg=list(ENDING),
        timeout=RUN_MS,
    )
    page.settle()


def with_results(page: ComfyPage, kinds: Collection[str]) -> set[int]:
    """Numbers of the nodes of these types whose results the page has."""
    script = """kinds => app.graph.nodes.filter(node => kinds.includes(node.type) && app.nodeOutputs[node.id])
      .map(node => Number(node.id))"""
    return set(page.page.evaluate(script, list(kinds)))


def open_help(page: ComfyPage, kind: str) -> None:
    """Place a node and open its help."""
    place(page, kind)
    page.settle()
    page.page.get_by_test_id("info-button").click()
    page.settle()


def widget_values(workflow: dict[str, Any]) -> dict[int, Any]:
    """Saved values by node id; for a node without widgets, some pages save no list and some an empty one."""
    return {node["id"]: node.get("widgets_values") or [] for node in workflow["nodes"]}


def on_screen(page: ComfyPage, kind: str, x: float, y: float) -> tuple[float, float]:
    """Where a point in the body of the first node of a type lies in the window."""
    left, top = page.page.evaluate(
        """([kind, x, y]) => {
          const node = app.graph.nodes.find(candidate => candidate.type === kind);
          const view = app.canvas.ds, frame = app.canvas.canvas.getBoundingClientRect();
          return [
            (node.pos[0] + x + view.offset[0]) * view.scale + frame.left,
            (node.pos[1] + y + view.offset[1]) * view.scale + frame.top,
          ];
        }""",
        [kind, x, y],
    )
    return left, top
