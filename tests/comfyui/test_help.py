"""Every node has a help page, and the page tells of every input and output by its name."""

from __future__ import annotations

import re
from typing import Any

from find_comfyui import PACK
from host import Host

PAGES = PACK / "web" / "docs"


def ours(host: Host) -> dict[str, Any]:
    pack = host.node_classes["ApplyRelationAdapter"].__module__.rsplit(".nodes.", 1)[0]
    return {name: node for name, node in host.node_classes.items() if node.__module__.startswith(f"{pack}.")}


def test_every_node_has_a_page_and_no_other_does(host: Host) -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(ours(host))


def test_pages_name_the_inputs_and_outputs_in_order(host: Host) -> None:
    for name, node in ours(host).items():
        page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
        schema = node.define_schema()
        assert page.startswith(f"# {schema.display_name}\n")
        named = [f"`{slot.id}`" for slot in (*schema.inputs, *schema.outputs)]
        assert re.findall(r"^- (`\w+`): .", page, re.MULTILINE) == named, name


def test_the_host_serves_the_pages(host: Host) -> None:
    import nodes

    folders = [folder for name, folder in nodes.EXTENSION_WEB_DIRS.items() if name == "relation_adapter"]
    assert [PAGES.samefile(f"{folder}/docs") for folder in folders] == [True]
