"""The blueprint, placed by the page's search, is the workflow that other tests run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from canvas import SCREENSHOTS, faults
from core_graph import complaints

from comfyui_host.find import PACK
from comfyui_host.page import ComfyPage

pytestmark = pytest.mark.browser

API_FORM = PACK / "tests" / "comfyui" / "relation_transfer.api.json"
INPUTS = {"before": "Before", "after": "After", "source": "Source"}


@pytest.fixture
def page(rendered_page: ComfyPage) -> ComfyPage:
    return rendered_page


def by_class(prompt: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A prompt without its ids: inputs by class (and title, of pictures), links by the class that they come from."""

    def name(node: dict[str, Any]) -> str:
        title = node["_meta"]["title"] if node["class_type"] == "LoadImage" else ""
        return f"{node['class_type']} {title}".strip()

    return {
        name(node): {
            key: [name(prompt[value[0]]), value[1]] if isinstance(value, list) else value
            for key, value in node["inputs"].items()
        }
        for node in prompt.values()
    }


def test_it_is_found_placed_and_runs_as_the_workflow(page: ComfyPage, of_core: frozenset[str]) -> None:
    page.wait_for_answer("/global_subgraphs")  # which the page asks for when all else is there
    page.page.evaluate("() => app.graph.clear()")
    page.settle()
    page.page.mouse.dblclick(700, 400)
    page.settle()
    page.page.keyboard.type("Relation Transfer")
    page.page.get_by_text("Blueprint", exact=True).first.wait_for()
    page.screenshot(SCREENSHOTS / "blueprint_search.png")
    page.page.keyboard.press("Enter")
    page.settle()
    page.page.mouse.click(700, 400)
    page.page.wait_for_function("() => app.graph.nodes.length === 1")
    page.settle()
    page.page.evaluate(
        """inputs => {
          const [blueprint] = app.graph.nodes;
          const add = (kind, title, pos) => {
            const node = LiteGraph.createNode(kind);
            app.graph.add(node);
            node.title = title;
            node.pos = pos;
            return node;
          };
          let top = -200;
          for (const [input, title] of Object.entries(inputs)) {
            const picture = add('LoadImage', title, [0, top += 400]);
            picture.widgets.find(widget => widget.name === 'image').value = 'example.png';
            picture.connect(0, blueprint, blueprint.findInputSlot(input));
          }
          const save = add('SaveImage', 'Result', [1400, 200]);
          save.widgets[0].value = 'RelationAdapter';
          blueprint.connect(blueprint.findOutputSlot('result'), save, 0);
        }""",
        INPUTS,
    )
    page.settle()
    page.screenshot(SCREENSHOTS / "blueprint.png")
    assert faults(page) == []
    expected = by_class(json.loads(API_FORM.read_text(encoding="utf-8")))
    for kind in ("RelationComparison", "PreviewImage"):
        del expected[kind]
    assert by_class(page.prompt()) == expected
    assert complaints(page, of_core) == []
