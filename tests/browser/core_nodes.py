"""What the page itself complains about: everything it says of a workflow that holds ComfyUI's own nodes alone."""

from __future__ import annotations

import json
import re

from comfyui_host.page import ComfyPage

_found: dict[tuple[str, str], frozenset[str]] = {}
"""By address and language: a run of the tests asks the page once."""


def shape(complaint: str) -> str:
    """A complaint without what differs from one graph to another: numbers, addresses and folders."""
    short = re.sub(r"\(?\b(?:https?|blob):\S+?([^/?\s)]*)(?:\?[^\s)]*)?(?:[\s)]|$)", r"(\1)", complaint)
    return re.sub(r"\d+", "#", short)


def core_complaints(page: ComfyPage) -> frozenset[str]:
    """Shapes of what the same page says while it shows, runs, saves and explains core nodes."""
    language = page.page.evaluate("() => app.extensionManager.setting.get('Comfy.Locale')")
    address = page.page.url.split("/")[2]
    if (address, language) not in _found:
        _found[address, language] = frozenset(map(shape, _listen(page, address)))
    return _found[address, language]


def _listen(page: ComfyPage, address: str) -> list[str]:
    browser = page.page.context.browser
    assert browser is not None
    other = ComfyPage(browser.new_page(viewport={"width": 1600, "height": 1000}), address)
    other.page.evaluate(_BUILD)
    other.settle()
    other.load(json.loads(json.dumps(other.serialised())))
    other.page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    other.prompt()
    other.page.get_by_test_id("queue-button").click()
    other.page.wait_for_function(
        "() => app.graph.nodes.some(node => node.type === 'PreviewImage' && node.imgs?.length)"
    )
    other.page.evaluate("() => app.canvas.selectNode(app.graph.nodes.find(node => node.type === 'ImageScaleBy'))")
    other.settle()
    other.page.get_by_test_id("info-button").click()
    other.settle()
    other.page.evaluate("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    other.settle()
    other.page.close()
    return other.complaints


_BUILD = """() => {
  app.graph.clear();
  const add = (kind, left) => {
    const node = LiteGraph.createNode(kind);
    app.graph.add(node);
    node.pos = [left, 300];
    return node;
  };
  const [load, scale, show] = [add('LoadImage', 0), add('ImageScaleBy', 400), add('PreviewImage', 800)];
  load.widgets.find(widget => widget.name === 'image').value = 'example.png';
  load.connect(0, scale, 0);
  scale.connect(0, show, 0);
  add('MarkdownNote', 1200);
  add('KSampler', 1600);
  app.graph.remove(app.graph.nodes.find(node => node.type === 'KSampler'));
}"""
