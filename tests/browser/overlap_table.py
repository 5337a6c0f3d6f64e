"""The table of overlaps: what of each workflow covers what, in which renderer of which page."""

from __future__ import annotations

import json

from canvas import SCREENSHOTS

from comfyui_host.page import ComfyPage

ROWS = SCREENSHOTS / "overlaps.json"
TABLE = SCREENSHOTS / "overlaps.md"
HEAD = (
    "| workflow | page | renderer | overlaps before a run | after a run |",
    "| --- | --- | --- | --- | --- |",
)


def record_overlaps(page: ComfyPage, workflow: str, renderer: str, before: int, after: int) -> None:
    """Put a row into the table in ``build/browser``, which keeps the rows of runs with other pages."""
    version = page.page.evaluate("() => window.__COMFYUI_FRONTEND_VERSION__")
    rows = json.loads(ROWS.read_text(encoding="utf-8")) if ROWS.is_file() else {}
    rows[f"{workflow} | {version} | {renderer}"] = f"{before} | {after}"
    ROWS.write_text(json.dumps(rows, indent=2, sort_keys=True), encoding="utf-8")
    lines = [f"| {place} | {counts} |" for place, counts in sorted(rows.items())]
    TABLE.write_text("\n".join([*HEAD, *lines]) + "\n", encoding="utf-8")
