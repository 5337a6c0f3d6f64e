"""Every shipped workflow in ComfyUI's page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from canvas import SCREENSHOTS, complaints, drop, faults, kinds
from shipped import NAMES, TEMPLATES, workflow_of

from comfyui_host.page import ComfyPage, open_page
from comfyui_host.server import ComfyServer

pytestmark = pytest.mark.browser

RUN_MS = 900_000
OURS = "relation_adapter"
THUMBNAIL = 640
"""Pixels a side."""


@pytest.fixture
def page(server: ComfyServer) -> Iterator[ComfyPage]:
    with open_page(server.address) as page:
        yield page


def expected_kinds(name: str) -> list[str]:
    return sorted(node["type"] for node in workflow_of(name)["nodes"])


@pytest.mark.parametrize("path", TEMPLATES, ids=NAMES)
def test_it_loads_by_drag_and_drop(page: ComfyPage, path: Path) -> None:
    drop(page, path)
    page.screenshot(SCREENSHOTS / f"dropped_{path.stem}.png")
    assert kinds(page) == expected_kinds(path.stem)
    assert faults(page) == []
    assert complaints(page) == []


@pytest.mark.parametrize("name", NAMES)
def test_it_loads_from_the_template_browser(page: ComfyPage, name: str) -> None:
    page.page.evaluate("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    dialog = page.page.get_by_role("dialog")
    dialog.get_by_text(OURS, exact=True).click()
    dialog.locator("img").first.wait_for()
    page.settle()
    widths = [image.evaluate("image => image.naturalWidth") for image in dialog.locator("img").all()]
    assert widths == [THUMBNAIL] * len(NAMES)  # and not the page's own picture in their place, which is smaller
    page.screenshot(SCREENSHOTS / "templates.png")
    dialog.get_by_text(name, exact=True).click()
    dialog.wait_for(state="hidden")
    page.settle()
    page.settle()
    assert kinds(page) == expected_kinds(name)
    assert faults(page) == []
    assert complaints(page) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=NAMES)
def test_run_ends_with_pictures_on_the_canvas(page: ComfyPage, path: Path) -> None:
    """On every node that shows pictures: results, previews, and the pairs of a relation."""
    drop(page, path)
    page.page.evaluate(
        "() => app.extensionManager.command.execute('Comfy.Canvas.FitView')"
    )  # what is unseen shows none
    page.page.get_by_test_id("queue-button").click()
    page.page.wait_for_function(
        """() => app.graph.nodes
          .filter(node => ['SaveImage', 'PreviewImage', 'SaveRelation', 'LoadRelation'].includes(node.type))
          .every(node => node.imgs?.some(image => image.naturalWidth > 0))""",
        timeout=RUN_MS,
    )
    page.settle()
    page.screenshot(SCREENSHOTS / f"result_{path.stem}.png")
    assert faults(page) == []
    assert complaints(page) == []
