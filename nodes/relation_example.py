"""The ``RelationExample`` node."""

from __future__ import annotations

from comfy_api.latest import io

from ..relation_core.pictures.tensors import from_pil
from ..relation_core.scenes.examples import MAX_SCENE, draw_example
from ..relation_core.scenes.relations import ALL
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
                    options=[relation.name for relation in ALL],
                    tooltip=(
                        "The edit. The small Flux was not trained to paint things cyan or the background magenta."
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
    def execute(cls, edit: str, exemplar_scene: int, source_scene: int) -> io.NodeOutput:
        """Draw the four pictures."""
        return io.NodeOutput(*(from_pil(picture) for picture in draw_example(edit, exemplar_scene, source_scene)))
