"""Every node has a help page in English and Chinese that tells of all its inputs, outputs and errors by their names."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from comfyui_host.find import PACK
from comfyui_host.host import Host
from comfyui_host.object_info import info_of, inputs_of, our_nodes

PAGES = PACK / "web" / "docs"
PICTURE_BYTES = 100_000

ENGLISH = re.compile(r"^- (`\w+`): .", re.MULTILINE)
CHINESE = re.compile(r"^- `(\w+)`\uff08(.+?)\uff09\uff1a.", re.MULTILINE)  # the name in wide parentheses, a wide colon
ERROR = re.compile(r"^- `(\S+ [^`]+)`(?:: |\uff1a).", re.MULTILINE)
PICTURE = re.compile(r"!\[(.+)\]\((.+)\)")
LANGUAGES = ("en", "zh")
TROUBLE = {"en": "If something goes wrong", "zh": "\u51fa\u9519\u65f6\u600e\u4e48\u529e"}
"""Heading of the part that quotes errors."""


def page_file(name: str, language: str) -> Path:
    """Where the page looks: a translation first, then the node's name alone."""
    return PAGES / f"{name}.md" if language == "en" else PAGES / name / f"{language}.md"


def pages(host: Host, language: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, page and description of every node."""
    for name in sorted(our_nodes(host)):
        yield name, page_file(name, language).read_text(encoding="utf-8"), info_of(host, name)


def outline(page: str) -> list[int]:
    """How many list items stand under each heading."""
    return [len(re.findall("^- ", part, re.MULTILINE)) for part in re.split("^#+ ", page, flags=re.MULTILINE)[1:]]


def messages() -> list[str]:
    """Every text in the pack's code, with an ellipsis for what is put in later."""
    found = []
    for folder in ("nodes", "relation_core"):
        for path in (PACK / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                parts = node.values if isinstance(node, ast.JoinedStr) else [node]
                if all(isinstance(part, ast.Constant | ast.FormattedValue) for part in parts):
                    found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts))
    return found


def quoted(page: str, language: str) -> list[str]:
    """The errors that a page quotes: every item of the part on errors, and nowhere else."""
    before, _, part = page.partition(f"### {TROUBLE[language]}\n")
    errors = ERROR.findall(part)
    assert len(errors) == len(re.findall("^- ", part, re.MULTILINE)), part
    assert not ERROR.search(before) and "\n### " not in part, page
    return errors


def test_every_node_has_its_pages_and_no_other_does(host: Host) -> None:
    pages = {str(path.relative_to(PAGES)) for path in PAGES.rglob("*.md")}
    assert pages == {
        str(page_file(name, language).relative_to(PAGES)) for name in our_nodes(host) for language in LANGUAGES
    }


def test_english_pages_name_the_inputs_and_outputs_in_order(host: Host) -> None:
    for name, page, info in pages(host, "en"):
        assert page.startswith(f"# {info['display_name']}\n")
        assert ENGLISH.findall(page) == [f"`{slot}`" for slot in (*inputs_of(info), *info["output_name"])], name


def test_chinese_pages_name_them_as_the_translated_page_does(host: Host) -> None:
    translations = json.loads((PACK / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
    for name, page, info in pages(host, "zh"):
        entry = translations[name]
        assert page.startswith(f"# {entry['display_name']}\n")
        inputs = [(key, entry["inputs"][key]["name"]) for key in inputs_of(info)]
        outputs = [(key, entry["outputs"][str(index)]["name"]) for index, key in enumerate(info["output_name"])]
        assert CHINESE.findall(page) == [*inputs, *outputs], name
        for other in our_nodes(host):
            assert info_of(host, other)["display_name"] not in page, name


def test_both_pages_have_the_same_parts(host: Host) -> None:
    for (name, english, info), (_, chinese, _) in zip(pages(host, "en"), pages(host, "zh"), strict=True):
        assert outline(english) == outline(chinese), name
        heading, inputs, *rest = outline(english)
        assert (heading, inputs) == (0, len(inputs_of(info))), name
        assert not info["output"] or rest[0] == len(info["output"]), name
        assert len(rest) > bool(info["output"]), f"{name}: nothing but inputs and outputs"


def test_both_pages_tell_the_same_errors_and_the_code_has_them(host: Host) -> None:
    code = messages()
    for (name, english, _), (_, chinese, _) in zip(pages(host, "en"), pages(host, "zh"), strict=True):
        errors, said = quoted(english, "en"), quoted(chinese, "zh")
        assert errors == said, name
        for error in errors:
            pattern = re.compile(".+".join(re.escape(part) for part in error.strip("… ").split("…")))
            assert any(pattern.search(message) for message in code), f"{name}: no error says '{error}'"


def test_every_page_has_a_picture_that_exists(host: Host) -> None:
    shown = set()
    for language in LANGUAGES:
        for name, page, _ in pages(host, language):
            found = PICTURE.findall(page)
            assert [path for _, path in found] == [f"images/{name}.jpg"], name  # relative to web/docs in any language
            shown |= {path for _, path in found}
    assert shown == {str(path.relative_to(PAGES)) for path in PAGES.rglob("*.*") if path.suffix != ".md"}
    for path in shown:
        assert (PAGES / path).stat().st_size < PICTURE_BYTES
        with Image.open(PAGES / path) as picture:
            assert picture.format == "JPEG" and picture.width == 800


def test_the_host_serves_the_pages(host: Host) -> None:
    import nodes

    folders = [folder for name, folder in nodes.EXTENSION_WEB_DIRS.items() if name == "relation_adapter"]
    assert [PAGES.samefile(f"{folder}/docs") for folder in folders] == [True]
