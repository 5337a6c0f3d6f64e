"""Names, tooltips and help in the languages that the pack is translated to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from canvas import SCREENSHOTS, on_screen, open_help, place
from core_graph import complaints

from comfyui_host.find import PACK
from comfyui_host.page import ComfyPage, open_page
from comfyui_host.server import ComfyServer

pytestmark = pytest.mark.browser

SHOWN = """kind => {
  const node = LiteGraph.createNode(kind);
  const controls = (node.widgets ?? []).flatMap(widget => widget.linkedWidgets ?? []);
  const ours = (node.widgets ?? []).filter(
    widget => !controls.includes(widget) && widget.serialize !== false  // no input is named by what is not saved
  );
  const label = slot => slot.label ?? slot.localized_name ?? slot.name;
  return {
    title: node.title,
    inputs: Object.fromEntries(node.inputs.map(input => [input.name, label(input)])),
    widgets: Object.fromEntries(ours.map(widget => [widget.name, widget.label ?? widget.name])),
    outputs: node.outputs.map(label),
  };
}"""
PICTURES = """() => [...document.querySelectorAll('.node-help-content img')].map(
  image => [new URL(image.src).pathname.split('/docs/')[1], image.complete && image.naturalWidth]
)"""


def translations(language: str) -> dict[str, Any]:
    return json.loads((PACK / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))


@pytest.fixture(params=["zh", "zh-TW", "ja", "ko"])
def language(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def page(server: ComfyServer, language: str) -> Iterator[ComfyPage]:
    """The page after its user chose a language."""
    with open_page(server.address) as page:
        choose = "language => app.extensionManager.setting.set('Comfy.Locale', language)"
        page.page.evaluate(choose, language)
        page.settle()
        browser = page.page.context.browser
        assert browser is not None
        yield ComfyPage(browser.new_page(viewport={"width": 1600, "height": 1000}), server.address)
        page.page.evaluate(choose, "en")
        page.settle()


def test_every_name_is_shown_translated(page: ComfyPage, language: str, of_core: frozenset[str]) -> None:
    for kind, entry in translations(language).items():
        shown = page.page.evaluate(SHOWN, kind)
        assert shown["title"] == entry["display_name"]
        names = {key: value["name"] for key, value in entry["inputs"].items()}
        assert {**shown["inputs"], **shown["widgets"]} == names, kind
        assert shown["outputs"] == [value["name"] for value in entry.get("outputs", {}).values()], kind
    assert complaints(page, of_core) == []


def test_a_tooltip_is_shown_translated(page: ComfyPage, language: str) -> None:
    place(page, "BlendRelations")
    page.page.evaluate("() => app.canvas.deselectAll()")
    page.settle()
    row = page.page.evaluate("() => app.graph.nodes[0].widgets.find(widget => widget.name === 'mode').y + 10")
    left, top = on_screen(page, "BlendRelations", 90, row)
    page.page.mouse.move(left, top)
    page.page.mouse.move(left + 1, top)
    page.page.locator(".node-tooltip").wait_for()
    page.screenshot(SCREENSHOTS / f"tooltip_{language}.png")
    assert (
        page.page.locator(".node-tooltip").inner_text()
        == translations(language)["BlendRelations"]["inputs"]["mode"]["tooltip"]
    )


@pytest.mark.parametrize("language", ["zh"])
def test_help_is_shown_in_chinese_with_its_picture(page: ComfyPage, of_core: frozenset[str]) -> None:
    for kind, entry in translations("zh").items():
        open_help(page, kind)
        page.screenshot(SCREENSHOTS / f"help_zh_{kind}.png")
        help_panel = page.page.locator(".node-help-content")
        assert help_panel.locator("h1").inner_text() == entry["display_name"]
        assert page.page.evaluate(PICTURES) == [[f"images/{kind}.jpg", 800]]
        page.page.evaluate("() => app.canvas.deselectAll()")
    assert complaints(page, of_core) == []
