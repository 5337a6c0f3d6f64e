"""A ControlNet holds the source's outlines while the relation changes its look."""

from __future__ import annotations

from dataclasses import replace

from .files import CANNY, STANDARD
from .models_note import models_note
from .template import Group, Node, Template, adapted, note
from .transfer import GROUPS, NODES, RESULT, SAMPLING

START_NOTE = """## Keep the outlines with a ControlNet

If an edit bends shapes that should stay, a ControlNet keeps them. Here it follows the source's edges, found by \
*Canny*. Everything else is the same as in *relation_transfer*.

**1** Get the models.  **2** Choose the pair and the source.  **3** Press **Run** and look at the edges: they should \
show what must stay, and little else.
"""

CONTROL_NOTE = """**Too stiff?** Lower *strength* to 0.3, or lower *end_percent*: the first steps place the shapes.

**Any ControlNet for FLUX.1-dev works here**, such as one for depth. FLUX.1-Canny and -Depth do not: they leave no \
room for the source.
"""

CONTROLNET = Template(
    "relation_controlnet",
    [
        *adapted(
            NODES,
            {
                "start": {"title": "With a ControlNet", "widgets": {"text": START_NOTE}},
                "models": {
                    "widgets": {"text": models_note(*STANDARD, CANNY)},
                },
                "source_encode": {"links": {"conditioning": "control.positive"}},
            },
        ),
        Node(
            "control_net",
            "ControlNetLoader",
            (380, 1260, 420, 58),
            widgets={"control_net_name": CANNY.name},
            models=(CANNY,),
        ),
        Node("canny", "Canny", (380, 1368, 420, 82), links={"image": "source.IMAGE"}),
        Node(
            "control",
            "ControlNetApplyAdvanced",
            (900, 1260, 300, 190),
            widgets={"strength": 0.6, "end_percent": 0.6},
            links={
                "positive": "guidance.CONDITIONING",
                "negative": "guidance.CONDITIONING",
                "control_net": "control_net.CONTROL_NET",
                "image": "canny.IMAGE",
            },
        ),
        Node("edges", "PreviewImage", (640, 1260, 300, 300), "Edges", links={"images": "canny.IMAGE"}),
        note("control_note", (900, 1500, 300, 190), "ControlNet", CONTROL_NOTE),
    ],
    [
        *GROUPS[:3],
        Group("4  The outlines", ("control_net", "canny", "control", "edges", "control_note")),
        replace(SAMPLING, title="5  Sampling"),
        replace(RESULT, title="6  The result"),
    ],
)
