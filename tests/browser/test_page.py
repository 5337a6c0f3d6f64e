"""The pack in ComfyUI's page, as a person meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from canvas import SCREENSHOTS, drop, faults, on_screen, open_help, widget_values
from core_graph import complaints
from light_server import WORKFLOW

from comfyui_host.find import PACK
from comfyui_host.page import ComfyPage, open_page
from comfyui_host.server import ComfyServer
from scripts.workflow_to_api import workflow_to_api

pytestmark = pytest.mark.browser

OURS = "relation_adapter"


@pytest.fixture
def page(server: ComfyServer) -> Iterator[ComfyPage]:
    with open_page(server.address) as page:
        yield page


@pytest.fixture
def workflow() -> dict[str, Any]:
    return json.loads(WORKFLOW.read_text(encoding="utf-8"))


def our_nodes(server: ComfyServer) -> dict[str, Any]:
    info = server.get("object_info")
    return {name: node for name, node in info.items() if node["python_module"] == f"custom_nodes.{OURS}"}


def open_list_of_missing_models(page: ComfyPage) -> bool:
    """Tell whether the page also names the nodes; those before 1.49 do not, and open the list by themselves."""
    button = page.page.get_by_test_id("error-overlay-see-errors")
    button.or_(page.page.get_by_role("dialog")).first.wait_for()
    names_nodes = button.is_visible()
    if names_nodes:
        button.click()
    page.settle()
    return names_nodes


def test_missing_models_are_offered_with_their_folders(server: ComfyServer, page: ComfyPage) -> None:
    models = server.base / "models"
    hidden = [models / "loras" / "pytorch_lora_weights.safetensors", *(models / "relation_adapter").iterdir()]
    for path in hidden:
        path.rename(path.with_suffix(".hidden"))
    try:
        page.page.evaluate("() => app.refreshComboInNodes()")
        drop(page, WORKFLOW)
        names_nodes = open_list_of_missing_models(page)
        page.screenshot(SCREENSHOTS / "missing_models.png")
        shown = page.page.inner_text("body")
        for path in hidden:
            assert path.name in shown and path.parent.name in shown
        if names_nodes:
            assert {fault.split()[0] for fault in faults(page)} >= {"LoraLoaderModelOnly", "LoadRelationAdapter"}
    finally:
        for path in hidden:
            path.with_suffix(".hidden").rename(path)


def test_the_page_and_the_converter_agree(server: ComfyServer, page: ComfyPage, workflow: dict[str, Any]) -> None:
    """On the workflow as it is, and with each of its nodes muted and bypassed."""
    info = server.get("object_info")
    page.load(workflow)
    assert page.prompt() == workflow_to_api(workflow, info)
    for node in workflow["nodes"]:
        for mode in (2, 4):
            page.page.evaluate("([id, mode]) => { app.graph.getNodeById(id).mode = mode; }", [node["id"], mode])
            changed = {**workflow, "nodes": [{**n, "mode": mode} if n is node else n for n in workflow["nodes"]]}
            assert page.prompt() == workflow_to_api(changed, info), (node["type"], mode)
        page.page.evaluate("id => { app.graph.getNodeById(id).mode = 0; }", node["id"])


def test_saving_and_reloading_keeps_every_value(
    server: ComfyServer, page: ComfyPage, workflow: dict[str, Any], tmp_path: Path
) -> None:
    """Every widget of every node of ours at a value that is not its default, through a file into a new page."""
    page.load(workflow)
    changed = page.page.evaluate(
        """kinds => {
          const changed = {};
          for (const kind of kinds) {
            const node = LiteGraph.createNode(kind);
            app.graph.add(node);
            changed[node.id] = (node.widgets ?? []).filter(widget => widget.serialize !== false).map(widget => {
              const {min, max, step2, values} = widget.options ?? {};
              if (widget.type === 'number') widget.value = Math.min(max, Math.max(min, widget.value - 3 * step2));
              if (widget.type === 'number' && widget.value === min) widget.value = min + step2;
              if (widget.type === 'combo' && values.length) widget.value = values[values.length - 1];
              if (widget.type === 'text') widget.value = 'another/name';
              return widget.value;
            });
          }
          return changed;
        }""",
        sorted(our_nodes(server)),
    )
    saved = page.serialised()
    values = widget_values(saved)
    for identity, expected in changed.items():
        assert values[int(identity)] == expected
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(saved), encoding="utf-8")
    browser = page.page.context.browser
    assert browser is not None
    other = ComfyPage(browser.new_page(), server.address)
    drop(other, path)
    assert widget_values(other.serialised()) == values
    assert widget_values(workflow).items() <= values.items()


def test_widgets_show_the_schema_s_types_and_ranges(server: ComfyServer, page: ComfyPage) -> None:
    for kind, info in our_nodes(server).items():
        widgets = page.page.evaluate(
            """kind => (LiteGraph.createNode(kind).widgets ?? []).map(({name, type, value, options}) => (
              {name, type, value, min: options.min, max: options.max, step: options.step2, digits: options.precision}
            ))""",
            kind,
        )
        shown = {widget["name"]: widget for widget in widgets}
        for name, (type_, *rest) in {**info["input"].get("required", {}), **info["input"].get("optional", {})}.items():
            options = rest[0] if rest else {}
            if type_ in ("INT", "FLOAT"):
                widget = shown[name]
                assert widget["type"] == "number" and widget["value"] == options["default"]
                assert [float(widget[end]) for end in ("min", "max")] == [float(options[end]) for end in ("min", "max")]
                assert widget["step"] == options["step"] if "step" in options else True
                for number in (options["min"], options["default"], options.get("step", 1)):
                    assert round(number, widget["digits"]) == number, f"{kind}.{name} cannot show {number}"
            elif type_ == "COMBO" or isinstance(type_, list):
                assert shown[name]["type"] == "combo"
            elif type_ == "STRING":
                assert shown[name]["type"] == ("customtext" if options.get("multiline") else "text")
            elif type_ == "BOOLEAN":
                assert (shown[name]["type"], shown[name]["value"]) == ("toggle", options["default"])
            else:
                assert name not in shown


def test_tooltips_appear_where_the_mouse_rests(server: ComfyServer, page: ComfyPage) -> None:
    drop(page, WORKFLOW)
    info = our_nodes(server)["ApplyRelationAdapter"]
    inputs = {**info["input"]["required"], **info["input"]["optional"]}
    expected = {name: options["tooltip"] for name, (_, options) in inputs.items()}
    places = page.page.evaluate(
        """() => {
          const node = app.graph.nodes.find(candidate => candidate.type === 'ApplyRelationAdapter');
          const widgets = node.widgets.map(widget => [widget.name, 90, widget.y + 10]);
          const slots = node.inputs.filter(input => !input.widget);
          return [...widgets, ...slots.map((input, index) => [input.name, 10, 14 + 20 * index])];
        }"""
    )
    seen = {}
    for name, x, y in places:
        page.page.mouse.move(500, 900)
        left, top = on_screen(page, "ApplyRelationAdapter", x, y)
        page.page.mouse.move(left, top)
        page.page.mouse.move(left + 1, top)
        page.page.locator(".node-tooltip").wait_for()
        seen[name] = page.page.locator(".node-tooltip").inner_text()
        if name == "strength":
            page.screenshot(SCREENSHOTS / "tooltip.png")
    assert seen == expected


def test_every_help_page_opens(server: ComfyServer, page: ComfyPage, of_core: frozenset[str]) -> None:
    for kind in our_nodes(server):
        open_help(page, kind)
        page.screenshot(SCREENSHOTS / f"help_{kind}.png")
        text = (PACK / "web" / "docs" / f"{kind}.md").read_text(encoding="utf-8")
        paragraph = next(line for line in text.splitlines() if line and not line.startswith("#"))
        first_words = paragraph.replace("**", "").split("`")[0][:40].rsplit(" ", 1)[0].replace("*", "")
        assert first_words in page.page.inner_text("body")
        page.page.evaluate("() => app.canvas.deselectAll()")
    assert complaints(page, of_core) == []
