"""The ``RelationExample`` node."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..relation_core.pictures.tensors import from_pil
from ..relation_core.relation.limits import MAX_PAIRS
from ..relation_core.scenes.examples import MAX_SCENE, draw_pair
from ..relation_core.scenes.relations import ALL
from ..relation_core.scenes.unseen import UNSEEN
from .checked_numbers import numbers_checked
from .sockets import CATEGORY


class RelationExample(io.ComfyNode):
    """Draw pictures to try a model with."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="RelationExample",
            display_name="Example Pictures",
            category=CATEGORY,
            description="Draws a small scene before and after an edit, and another scene to edit the same way. The "
            "small model that comes with this pack was trained on such scenes.",
            search_aliases=["relation adapter", "try", "demo", "small model", "synthetic"],
            is_experimental=True,
            inputs=[
                io.Combo.Input(
                    "edit",
                    options=[relation.name for relation in (*ALL, *UNSEEN)],
                    tooltip=(
                        "The edit. The small Flux was not trained to paint things cyan or the background magenta, and "
                        "nothing of the small model was trained on the last six edits."
                    ),
                ),
                io.Int.Input(
                    "exemplar_scene",
                    default=0,
                    min=0,
                    max=MAX_SCENE,
                    tooltip="The number of the scene shown before and after.",
                ),
                io.Int.Input(
                    "source_scene",
                    default=1,
                    min=0,
                    max=MAX_SCENE,
                    control_after_generate=io.ControlAfterGenerate.increment,
                    tooltip="The number of the scene to edit.",
                ),
                io.Int.Input(
                    "pairs",
                    default=1,
                    min=1,
                    max=MAX_PAIRS,
                    optional=True,
                    tooltip="How many scenes to show before and after, from exemplar_scene on.",
                ),
            ],
            outputs=[
                io.Image.Output("before", display_name="before", tooltip="A: the exemplar before the edit."),
                io.Image.Output("after", display_name="after", tooltip="A': the exemplar after the edit."),
                io.Image.Output("source", display_name="source", tooltip="B: the picture to edit."),
                io.Image.Output("target", display_name="target", tooltip="What the result should look like."),
            ],
        )

    @classmethod
    @numbers_checked
    def execute(cls, edit: str, exemplar_scene: int, source_scene: int, pairs: int = 1) -> io.NodeOutput:
        """Draw the pictures."""
        shown = [draw_pair(edit, exemplar_scene + place) for place in range(pairs)]
        before, after = (torch.cat([from_pil(pair[side]) for pair in shown]) for side in range(2))
        return io.NodeOutput(before, after, *(from_pil(picture) for picture in draw_pair(edit, source_scene)))
