"""Draws docs/templates.jpg: this pack's workflows in ComfyUI's template browser.

Run: ``python -m scripts.draw_template_browser COMFYUI``.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator

from comfyui_host.page import open_page
from comfyui_host.server import PACK, ComfyServer
from comfyui_host.template_list import open_template_list

OURS = "relation_adapter"
NAMES = sorted(path.stem for path in (PACK / "workflows").glob("*.json"))
WINDOW = (1600, 1760)
"""Has room for four rows of thumbnails."""
WIDTH, QUALITY = 1400, 80


def main() -> None:
    """Open the browser of templates at this pack's, and save what it shows."""
    with (
        tempfile.TemporaryDirectory() as base,
        ComfyServer(Path(sys.argv[1]), Path(base)) as server,
        open_page(server.address, *WINDOW) as page,
    ):
        dialog = open_template_list(page, OURS)
        for name in NAMES:
            _check_in_sight(dialog, name)
        with Image.open(io.BytesIO(dialog.screenshot())) as shown:
            height = round(shown.height * WIDTH / shown.width)
            sheet = shown.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
            sheet.save(PACK / "docs" / "templates.jpg", quality=QUALITY)


def _check_in_sight(dialog: Locator, name: str) -> None:
    """Stop where the sheet would lack a workflow's title, and so its thumbnail above it."""
    title = dialog.get_by_text(name, exact=True)
    box, frame = title.bounding_box() if title.count() else None, dialog.bounding_box()
    if box is None or frame is None or box["y"] + box["height"] > frame["y"] + frame["height"]:
        raise SystemExit(f"{name} is out of sight in a window of {WINDOW}. Make WINDOW taller.")


if __name__ == "__main__":
    main()
