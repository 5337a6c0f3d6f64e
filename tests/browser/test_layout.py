"""Shipped workflows and blueprints as they lie on the canvas: nothing is covered, cut or hidden."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from canvas import SCREENSHOTS, run_to_pictures, with_results
from light_canvas import lighten
from overlap_table import record_overlaps
from shipped import NAMES, TEMPLATES

from comfyui_host.canvas_layout import (
    ENDING,
    SHOWING,
    CanvasLayout,
    measure_layout,
    overlaps,
    show_pictures,
    strays,
)
from comfyui_host.find import PACK
from comfyui_host.page import ComfyPage

pytestmark = pytest.mark.browser

WITH_SUBGRAPHS = [
    path
    for path in (*sorted((PACK / "subgraphs").glob("*.json")), *TEMPLATES)
    if json.loads(path.read_text(encoding="utf-8")).get("definitions")
]
WITH_SMALL_MODEL = ("try_it_small", "try_it_small_tune")
"""Workflows that a server without large models can run."""
EMPTY = 60
"""Pixels that may stay empty below a note's text: the other renderer's letters are larger."""


@pytest.fixture
def page(cleared_page: ComfyPage) -> ComfyPage:
    return cleared_page


def seen(page: ComfyPage, name: str) -> CanvasLayout:
    layout = measure_layout(page)
    page.screenshot(SCREENSHOTS / f"layout_{name}.png")
    return layout


def faults(layout: CanvasLayout) -> list[str]:
    black = [f"{note} is empty for {pixels:.0f} px" for note, pixels in layout.empty.items() if pixels > EMPTY]
    return [*overlaps(layout), *strays(layout), *layout.cut, *black]


@pytest.mark.parametrize("path", TEMPLATES, ids=NAMES)
def test_nothing_covers_anything_before_and_after_a_run(page: ComfyPage, path: Path, renderer: str) -> None:
    """After a run with the small model, and elsewhere after the message that ends one."""
    workflow = json.loads(path.read_text(encoding="utf-8"))
    page.load(workflow)
    before = seen(page, f"{path.stem}_{renderer}_before")
    assert with_results(page, SHOWING) == set()
    runs = path.stem in WITH_SMALL_MODEL
    if runs:
        lighten(page)
        run_to_pictures(page)
    else:
        show_pictures(page)
    kinds = ENDING if runs else SHOWING
    assert with_results(page, kinds) == {node["id"] for node in workflow["nodes"] if node["type"] in kinds}
    after = seen(page, f"{path.stem}_{renderer}_after")
    record_overlaps(page, path.stem, renderer, before, after)
    assert len(before.nodes) == len(after.nodes) == len(workflow["nodes"])
    assert (faults(before), faults(after)) == ([], [])
    assert (before.hidden, after.hidden) == ([], [])


@pytest.mark.parametrize("path", WITH_SUBGRAPHS, ids=lambda path: path.stem)
def test_nothing_covers_anything_inside_a_subgraph(page: ComfyPage, path: Path, renderer: str) -> None:
    workflow = json.loads(path.read_text(encoding="utf-8"))
    page.load(workflow)
    for subgraph in workflow["definitions"]["subgraphs"]:
        page.page.evaluate("id => app.canvas.setGraph(app.graph.subgraphs.get(id))", subgraph["id"])
        page.settle()
        layout = seen(page, f"{path.stem}_{renderer}_inside")
        record_overlaps(page, f"{subgraph['name']}, inside {path.stem}", renderer, layout)
        assert len(layout.nodes) == len(subgraph["nodes"]) + len(("Inputs", "Outputs"))
        assert (faults(layout), layout.hidden) == ([], [])
