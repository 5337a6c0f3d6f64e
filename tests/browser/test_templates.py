"""Every shipped workflow in ComfyUI's page."""

from __future__ import annotations

from pathlib import Path

import pytest
from canvas import SCREENSHOTS, drop, faults, fit_view, kinds, run_to_pictures, with_results
from core_graph import complaints
from light_canvas import lighten
from shipped import NAMES, TEMPLATES, workflow_of

from comfyui_host.canvas_layout import SHOWING
from comfyui_host.page import ComfyPage
from comfyui_host.template_list import open_template_list

pytestmark = pytest.mark.browser

OURS = "relation_adapter"
THUMBNAIL = 640
"""Pixels a side."""
PICTURES_SHOWN = "() => [...document.querySelectorAll('[role=dialog] img')].every(image => image.naturalWidth)"


def expected_kinds(name: str) -> list[str]:
    return sorted(node["type"] for node in workflow_of(name)["nodes"])


@pytest.mark.parametrize("path", TEMPLATES, ids=NAMES)
def test_it_loads_by_drag_and_drop(shared_page: ComfyPage, path: Path, of_core: frozenset[str]) -> None:
    page = shared_page
    drop(page, path)
    page.screenshot(SCREENSHOTS / f"dropped_{path.stem}.png")
    assert kinds(page) == expected_kinds(path.stem)
    assert faults(page) == []
    assert complaints(page, of_core) == []


@pytest.mark.parametrize("renderer", ["classic"], indirect=True)  # the dialog is the same in both
@pytest.mark.parametrize("name", NAMES)
def test_it_loads_from_the_template_browser(shared_page: ComfyPage, name: str, of_core: frozenset[str]) -> None:
    page = shared_page
    dialog = open_template_list(page, OURS)
    title = dialog.get_by_text(name, exact=True)
    for _ in NAMES:  # a newer page holds only those that are in sight
        page.page.wait_for_function(PICTURES_SHOWN)
        widths = [image.evaluate("image => image.naturalWidth") for image in dialog.locator("img").all()]
        assert set(widths) == {THUMBNAIL}  # and not the page's own picture in their place, which is smaller
        if title.count():
            break
        dialog.locator("img").last.hover()
        page.page.mouse.wheel(0, 300)
        page.settle()
    page.screenshot(SCREENSHOTS / "templates.png")
    title.click()
    dialog.wait_for(state="hidden")
    page.settle()
    page.settle()
    assert kinds(page) == expected_kinds(name)
    assert faults(page) == []
    assert complaints(page, of_core) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=NAMES)
def test_run_ends_with_pictures_on_the_canvas(cleared_page: ComfyPage, path: Path, of_core: frozenset[str]) -> None:
    """On every node that ends with pictures: results, previews, and the pairs of a relation."""
    page = cleared_page
    drop(page, path)
    assert with_results(page, SHOWING) == set()
    lighten(page)
    fit_view(page)
    run_to_pictures(page)
    page.screenshot(SCREENSHOTS / f"result_{path.stem}.png")
    assert faults(page) == []
    assert complaints(page, of_core) == []
