"""An edit learned from a folder of pairs, saved, and applied at once to another picture."""

from __future__ import annotations

from .template import OURS, Group, Node, Template, adapted, note
from .transfer import MODELS, NODES, RESULT, SAMPLING, SOURCE

PAIRS = "relation_pairs"

START_NOTE = f"""## Learn an edit from a few pairs of your own

**1** Put your pairs into `input/{PAIRS}/`, four or more, each as one picture with before on the left and after on the \
right. Press **R** and choose the folder in *Pairs*.  **2** Choose a picture to edit, and describe the edit in a \
sentence.  **3** Press **Run**: *Tune Relation* learns the edit, saves it to `output/relations/`, and the rest of the \
workflow applies it to the source.

Run again with another source, and nothing is learned anew. Later, the workflow *relation_reuse* loads the relation.
"""

PAIR_NOTE = """**One picture a pair.** Before is the left half, after the right half, and all pictures have one size. \
*Image Stitch* puts two pictures side by side.

**Two files a pair?** Connect *Batch Images* nodes to *before* and *after*, with the pictures in the same order. Do \
not load two folders: ComfyUI reads the files of a folder in no fixed order.

**Changed pairs?** ComfyUI does not look twice into a folder that it has read. Put the pictures into a new folder, or \
restart it.
"""

LEARN_NOTE = """**How long?** A sample costs about as much as three sampling steps: 400 steps of 4 samples take as \
long as 200 pictures of 24 steps.

**Better?** Raise *batch_size* to 16, or add pairs.

**Faster?** Try 100 steps first. The node shows the first pair's picture while it learns.
"""

_BATCHED = {"before": "batch_before.IMAGE", "after": "batch_after.IMAGE"}
_FIRST = {"before": "first_before.IMAGE", "after": "first_after.IMAGE"}


def _batch(side: str, top: int) -> Node:
    return Node(
        f"batch_{side}",
        "RebatchImages",
        (640, top, 260, 82),
        f"All pictures {side}",
        {"batch_size": 4096},
        {"images": f"split.{side}"},
    )


def first_of(side: str, box: tuple[int, int, int, int], images: str) -> Node:
    """The first picture of a batch."""
    widgets = {"batch_index": 0, "length": 1}
    return Node(f"first_{side}", "ImageFromBatch", box, f"First picture {side}", widgets, {"image": images})


TUNE = Template(
    "tune_relation",
    [
        *adapted(
            NODES,
            {
                "start": {"title": "Learn an edit", "widgets": {"text": START_NOTE}},
                "pair_note": {"box": (380, 400, 240, 200), "title": "The pairs", "widgets": {"text": PAIR_NOTE}},
                "apply": {"links": {"relation": "tune.relation"}},
                "comparison": {"links": _FIRST},
                "save": {"widgets": {"filename_prefix": "tune_relation/result"}},
            },
            without=("before", "after", "exemplar"),
        ),
        Node("pairs", "LoadImageDataSetFromFolder", (380, 250, 300, 58), "Pairs", {"folder": PAIRS}),
        Node("split", "SplitImagePair", (640, 250, 260, 46), links={"image": "pairs.images"}, colour=OURS),
        _batch("before", 300),
        _batch("after", 400),
        Node(
            "tune",
            "TuneRelation",
            (1200, 0, 320, 282),
            widgets={"steps": 400, "learning_rate": 0.15, "seed": 0, "long_side": 512, "batch_size": 4},
            links={
                "model": "lora.MODEL",
                "relation_adapter": "adapter.relation_adapter",
                "vae": "vae.VAE",
                "conditioning": "guidance.CONDITIONING",
                **_BATCHED,
            },
            colour=OURS,
        ),
        note("learn_note", (1200, 300, 320, 180), "Time", LEARN_NOTE),
        Node("curve", "PreviewImage", (1540, 0, 320, 260), "Loss", links={"images": "tune.curve"}),
        Node(
            "keep",
            "SaveRelation",
            (1540, 300, 320, 340),
            widgets={"filename_prefix": "my_edit"},
            links={"relation": "tune.relation"},
            colour=OURS,
        ),
        first_of("before", (2110, 60, 270, 82), "batch_before.IMAGE"),
        first_of("after", (2110, 80, 270, 82), "batch_after.IMAGE"),
    ],
    [
        MODELS,
        Group("2  The pairs", ("pairs", "split", "batch_before", "batch_after", "pair_note")),
        SOURCE,
        Group("4  Learning", ("tune", "learn_note", "curve", "keep")),
        Group("5  Sampling", SAMPLING.keys),
        Group("6  The result", (*RESULT.keys, "first_before", "first_after")),
    ],
    places=(f"input/{PAIRS}/example.png",),
)
