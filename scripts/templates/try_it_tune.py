"""The small model learns an edit that it never saw, with nothing to fetch."""

from __future__ import annotations

from dataclasses import replace

from .template import OURS, Node, Template, adapted
from .try_it import TRY_IT
from .tune import first_of

START_NOTE = """## Learn an edit that the model never saw, without a download

Press **Run**. *Pairs to learn from* paints four pairs. Nothing of the small model was trained on their edit, sepia, \
and a pair alone seldom brings it about: see for yourself in *try_it_small*. *Tune Relation* learns it in about a \
minute, without a graphics card, and the rest of the workflow applies it to a landscape that it did not learn from.

**Another landscape?** Press **Run** again: *source_scene* counts up in *A new landscape*, and what was learned is \
used again.

**Another edit?** Choose one that ends in *unseen* in *Pairs to learn from*, and the same one in *A new landscape*, \
which paints the target.

For your own pictures, use *tune_relation* and FLUX.1-dev.
"""

EDIT = "sepia_unseen"
_LEARNED = "tune.relation"
_NODES = adapted(
    TRY_IT.nodes,
    {
        "start": {"title": "Learn an edit", "widgets": {"text": START_NOTE}},
        "example": {
            "title": "Pairs to learn from",
            "widgets": {"edit": EDIT, "source_scene.control": "fixed", "pairs": 4},
        },
        "source_encode": {"box": (1010, 60, 290, 122), "links": {"image": "scene.source"}},
        "apply": {"box": (1010, 150, 290, 194), "links": {"relation": _LEARNED}},
        "guider": {"box": (1010, 341, 290, 46)},
        "scheduler": {"box": (1010, 434, 290, 82)},
        "comparison": {
            "links": {"before": "first_before.IMAGE", "after": "first_after.IMAGE", "source": "scene.source"},
        },
        "enlarge_target": {"links": {"image": "scene.target"}},
        "save": {"widgets": {"filename_prefix": "try_it_small_tune/result"}},
    },
    without=("exemplar",),
)

TRY_IT_TUNE = Template(
    "try_it_small_tune",
    [
        *_NODES,
        Node(
            "scene",
            "RelationExample",
            (1010, 0, 290, 182),
            "A new landscape",
            {"edit": EDIT, "source_scene": 100},
            colour=OURS,
        ),
        Node(
            "tune",
            "TuneRelation",
            (660, 232, 290, 282),
            widgets={"steps": 200, "learning_rate": 0.15, "seed": 0, "long_side": 0, "batch_size": 8},
            links={
                "model": "small.model",
                "relation_adapter": "small.relation_adapter",
                "vae": "small.vae",
                "conditioning": "prompt.conditioning",
                "before": "example.before",
                "after": "example.after",
            },
            colour=OURS,
        ),
        Node("curve", "PreviewImage", (660, 560, 290, 220), "Loss", links={"images": "tune.curve"}),
        first_of("before", (1700, 60, 270, 82), "example.before"),
        first_of("after", (1700, 80, 270, 82), "example.after"),
    ],
    [
        replace(TRY_IT.groups[0]),
        replace(TRY_IT.groups[1], title="2  Learning from four pairs", keys=("example", "tune", "curve")),
        replace(
            TRY_IT.groups[2],
            title="3  A new landscape, and sampling",
            keys=("scene", "source_encode", *TRY_IT.groups[2].keys),
        ),
        replace(TRY_IT.groups[3], keys=(*TRY_IT.groups[3].keys, "first_before", "first_after")),
    ],
)
