"""Builds the shipped workflows in ComfyUI's page: ``python -m scripts.templates COMFYUI [NAME ...]``.

The page's own serialisation is what is written to ``workflows/``, beside a drawn thumbnail. Screenshots of the page
are kept in ``build/workflows``.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from comfyui_host.page import open_page
from comfyui_host.server import PACK, ComfyServer

from ..small_extras import write_extra_models
from ..small_models import write_models
from . import TEMPLATES
from .page_graph import build
from .template import Template
from .thumbnails import THUMBNAILS
from .transfer import TRANSFER

WORKFLOWS = PACK / "workflows"
API_FORM = PACK / "tests" / "comfyui" / "relation_transfer.api.json"


def main() -> None:
    """Build those that are named, or all."""
    names = sys.argv[2:] or [template.name for template in TEMPLATES]
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        _furnish(base, Path(sys.argv[1]))
        with ComfyServer(Path(sys.argv[1]), base) as server:
            for template in TEMPLATES:
                if template.name in names:
                    _build(server, template)
    for name in names:
        THUMBNAILS[name]().save(WORKFLOWS / f"{name}.jpg")


def _build(server: ComfyServer, template: Template) -> None:
    with open_page(server.address) as page:  # a new one: it remembers pictures by the numbers of nodes
        page.page.evaluate("() => app.extensionManager.setting.set('Comfy.Minimap.Visible', false)")
        _write(WORKFLOWS / f"{template.name}.json", build(page, template))
        page.settle()
        page.screenshot(PACK / "build" / "workflows" / f"{template.name}.png")
        if template is TRANSFER:
            _write(API_FORM, page.prompt())  # the tests compare our converter with it


def _furnish(base: Path, comfyui: Path) -> None:
    """Make every file that the workflows name, so that the page lists it."""
    write_models(base / "models")
    write_extra_models(base / "models")
    for place in ("input/example.png", *(place for template in TEMPLATES for place in template.places)):
        (base / place).parent.mkdir(parents=True, exist_ok=True)
        (base / place).touch()
    shutil.copy(comfyui / "input" / "example.png", base / "input")


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
