"""The workflow to begin with: the small model that comes with the pack, and nothing to fetch."""

from __future__ import annotations

from typing import Any

from .template import OURS, Form, Group, Line, Node, Template, adapted
from .transfer import NODES

START_NOTE = """## Try it now, without a download

Press **Run**. *Example Pictures* paints a pair of landscapes that shows an edit, and another landscape. The small \
model, which comes with this pack, makes the same edit of that one.

**Another edit?** Choose one in *Example Pictures*. **Another landscape?** Press **Run** again: *source_scene* \
counts up.

The model knows painted landscapes of 128x128 pixels, was trained without text and needs only 4 steps. \
For your own pictures, use *relation_transfer* and FLUX.1-dev.
"""


def _enlarged(key: str, box: tuple[int, int, int, int], image: str) -> Node:
    widgets = {"upscale_method": "lanczos", "scale_by": 3.0}
    return Node(key, "ImageScaleBy", box, "Enlarge, to look at", widgets, {"image": image})


_EXAMPLE = {"before": "example.before", "after": "example.after"}
_CHANGES: dict[str, dict[str, Any]] = {
    "start": {
        "box": (0, 0, 360, 364),
        "title": "The same edit, on another picture",
        "widgets": {"text": START_NOTE},
    },
    "exemplar": {"box": (660, 232, 290, 142), "links": {"relation_adapter": "small.relation_adapter", **_EXAMPLE}},
    "source_encode": {
        "box": (660, 424, 290, 122),
        "widgets": {"long_side": 0},
        "links": {"conditioning": "prompt.conditioning", "vae": "small.vae", "image": "example.source"},
    },
    "apply": {"box": (1010, 0, 290, 194), "links": {"model": "small.model"}},
    "guider": {"box": (1010, 241, 290, 46)},
    "scheduler": {"box": (1010, 334, 290, 82), "widgets": {"steps": 4}},
    "noise": {"box": (1320, 0, 270, 82)},
    "euler": {"box": (1320, 122, 260, 58)},
    "sampler": {"box": (1320, 220, 260, 106)},
    "decode": {"box": (1320, 366, 270, 46), "links": {"vae": "small.vae"}},
    "comparison": {
        "box": (1700, 120, 270, 86),
        "links": {**_EXAMPLE, "source": "example.source", "result": "enlarge.IMAGE"},
    },
    "save": {
        "box": (2050, 0, 380, 340),
        "widgets": {"filename_prefix": "try_it_small/result"},
        "links": {"images": "enlarge.IMAGE"},
    },
    "show": {"box": (2050, 400, 380, 320)},
}

TRY_IT = Template(
    "try_it_small",
    [
        *adapted([node for node in NODES if node.key in _CHANGES], _CHANGES),
        Node("small", "LoadSmallRelationModel", (0, 464, 360, 82), colour=OURS),
        Node("prompt", "RelationEmptyPrompt", (0, 600, 360, 82), links={"model": "small.model"}, colour=OURS),
        Node("example", "RelationExample", (660, 0, 290, 182), widgets={"edit": "sky_orange"}, colour=OURS),
        _enlarged("enlarge", (1700, 0, 270, 82), "decode.IMAGE"),
        _enlarged("enlarge_target", (1700, 240, 270, 82), "example.target"),
        Node("target", "PreviewImage", (1700, 340, 270, 300), "Target", links={"images": "enlarge_target.IMAGE"}),
    ],
    [
        Group("1  The small model", ("small", "prompt")),
        Group("2  The pair and the source", ("example", "exemplar", "source_encode")),
        Group(
            "3  Sampling",
            ("apply", "guider", "scheduler", "noise", "euler", "sampler", "decode"),
        ),
        Group(
            "4  The result, beside what it should be",
            ("enlarge", "comparison", "show", "save", "enlarge_target", "target"),
        ),
    ],
    form=Form(
        (
            Line("example", "edit"),
            Line("example", "exemplar_scene"),
            Line("example", "source_scene"),
            Line("apply", "strength"),
        ),
        ("save", "show"),
    ),
)
