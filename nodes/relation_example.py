"""The ``RelationExample`` node."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..relation_core.errors import DatasetError
from ..relation_core.pictures.tensors import from_pil
from ..relation_core.relation.limits import MAX_PAIRS
from ..relation_core.scenes.examples import draw_pair
from ..relation_core.scenes.landscape import MAX_SCENE
from ..relation_core.scenes.named_edits import EDITS, edit_named
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
            description="Paints a landscape before and after an edit, and another landscape to edit the same way. The "
            "small model that comes with this pack was trained on such landscapes.",
            search_aliases=["relation adapter", "try", "demo", "small model", "synthetic"],
            is_experimental=True,
            inputs=[
                io.Combo.Input(
                    "edit",
                    options=list(EDITS),
                    tooltip="The edit. The small model was not trained on those that end in 'unseen'.",
                ),
                io.Int.Input(
                    "exemplar_scene",
                    default=0,
                    min=0,
                    max=MAX_SCENE,
                    tooltip="The number of the landscape shown before and after.",
                ),
                io.Int.Input(
                    "source_scene",
                    default=1,
                    min=0,
                    max=MAX_SCENE,
                    control_after_generate=io.ControlAfterGenerate.increment,
                    tooltip="The number of the landscape to edit.",
                ),
                io.Int.Input(
                    "pairs",
                    default=1,
                    min=1,
                    max=MAX_PAIRS,
                    optional=True,
                    tooltip="How many landscapes to show before and after, from exemplar_scene on.",
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
    def validate_inputs(cls, edit: str | None) -> bool | str:
        """Take the names of 0.1.0 too, which the menu does not show; a link gives None."""
        try:
            if edit is not None:
                edit_named(edit)
        except DatasetError as error:
            return str(error)
        return True

    @classmethod
    @numbers_checked
    def execute(cls, edit: str, exemplar_scene: int, source_scene: int, pairs: int = 1) -> io.NodeOutput:
        """Draw the pictures."""
        shown = [draw_pair(edit, exemplar_scene + place) for place in range(pairs)]
        before, after = (torch.cat([from_pil(pair[side]) for pair in shown]) for side in range(2))
        return io.NodeOutput(before, after, *(from_pil(picture) for picture in draw_pair(edit, source_scene)))
