"""Saved relations in the page's Model Library, and on the loader before anything is run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from canvas import SCREENSHOTS, place
from core_graph import complaints
from safetensors import safe_open

from comfyui_host.canvas_layout import show_pictures
from comfyui_host.graph import Graph
from comfyui_host.page import ComfyPage
from comfyui_host.server import ComfyServer

pytestmark = pytest.mark.browser

RELATIONS = {
    "houses_red": ("Red houses", "Paints the houses red."),
    "mirror": ("As in a mirror", "Swaps left and right."),
}
PAIR = [256, 128]
"""Width and height of the picture of a pair."""


@pytest.fixture(scope="module")
def saved(server: ComfyServer) -> Iterator[list[Path]]:
    """Two relations of the small model, saved with words."""
    for edit, (title, description) in RELATIONS.items():
        graph = Graph()
        small = graph.add("LoadSmallRelationModel")
        example = graph.add("RelationExample", edit=edit, exemplar_scene=0, source_scene=1)
        relation = graph.add(
            "RelationExemplarEncode",
            relation_adapter=small[2],
            before=example[0],
            after=example[1],
            fit="pad",
            weight=1.0,
        )
        graph.add("SaveRelation", relation=relation, filename_prefix=edit, title=title, description=description)
        assert server.run(graph.nodes).status == "success"
    files = [path for edit in RELATIONS for path in (server.base / "output").rglob(f"{edit}_*.safetensors")]
    assert len(files) == len(RELATIONS)
    yield files
    for path in files:
        path.unlink()


@pytest.fixture
def page(rendered_page: ComfyPage) -> ComfyPage:
    return rendered_page


@pytest.mark.parametrize("renderer", ["classic"], indirect=True)  # the library is the same in both
@pytest.mark.usefixtures("saved")
def test_two_relations_are_shown_with_pair_and_words(page: ComfyPage, of_core: frozenset[str]) -> None:
    """Before anything is run: the pair and the words, where the mouse rests on a name."""
    page.page.evaluate("() => app.extensionManager.command.execute('Workspace.ToggleSidebarTab.model-library')")
    page.settle()
    page.page.get_by_text("relations", exact=True).first.click()
    page.settle()
    leaves = page.page.locator('[data-testid^="tree-node-root/relations/"]')
    leaves.first.wait_for()
    shown: dict[str, str] = {}
    for number in range(leaves.count()):
        page.page.mouse.move(1500, 900)
        leaves.nth(number).hover()
        preview = page.page.locator(".model_preview")
        preview.wait_for()
        page.settle()
        title = preview.locator(".model_preview_title").inner_text()
        if title not in dict(RELATIONS.values()):
            continue
        page.screenshot(SCREENSHOTS / f"library_{number}.png")
        shown[title] = preview.inner_text()
        picture = preview.locator(".model_preview_image img")
        assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == PAIR
    for title, description in RELATIONS.values():
        assert description in shown[title] and "Load Relation" in shown[title]
    assert complaints(page, of_core) == []


CHOOSE = """name => {
  const widget = app.graph.nodes[0].widgets.find(({name}) => name === 'relation_name');
  widget.value = name;
  widget.callback(name);
}"""
CONNECT = """() => {
  const primitive = LiteGraph.createNode('PrimitiveNode');
  app.graph.add(primitive);
  primitive.connect(0, app.graph.nodes[0], 'relation_name');
}"""


def thumbnail(path: Path) -> str:
    """The pair that a relation's header holds, as an address."""
    with safe_open(path, "pt") as file:
        return file.metadata()["modelspec.thumbnail"]


def test_the_loader_shows_pair_and_words(
    rendered_page: ComfyPage, saved: list[Path], renderer: str, of_core: frozenset[str]
) -> None:
    """Of the relation that a new node names, of each that is chosen, and of the one in a workflow that is opened."""
    page = rendered_page
    card = page.page.locator(".relation-card")
    page.page.evaluate("() => app.refreshComboInNodes()")
    place(page, "LoadRelation")
    page.settle()
    first = page.page.evaluate("() => app.graph.nodes[0].widgets.find(({name}) => name === 'relation_name').value")
    pairs = {path.name: (thumbnail(path), words) for path, words in zip(saved, RELATIONS.values(), strict=True)}
    for name in (first, *pairs):
        page.page.evaluate(CHOOSE, name)
        for opened in (False, True):
            if opened:
                page.load(page.serialised())
            page.settle()
            pair, words = pairs[name]
            assert card.locator("img").evaluate("image => [image.naturalWidth, image.naturalHeight]") == PAIR
            assert card.locator("img").get_attribute("src") == pair
            assert card.inner_text().splitlines() == list(words)
        page.screenshot(SCREENSHOTS / f"loader_{name.split('_')[0]}_{renderer}.png")
    (inputs,) = (node["inputs"] for node in page.prompt().values())
    assert inputs == {"relation_name": list(pairs)[-1]}  # the card is no input
    assert page.serialised()["nodes"][0]["widgets_values"] == [list(pairs)[-1]]
    show_pictures(page)  # as a run does
    page.settle()
    assert not card.is_visible()  # its preview shows the pairs
    page.page.evaluate(CHOOSE, first)
    page.settle()
    assert card.locator("img").get_attribute("src") == pairs[first][0]
    page.page.evaluate(CONNECT)
    page.settle()
    assert not card.is_visible()  # another node names the relation: nothing is known of it
    assert complaints(page, of_core) == []


@pytest.mark.parametrize("renderer", ["classic"], indirect=True)
@pytest.mark.parametrize("metadata", [None, {"modelspec.thumbnail": 5, "modelspec.title": ["x"]}])
def test_nothing_is_shown_of_a_file_without_pair_and_words(
    page: ComfyPage, saved: list[Path], of_core: frozenset[str], metadata: object
) -> None:
    """Nor what was shown of the file before it."""
    header = json.dumps({"__metadata__": metadata}).encode()
    strange = saved[0].with_name("strange.safetensors")
    strange.write_bytes(len(header).to_bytes(8, "little") + header)
    try:
        card = page.page.locator(".relation-card")
        page.page.evaluate("() => app.refreshComboInNodes()")
        place(page, "LoadRelation")
        page.page.evaluate(CHOOSE, saved[0].name)
        page.settle()
        assert card.is_visible()
        page.page.evaluate(CHOOSE, strange.name)
        page.settle()
        assert not card.is_visible()
        assert complaints(page, of_core) == []
    finally:
        strange.unlink()
