"""The table of overlaps: what of each workflow covers what, in which renderer of which page."""

from __future__ import annotations

import json

from canvas import SCREENSHOTS

from comfyui_host.canvas_layout import CanvasLayout, overlaps, strays
from comfyui_host.page import ComfyPage

COUNTS = SCREENSHOTS / "overlaps.json"
TABLE = SCREENSHOTS / "overlaps.md"


def record_overlaps(page: ComfyPage, workflow: str, renderer: str, *layouts: CanvasLayout) -> None:
    """Put a workflow's counts into the table in ``build/browser``, which keeps those of runs with other pages.

    A cell gives overlaps, and after ``+`` hidden wires, of each of the layouts.
    """
    version = page.page.evaluate("() => window.__COMFYUI_FRONTEND_VERSION__")
    counts = json.loads(COUNTS.read_text(encoding="utf-8")) if COUNTS.is_file() else {}
    cell = ", ".join(f"{len(overlaps(layout) + strays(layout))} + {len(layout.hidden)}" for layout in layouts)
    counts.setdefault(workflow, {})[f"{version} {renderer}"] = cell
    COUNTS.write_text(json.dumps(counts, indent=2, sort_keys=True), encoding="utf-8")
    columns = sorted({column for cells in counts.values() for column in cells})
    rows = [
        ["workflow", *columns],
        ["---"] * (1 + len(columns)),
        *([name, *(cells.get(column, "") for column in columns)] for name, cells in sorted(counts.items())),
    ]
    TABLE.write_text("\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n", encoding="utf-8")
