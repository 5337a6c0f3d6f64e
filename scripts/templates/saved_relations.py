"""A relation saved once, and used again without its pictures and without the vision model."""

from __future__ import annotations

from .files import ADAPTER, VISION
from .models_note import models_note
from .template import OURS, Group, Node, Template, adapted, note
from .transfer import MODELS, NODES, PAIR, SAMPLING, SOURCE

PREFIX = "pencil"
SAVED = f"{PREFIX}_00001_.safetensors"

_SAVE_START = f"""## Save a relation as a file

**1** Choose a pair that shows the edit.  **2** Press **Run**: this writes the relation to `output/relations/`, about \
2 MB, with a small picture of the pair.  **3** Use it in the workflow *relation_reuse*. The first file is called \
`{SAVED}`; every run writes another.

This does not need FLUX.1. To share a relation, give the file to others, who put it into `models/relations/`.
"""

_SAVED_NOTE = """The file holds what the adapter saw in the pair, and small pictures of it. It works with FLUX.1-dev \
and its fine-tunes, and with the adapter it was made with.
"""

_REUSE_START = f"""## Use a saved relation

**1** Save a relation with the workflow *relation_save*, or put someone else's into `models/relations/` and press \
**R**.  **2** Choose it in *Load Relation*: the node shows the pair it was made from.  **3** Choose the source, \
describe the edit in a sentence, and press **Run**.

If *Load Relation* is red, there is no `{SAVED}` yet.
"""

_REUSED_NOTE = """**No pictures, no vision model.** A saved relation loads in a moment and is identical, bit for bit, \
to the one that was saved.

**Two at once?** *Blend Relations* averages two relations, or applies both.

**Too strong?** Lower *strength*.
"""

SAVE = Template(
    "relation_save",
    [
        *adapted(
            [node for node in NODES if node.key in (*PAIR.keys, "start", "adapter", "models")],
            {
                "start": {"title": "Save a relation", "widgets": {"text": _SAVE_START}},
                "adapter": {"box": (0, 0, 420, 82)},
                "models": {"box": (0, 132, 420, 478), "widgets": {"text": models_note(ADAPTER, VISION)}},
            },
        ),
        Node(
            "save",
            "SaveRelation",
            (1220, 250, 340, 360),
            widgets={"filename_prefix": PREFIX},
            links={"relation": "exemplar.relation"},
            colour=OURS,
        ),
        note("saved_note", (1220, 650, 340, 80), "The file", _SAVED_NOTE),
    ],
    [
        Group("1  Models", ("adapter", "models")),
        PAIR,
        Group("3  The relation", ("save", "saved_note")),
    ],
)

REUSE = Template(
    "relation_reuse",
    [
        *adapted(
            NODES,
            {
                "start": {"title": "Use a saved relation", "widgets": {"text": _REUSE_START}},
                "apply": {"links": {"relation": "relation.relation"}},
            },
            without=(*PAIR.keys, "comparison", "show"),
        ),
        Node(
            "relation",
            "LoadRelation",
            (380, 250, 500, 380),
            widgets={"relation_name": SAVED},
            links={"relation_adapter": "adapter.relation_adapter"},
            colour=OURS,
        ),
        note("reused_note", (900, 250, 260, 360), "What a saved relation is", _REUSED_NOTE),
    ],
    [
        MODELS,
        Group("2  The relation", ("relation", "reused_note")),
        SOURCE,
        SAMPLING,
        Group("5  The result", ("decode", "save")),
    ],
    places=(f"output/relations/{SAVED}",),
)
