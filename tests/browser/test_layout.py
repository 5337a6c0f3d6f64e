"""Shipped workflows and blueprints as they lie on the canvas: nothing covers anything, and no text is cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from canvas import SCREENSHOTS
from shipped import NAMES, TEMPLATES

from comfyui_host.canvas_layout import (
    SHOWING,
    measure_layout,
    open_renderer,
    overlaps,
    show_pictures,
    strays,
)
from comfyui_host.find import PACK
from comfyui_host.page import ComfyPage, open_page
from comfyui_host.server import ComfyServer

pytestmark = pytest.mark.browser

BLUEPRINTS = sorted((PACK / "subgraphs").glob("*.json"))
EMPTY = 60
"""Pixels that may stay empty below a note's text: the other renderer's letters are larger."""


@pytest.fixture(scope="module", params=["classic", "nodes_2"])
def renderer(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def first(server: ComfyServer, renderer: str) -> Iterator[ComfyPage]:
    with open_page(server.address) as page:
        open_renderer(page, renderer == "nodes_2")
        yield page
        open_renderer(page, nodes_2=False)


@pytest.fixture
def page(first: ComfyPage, server: ComfyServer) -> Iterator[ComfyPage]:
    """A new page of the same browser: a page remembers pictures by the numbers of nodes."""
    browser = first.page.context.browser
    assert browser is not None
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    yield ComfyPage(page, server.address)
    page.close()


def check(page: ComfyPage, name: str) -> None:
    layout = measure_layout(page)
    page.screenshot(SCREENSHOTS / f"layout_{name}.png")
    assert layout.nodes, "nothing was drawn"
    assert overlaps(layout) == []
    assert strays(layout) == []
    assert layout.cut == []
    assert {note: pixels for note, pixels in layout.empty.items() if pixels > EMPTY} == {}


@pytest.mark.parametrize("path", TEMPLATES, ids=NAMES)
def test_nothing_covers_anything_before_and_after_a_run(page: ComfyPage, path: Path, renderer: str) -> None:
    workflow = json.loads(path.read_text(encoding="utf-8"))
    page.load(workflow)
    check(page, f"{path.stem}_{renderer}_before")
    show_pictures(page)
    shown = page.page.evaluate("() => Object.keys(app.nodeOutputs).map(Number)")
    assert {node["id"] for node in workflow["nodes"] if node["type"] in SHOWING} <= set(shown)
    check(page, f"{path.stem}_{renderer}_after")


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_nothing_covers_anything_inside_a_blueprint(page: ComfyPage, path: Path, renderer: str) -> None:
    page.load(json.loads(path.read_text(encoding="utf-8")))
    page.page.evaluate("() => app.canvas.setGraph(app.graph.nodes[0].subgraph)")
    page.settle()
    check(page, f"{path.stem}_{renderer}")
