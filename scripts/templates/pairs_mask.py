"""Two pairs that show the same edit, and a mask that says where the source gets it."""

from __future__ import annotations

from .template import OURS, Group, Node, Template, adapted
from .transfer import MODELS, NODES, SAMPLING

START_NOTE = """## Two pairs, and only where you paint

**1** Choose two pairs that show the same edit on different pictures: together they show the edit more clearly than \
one. *weight* sets how much each counts.  **2** Choose the source. Right-click it, choose **Open in Mask Editor**, \
paint where the edit should appear, and save.  **3** Press **Run**: the relation acts where you painted, and the rest \
is restored from the source.

Without a painted mask, the result is the source itself. To edit the whole picture, disconnect *mask* from *Apply \
RelationAdapter* and bypass *Put back what was not painted* (Ctrl+B). *Grow Mask* enlarges the painted area a little, \
so that no edge of the old look remains.
"""

PAIR_NOTE = """**More pairs?** Add another *Encode Relation Exemplars* and connect the previous one's relation to it.
"""

_SECOND = {"before_2": "Before, second pair", "after_2": "After, second pair"}

_NODES = [
    *adapted(
        NODES,
        {
            "start": {"title": "Several pairs and a mask", "widgets": {"text": START_NOTE}},
            "before": {"title": "Before, first pair"},
            "after": {"title": "After, first pair"},
            "pair_note": {"box": (900, 800, 260, 162), "title": "More pairs", "widgets": {"text": PAIR_NOTE}},
            "source": {"box": (380, 1112, 300, 340)},
            "prompt": {"box": (640, 1112, 300, 140)},
            "guidance": {"box": (640, 1322, 300, 90)},
            "source_encode": {"box": (900, 1112, 260, 122)},
            "apply": {"links": {"relation": "exemplar_2.relation", "mask": "grow.MASK"}},
            "comparison": {"box": (2110, 300, 270, 86), "links": {"result": "paste.IMAGE"}},
            "save": {"links": {"images": "paste.IMAGE"}},
        },
        without=("source_note",),
    ),
    *(
        Node(key, "LoadImage", (left, 700, 300, 340), title, {"image": "example.png"})
        for left, (key, title) in zip((380, 640), _SECOND.items(), strict=True)
    ),
    Node(
        "exemplar_2",
        "RelationExemplarEncode",
        (900, 700, 260, 162),
        links={
            "relation_adapter": "adapter.relation_adapter",
            "before": "before_2.IMAGE",
            "after": "after_2.IMAGE",
            "relation": "exemplar.relation",
        },
        colour=OURS,
    ),
    Node("grow", "GrowMask", (900, 1284, 260, 80), widgets={"expand": 8}, links={"mask": "source.MASK"}),
    Node(
        "paste",
        "ImageCompositeMasked",
        (2110, 100, 270, 150),
        "Put back what was not painted",
        {"resize_source": True},
        {"destination": "source.IMAGE", "source": "decode.IMAGE", "mask": "grow.MASK"},
    ),
]

PAIRS_MASK = Template(
    "relation_pairs_mask",
    _NODES,
    [
        MODELS,
        Group("2  The pairs", ("before", "after", "exemplar", "pair_note", *_SECOND, "exemplar_2")),
        Group(
            "3  The source, its mask and the prompt",
            ("source", "prompt", "guidance", "source_encode", "grow"),
        ),
        SAMPLING,
        Group("5  The result", ("decode", "paste", "comparison", "save", "show")),
    ],
)
