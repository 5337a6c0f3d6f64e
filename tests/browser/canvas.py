"""What a person does and sees on ComfyUI's canvas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comfyui_host.find import PACK
from comfyui_host.page import ComfyPage

SCREENSHOTS = PACK / "build" / "browser"
OF_OTHERS = (
    "/user.css",  # the page asks for files that a new user does not have
    "/api/userdata",
    "legacy queue/history menu is deprecated",
    "ComfyApp graph accessed before initialization",
    "[MaskEditor] ComfyApp.open_maskeditor is deprecated",
    "/en.md",  # a help page's translation, before the page itself
    "https://api.comfy.org/",  # and for addresses that are closed to it
    "ERR_NAME_NOT_RESOLVED",
)


def complaints(page: ComfyPage) -> list[str]:
    """What the console said, less what the page says without any workflow or custom node."""
    return [line for line in page.complaints if not any(text in line for text in OF_OTHERS)]


def drop(page: ComfyPage, path: Path) -> None:
    """Drag a file onto the canvas."""
    transfer = page.page.evaluate_handle(
        """([name, text]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([text], name, {type: 'application/json'}));
          return transfer;
        }""",
        [path.name, path.read_text(encoding="utf-8")],
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
            for (const [index, input] of (node.inputs ?? []).entries()) {
              if (input.link == null) continue;
              const link = app.graph.links.get(input.link);
              const source = link && app.graph.getNodeById(link.origin_id);
              const output = source?.outputs?.[link.origin_slot];
              if (!output) faults.push(`${name}.${input.name} is linked to nothing`);
              else if (!LiteGraph.isValidConnection(output.type, input.type) || link.target_slot !== index)
                faults.push(`${name}.${input.name} has a wrong link`);
            }
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


def widget_values(workflow: dict[str, Any]) -> dict[int, Any]:
    """Saved values by node id."""
    return {node["id"]: node.get("widgets_values") for node in workflow["nodes"]}


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
