"""Everything that the shipped workflows name, in the folder of a real server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from light_server import Run, started
from PIL import Image, ImageOps

from comfyui_host.find import PACK, find_comfyui
from comfyui_host.server import ComfyServer, Prompt
from scripts.small_extras import write_extra_models
from scripts.small_models import SmallSizes
from scripts.workflow_to_api import workflow_to_api

TEMPLATES = sorted((PACK / "workflows").glob("*.json"))
NAMES = [path.stem for path in TEMPLATES]
NOTES = ("Note", "MarkdownNote")
SOURCES = {"tall.jpg": (512, 768), "wide.png": (640, 320)}
"""Pictures of the folder of sources, and their sizes."""
SAMPLES = 2
PAIRS = 3
"""Pictures in the folder of pairs: each shows a picture on its left half, and its inverse beside it."""


@contextmanager
def furnished(
    base: Path, sizes: SmallSizes | None = None, threads: int = 0, flags: Sequence[str] = ()
) -> Iterator[ComfyServer]:
    """A server on which every shipped workflow can run: as it is, or with the models of ``LIGHT`` once it is light."""
    comfyui = find_comfyui()
    assert comfyui is not None
    with started(base, sizes or SmallSizes(), threads, flags) as server:
        write_extra_models(base / "models", sizes)
        shutil.copy(comfyui / "input" / "example.png", base / "input")
        picture = Image.open(comfyui / "input" / "example.png")
        (base / "input" / "relation_sources").mkdir()
        for name, size in SOURCES.items():
            picture.resize(size).save(base / "input" / "relation_sources" / name)
        _write_pairs(picture.convert("RGB"), base / "input" / "relation_pairs")
        _write_dataset(base / "input" / "relation_dataset")
        assert Run(server, prompt_of(server, "relation_save")).outcome.status == "success"
        yield server


def _write_pairs(picture: Image.Image, folder: Path) -> None:
    folder.mkdir()
    for number in range(PAIRS):
        part = picture.crop((100 * number, 0, 100 * number + 256, 256))
        pair = Image.new("RGB", (512, 256))
        pair.paste(part)
        pair.paste(ImageOps.invert(part), (256, 0))
        pair.save(folder / f"{number}.png")


def _write_dataset(folder: Path) -> None:
    folder.mkdir()
    for name in ("cat_before.jpg", "cat_after.jpg", "coffee.jpg"):
        shutil.copy(PACK / "pictures" / name, folder)
    sample = {
        "cond1": "cat_before.jpg",
        "cond2": "cat_after.jpg",
        "source": "coffee.jpg",
        "target": "coffee.jpg",
        "text": "Turn the picture into a pencil drawing.",
    }
    (folder / "test.jsonl").write_text("\n".join([json.dumps(sample)] * SAMPLES), encoding="utf-8")


def workflow_of(name: str) -> dict[str, Any]:
    """A shipped workflow as its file has it."""
    return json.loads((PACK / "workflows" / f"{name}.json").read_text(encoding="utf-8"))


def all_nodes(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """Nodes on the canvas and in subgraphs."""
    subgraphs = workflow.get("definitions", {}).get("subgraphs", [])
    return [node for graph in (workflow, *subgraphs) for node in graph["nodes"]]


def prompt_of(server: ComfyServer, name: str) -> Prompt:
    """A shipped workflow in API form, with not a value changed."""
    return workflow_to_api(workflow_of(name), server.get("object_info"))
