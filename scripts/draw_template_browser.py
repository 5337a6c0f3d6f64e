"""Draws docs/templates.jpg: this pack's workflows in ComfyUI's template browser.

Run: ``python -m scripts.draw_template_browser COMFYUI``.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from comfyui_host.page import open_page
from comfyui_host.server import PACK, ComfyServer

OURS = "relation_adapter"
WINDOW = (1600, 1400)
"""Shows three rows of thumbnails."""
WIDTH, QUALITY = 1400, 80


def main() -> None:
    """Open the browser of templates at this pack's, and save what it shows."""
    with (
        tempfile.TemporaryDirectory() as base,
        ComfyServer(Path(sys.argv[1]), Path(base)) as server,
        open_page(server.address, *WINDOW) as page,
    ):
        page.page.evaluate("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
        dialog = page.page.get_by_role("dialog")
        dialog.get_by_text(OURS, exact=True).click()
        dialog.locator("img").first.wait_for()
        page.settle()
        with Image.open(io.BytesIO(dialog.screenshot())) as shown:
            height = round(shown.height * WIDTH / shown.width)
            sheet = shown.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
            sheet.save(PACK / "docs" / "templates.jpg", quality=QUALITY)


if __name__ == "__main__":
    main()
