"""Writes the files that follow from the nodes' schemas: ``python -m scripts.node_files COMFYUI [--check]``.

``locales/en/nodeDefs.json`` is written as a whole. A node that has no help page, or no line in
``tests/comfyui/required_inputs.json``, gets one to begin with; what is there already is left alone. Keys of other
languages that are missing or left over are listed, since their texts are a translator's. With ``--check`` nothing is
written, and the command fails where there is something to do.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comfyui_host.find import PACK
from comfyui_host.host import Host, PackNotLoadedError
from comfyui_host.object_info import info_of, inputs_of, our_nodes
from relation_core.weights.atomic import write_whole

logger = logging.getLogger(__name__)

LOCALES, PAGES = Path("locales"), Path("web/docs")
REQUIRED = Path("tests/comfyui/required_inputs.json")
Entries = dict[str, dict[str, Any]]


def main(arguments: list[str], root: Path = PACK) -> int:
    """Write the files, or check them.

    Args:
        arguments: of the command line.
        root: the folder that has the files.
    """
    parser = argparse.ArgumentParser(prog="python -m scripts.node_files", description=__doc__)
    parser.add_argument("comfyui", type=Path, help="the folder of a ComfyUI")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as folder:
        try:
            host = Host(options.comfyui.expanduser().resolve(), Path(folder) / "base")
        except PackNotLoadedError as error:
            logger.error("%s", error)
            return 1
        return update(host, root, options.check)


def update(host: Host, root: Path, check: bool) -> int:
    """Write the files of :func:`wanted` where they differ, and list what translators have to do.

    Returns:
        1 if there is something left to do, else 0.
    """
    stale = [
        (path, text)
        for path, text in wanted(host, root).items()
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        if check:
            logger.error("%s is out of date: run python -m scripts.node_files COMFYUI.", path.as_posix())
        else:
            write_whole(root / path, text.encode())
            logger.info("%s is written.", path.as_posix())
    english, undone = english_texts(host), check and bool(stale)
    for path in sorted(root.glob(f"{LOCALES}/*/nodeDefs.json")):
        for complaint in differences(english, json.loads(path.read_text(encoding="utf-8"))):
            undone = True
            logger.error("%s: %s", path.relative_to(root).as_posix(), complaint)
    return 1 if undone else 0


def wanted(host: Host, root: Path) -> dict[Path, str]:
    """What the files hold that follow from the schemas, by their paths in the pack."""
    english = english_texts(host)
    required: dict[str, list[str]] = json.loads((root / REQUIRED).read_text(encoding="utf-8"))
    for name in our_nodes(host):
        required.setdefault(name, list(info_of(host, name)["input"].get("required", {})))
    files = {LOCALES / "en" / "nodeDefs.json": as_json(english), REQUIRED: as_json(required)}
    chinese: Entries = json.loads((root / LOCALES / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
    for name, entry in english.items():
        page, translated = PAGES / f"{name}.md", PAGES / name / "zh.md"
        if not (root / page).is_file():
            files[page] = english_page(name, entry)
        if not (root / translated).is_file() and not list(differences({name: entry}, {name: chinese.get(name, {})})):
            files[translated] = chinese_page(name, entry, chinese[name])
    return files


def english_texts(host: Host) -> Entries:
    """The entries of ``nodeDefs.json``: every text that the page shows of the nodes."""
    entries: Entries = {}
    for name in our_nodes(host):
        info = info_of(host, name)
        inputs = {key: _input_texts(key, details) for key, (_, details, _) in inputs_of(info).items()}
        entries[name] = {"display_name": info["display_name"], "description": info["description"], "inputs": inputs}
        if outputs := list(zip(info["output_name"], info["output_tooltips"] or (), strict=True)):
            entries[name]["outputs"] = {
                str(index): {"name": output, "tooltip": tooltip} for index, (output, tooltip) in enumerate(outputs)
            }
    return entries


def _input_texts(key: str, details: dict[str, Any]) -> dict[str, Any]:
    texts = {"name": key, "tooltip": details["tooltip"]}
    choices = [str(choice) for choice in details.get("options", ())]
    if all("." in choice for choice in choices):  # files, or no choice yet
        return texts
    return {**texts, "options": {choice: choice for choice in choices}}


def differences(english: Entries, other: Entries) -> Iterator[str]:
    """Say which texts another language lacks, and which it has that no node shows."""
    expected, found = dict(texts(english)), dict(texts(other))
    for place in sorted(expected.keys() - found.keys()):
        yield f"{'.'.join(place)} is missing; in English: {expected[place]}"
    for place in sorted(found.keys() - expected.keys()):
        yield f"{'.'.join(place)} is left over; no node has it."


def texts(entries: Entries) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text with its place."""
    for key, value in entries.items():
        if isinstance(value, str):
            yield (key,), value
        else:
            for place, text in texts(value):
                yield (key, *place), text


def english_page(name: str, entry: dict[str, Any]) -> str:
    """A help page to begin with: a node's texts in the form of the pages."""
    slots = [f"- `{slot['name']}`: {slot['tooltip']}" for slot in entry["inputs"].values()]
    outputs = [f"- `{slot['name']}`: {slot['tooltip']}" for slot in entry.get("outputs", {}).values()]
    return _page(name, entry, ("Inputs", slots or ["None."]), ("Outputs", outputs), ("Good to know", []))


def chinese_page(name: str, english: dict[str, Any], entry: dict[str, Any]) -> str:
    """The same in Chinese, where every slot goes by its English name and its translated one."""

    def line(key: str, slot: dict[str, str]) -> str:
        return f"- `{key}`\uff08{slot['name']}\uff09\uff1a{slot['tooltip']}"

    slots = [line(key, slot) for key, slot in entry["inputs"].items()]
    names = [slot["name"] for slot in english.get("outputs", {}).values()]
    outputs = [line(key, slot) for key, slot in zip(names, entry.get("outputs", {}).values(), strict=True)]
    return _page(name, entry, ("输入", slots or ["无。"]), ("输出", outputs), ("使用提示", []))


def _page(name: str, entry: dict[str, Any], *parts: tuple[str, list[str]]) -> str:
    title = entry["display_name"]
    blocks = [f"# {title}", entry["description"], f"![{title}](images/{name}.jpg)"]
    for heading, lines in parts:
        if lines:
            blocks += [f"### {heading}", "\n".join(lines)]
    return "\n\n".join(blocks) + "\n"


def as_json(value: object) -> str:
    """JSON as the files have it."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
