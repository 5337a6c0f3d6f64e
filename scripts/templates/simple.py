"""Relation transfer as one node, to be read at a glance. The other workflows are for those who build on it."""

from __future__ import annotations

from ..blueprint import NAME
from .files import STANDARD
from .models_note import models_note
from .template import OURS, Form, Group, Line, Node, Template, adapted, note
from .transfer import NODES

START_NOTE = """## Show an edit on one pair of pictures, get it on another picture

**1** Get the models: the note below lists them.

**2** Choose a pair: a picture before an edit into *Before*, and the same picture after it into *After*.

**3** Choose the picture to edit in *Source*, and describe the edit in *Prompt*.

**4** Press **Run**. The comparison shows A : A' :: B : B'.

This pack's folder `pictures` has a pair and a source to try.

**Too weak?** Raise *strength* to 1.2 or 1.5. **Too much of the pair's content?** Lower it to 0.8.

**What is inside?** The square at the top right of *Relation Transfer* opens it. The workflow *relation_transfer* has \
the same nodes side by side.
"""

_LINKS = {"before": "before.IMAGE", "after": "after.IMAGE", "source": "source.IMAGE"}

SIMPLE = Template(
    "relation_transfer_simple",
    [
        note("start", (0, 0, 420, 120), "Relation transfer", START_NOTE),
        note("models", (0, 400, 420, 400), "Models", models_note(*STANDARD, chosen=f"in *{NAME}*", downloaded=NAME)),
        *adapted(
            [node for node in NODES if node.key in ("before", "after", "source", "comparison", "save", "show")],
            {
                "before": {"box": (500, 0, 320, 310)},
                "after": {"box": (500, 400, 320, 310)},
                "source": {"box": (500, 800, 320, 310)},
                "comparison": {"box": (900, 800, 420, 86), "links": {**_LINKS, "result": "transfer.result"}},
                "save": {"box": (1400, 0, 520, 520), "links": {"images": "transfer.result"}},
                "show": {"box": (1400, 600, 520, 420)},
            },
        ),
        Node(
            "prompt",
            "PrimitiveStringMultiline",
            (500, 1200, 320, 110),
            "Prompt",
            {"value": "Turn the picture into a pencil drawing."},
        ),
        Node("transfer", NAME, (900, 0, 420, 300), links={**_LINKS, "prompt": "prompt.STRING"}, colour=OURS),
    ],
    [
        Group("1  The pair", ("before", "after")),
        Group("2  The source and the prompt", ("source", "prompt")),
        Group("3  The edit", ("transfer", "comparison")),
        Group("4  The result", ("save", "show")),
    ],
    form=Form(
        (
            Line("before", "image", "Before"),
            Line("after", "image", "After"),
            Line("source", "image", "Source"),
            Line("prompt", "value", "Prompt"),
            Line("transfer", "strength"),
            Line("transfer", "seed"),
        ),
        ("save", "show"),
    ),
)
