"""Every sample of a run-ready dataset file."""

from __future__ import annotations

from .template import OURS, Group, Node, Template, adapted
from .transfer import GROUPS, NODES

DATASET = "relation_dataset/test.jsonl"

START_NOTE = """## Run every sample of a dataset

**1** Build a run-ready dataset in ComfyUI's input folder, as described in the pack's `docs/dataset.md`: \
`relation-adapter dataset build PAIRS ComfyUI/input/relation_dataset`  **2** Press **R** and choose its file in *Load \
Relation Sample*.  **3** Set *index* to 0 and queue as many runs as the file has samples, with the number beside \
**Run**. The index counts up by itself, and after the last sample the queue stops with a message.

For scores, use `relation-adapter evaluate` instead: it resumes after a crash and writes a report.
"""
_SAMPLED = {"before": "sample.before", "after": "sample.after"}
_LEFT_OUT = {*_SAMPLED, "source", "pair_note", "source_note"}

DATASET_RUN = Template(
    "relation_dataset",
    [
        *adapted(
            [node for node in NODES if node.key != "prompt"],
            {
                "start": {"title": "Every sample of a dataset", "widgets": {"text": START_NOTE}},
                "exemplar": {"links": _SAMPLED},
                "source_encode": {"links": {"image": "sample.source"}},
                "comparison": {"links": {**_SAMPLED, "source": "sample.source"}},
                "save": {"widgets": {"filename_prefix": "relation_dataset/result"}},
            },
            without=_LEFT_OUT,
        ),
        Node(
            "prompt",
            "CLIPTextEncode",
            (640, 740, 300, 140),
            "Prompt",
            links={"clip": "clip.CLIP", "text": "sample.instruction"},
        ),
        Node(
            "sample",
            "LoadRelationSample",
            (380, 250, 420, 190),
            widgets={"dataset": DATASET, "index": 0},
            colour=OURS,
        ),
        Node("target", "PreviewImage", (380, 500, 300, 340), "Target", links={"images": "sample.target"}),
    ],
    [
        *(group for group in GROUPS if not _LEFT_OUT & set(group.keys)),
        Group("2  The sample", ("sample", "target", "exemplar")),
        Group("3  Its source and prompt", ("prompt", "guidance", "source_encode")),
    ],
    places=(f"input/{DATASET}",),
)
