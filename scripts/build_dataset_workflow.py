"""Builds the workflow that runs a whole dataset file: ``python -m scripts.build_dataset_workflow COMFYUI``.

It is the workflow of :mod:`scripts.build_workflows`, with its pictures and its prompt from *Load Relation Sample*.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw

from .build_workflows import FRAME, GROUPS, NODES, OURS
from .comfyui_page import open_page
from .comfyui_server import PACK, ComfyServer
from .graph_layout import Group, Node, build
from .small_models import write_models

WORKFLOW = PACK / "workflows" / "relation_dataset.json"
CARD, EDGE = (24, 26, 31), (88, 150, 170)
DATASET = "relation_dataset/test.jsonl"

START_NOTE = """## Run every sample of a dataset

**1** Build a run-ready dataset into ComfyUI's input folder, as the pack's `docs/dataset.md` tells: \
`python -m relation_core dataset build PAIRS ComfyUI/input/relation_dataset`  **2** Press **R** and choose its file in \
*Load Relation Sample*.  **3** Set *index* to 0, and queue as many runs as the file has samples, with the number \
beside **Run**: the index counts up by itself, and after the last sample the queue ends with a message.

For scores, use `python -m relation_core evaluate` instead: it goes on after a crash, and makes a report.
"""
REPLACED = {"before": "sample.before", "after": "sample.after", "source": "sample.source"}
LEFT_OUT = {*REPLACED, "pair_note", "source_note"}

SAMPLE = [
    Node(
        "sample",
        "LoadRelationSample",
        (380, 250, 300, 190),
        widgets={"dataset": DATASET, "index": 0},
        colour=OURS,
    ),
    Node("target", "PreviewImage", (380, 740, 280, 390), "Target", links={"images": "sample.target"}),
]


def _adapted(node: Node) -> Node:
    links = {name: REPLACED.get(source.split(".")[0], source) for name, source in node.links.items()}
    if node.key == "prompt":
        return replace(node, widgets={}, links={**links, "text": "sample.instruction"})
    widgets = {"start": {"text": START_NOTE}, "save": {"filename_prefix": "relation_dataset/result"}}
    titles = {"start": "Every sample of a dataset"}
    return replace(
        node, widgets=widgets.get(node.key, node.widgets), title=titles.get(node.key, node.title), links=links
    )


def dataset_graph() -> tuple[list[Node], list[Group]]:
    """Give the nodes and frames of the workflow."""
    nodes = [_adapted(node) for node in NODES if node.key not in LEFT_OUT] + SAMPLE
    groups = [group for group in GROUPS if not LEFT_OUT & set(group.keys)]
    groups.append(Group("2  The sample", ("sample", "exemplar"), FRAME))
    groups.append(Group("3  Its target, source and prompt", ("target", "prompt", "guidance", "source_encode"), FRAME))
    return nodes, groups


def thumbnail() -> Image.Image:
    """Draw a stack of the other workflow's thumbnail."""
    card = Image.open(WORKFLOW.with_name("relation_transfer.jpg")).resize((520, 520), Image.Resampling.LANCZOS)
    stack = Image.new("RGB", (640, 640), CARD)
    draw = ImageDraw.Draw(stack)
    for left, top in ((96, 24), (60, 60), (24, 96)):
        draw.rounded_rectangle((left - 3, top - 3, left + 522, top + 522), 20, fill=CARD, outline=EDGE, width=3)
    mask = Image.new("L", card.size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 519, 519), 18, fill=255)
    stack.paste(card, (24, 96), mask)
    return stack


def main() -> None:
    """Build the workflow."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        write_models(base / "models")
        place = base / "input" / DATASET
        place.parent.mkdir(parents=True)
        place.write_text("", encoding="utf-8")  # so that the page lists it
        with ComfyServer(Path(sys.argv[1]), base) as server, open_page(server.address) as page:
            workflow = build(page, "relation_dataset", *dataset_graph())
            page.screenshot(PACK / "build" / "workflows" / "relation_dataset.png")
    WORKFLOW.write_text(json.dumps(workflow, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    thumbnail().save(WORKFLOW.with_suffix(".jpg"), quality=88)


if __name__ == "__main__":
    main()
