"""App mode: a workflow as a form with its inputs and its result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from canvas import RUN_MS, SCREENSHOTS
from core_graph import complaints
from light_canvas import lighten
from playwright.sync_api import Locator
from shipped import workflow_of

from comfyui_host.page import ComfyPage
from comfyui_host.server import ComfyServer

pytestmark = pytest.mark.browser

SHOWN = """() => [...document.querySelectorAll('[data-testid=linear-center-panel] img')]
  .map(image => image.naturalWidth && new URL(image.src).searchParams.get('filename')).filter(Boolean)"""
TOUR_COMES = """() => {
  const seen = app.extensionManager.setting.get('Comfy.OnboardingCoachmarks.Seen');
  return seen !== undefined && !seen.includes('appMode');
}"""
"""Whether a tour greets a first visit of App mode; pages before 1.48 have none."""
FORMS = {
    "try_it_small": {"edit": "mirror", "exemplar_scene": 2, "source_scene": 5, "strength": 0.9},
    "relation_transfer_simple": {"value": "Make it a woodcut.", "strength": 0.9, "seed": 7},
}
"""What is filled in, by workflow and widget."""
LABELS = {
    "try_it_small": ["edit", "exemplar_scene", "source_scene", "strength"],
    "relation_transfer_simple": ["Before", "After", "Source", "Prompt", "strength", "seed"],
}
"""What stands above the lines of the form."""


@pytest.fixture
def page(rendered_page: ComfyPage) -> ComfyPage:
    return rendered_page


def open_form(page: ComfyPage) -> None:
    page.page.evaluate("() => app.extensionManager.command.execute('Comfy.ToggleLinear')")
    page.page.get_by_test_id("linear-widgets").wait_for()
    if page.page.evaluate(TOUR_COMES):
        skip = page.page.get_by_role("button", name="Skip", exact=True)
        skip.click()
        skip.wait_for(state="hidden")
    page.settle()


def fill(page: ComfyPage, item: Locator, value: object) -> None:
    """Fill in one line of the form as a person does."""
    if item.get_by_role("combobox").count():
        item.get_by_role("combobox").click()
        page.page.get_by_role("option", name=str(value), exact=True).click()
    else:
        box = item.get_by_role("textbox").or_(item.get_by_role("spinbutton")).first
        box.fill(str(value))
        box.press("Tab")


@pytest.mark.parametrize("name", FORMS)
def test_the_form_is_filled_and_run(
    server: ComfyServer, page: ComfyPage, name: str, renderer: str, of_core: frozenset[str]
) -> None:
    workflow = workflow_of(name)
    page.load(workflow)
    lighten(page)
    open_form(page)
    lines = page.page.get_by_test_id("app-mode-widget-item")
    widgets = [widget for _, widget in workflow["extra"]["linearData"]["inputs"]]
    assert lines.count() == len(widgets)
    assert lines.get_by_test_id("builder-widget-label").all_inner_texts() == LABELS[name]
    for number, widget in enumerate(widgets):
        if widget in FORMS[name]:
            fill(page, lines.nth(number), FORMS[name][widget])
    page.settle()
    values = {key: value for node in page.prompt().values() for key, value in node["inputs"].items()}
    posted = {"seed": values["noise_seed"], **values}
    posted["strength"] = next(
        node["inputs"]["strength"] for node in page.prompt().values() if node["class_type"] == "ApplyRelationAdapter"
    )
    assert {widget: posted[widget] for widget in FORMS[name]} == FORMS[name]
    before = set((server.base / "output").rglob("*.png"))
    page.page.get_by_role("button", name="Run", exact=True).click()
    (saver,) = (node for node in workflow["nodes"] if node["type"] == "SaveImage")
    prefix = saver["widgets_values"][0].rsplit("/", 1)[-1]
    page.page.wait_for_function(
        f"prefix => ({SHOWN})().some(name => name.startsWith(prefix))", arg=prefix, timeout=RUN_MS
    )
    page.settle()
    page.screenshot(SCREENSHOTS / f"app_{name}_{renderer}.png")
    made: set[Path] = set((server.base / "output").rglob("*.png")) - before
    assert made and {path.name for path in made} & set(page.page.evaluate(SHOWN))
    assert complaints(page, of_core) == []


@pytest.mark.parametrize("name", FORMS)
def test_it_opens_as_a_graph(page: ComfyPage, name: str) -> None:
    page.load(workflow_of(name))
    assert page.page.get_by_test_id("linear-widgets").count() == 0
    form = json.loads(page.page.evaluate("() => JSON.stringify(app.graph.extra.linearData)"))
    assert len(form["inputs"]) == len(workflow_of(name)["extra"]["linearData"]["inputs"])
