"""The ``RelationComparison`` node."""

from __future__ import annotations

import torch
from comfy_api.latest import io
from PIL import Image

from ..relation_core.pictures.comparison import comparison_sheet
from ..relation_core.pictures.tensors import from_pil, to_pil
from .sockets import CATEGORY


class RelationComparison(io.ComfyNode):
    """Lay exemplars, source and result side by side."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="RelationComparison",
            display_name="Relation Comparison",
            category=CATEGORY,
            description="Makes one labelled picture, A : A' :: B : B', to judge an edit or to show it.",
            search_aliases=["relation adapter", "compare", "contact sheet", "side by side", "grid"],
            inputs=[
                io.Image.Input("before", tooltip="A: the exemplar before the edit."),
                io.Image.Input("after", tooltip="A': the exemplar after the edit."),
                io.Image.Input("source", tooltip="B: the picture that was edited."),
                io.Image.Input("result", tooltip="B': the result. Its height sets the height of the row."),
            ],
            outputs=[
                io.Image.Output(
                    "image",
                    display_name="image",
                    tooltip="One row per result. If there are fewer of the other pictures, the last one is repeated.",
                )
            ],
        )

    @classmethod
    def execute(
        cls, before: torch.Tensor, after: torch.Tensor, source: torch.Tensor, result: torch.Tensor
    ) -> io.NodeOutput:
        """Draw the rows."""
        columns = [to_pil(image) for image in (before, after, source, result)]
        rows = [
            comparison_sheet([column[min(index, len(column) - 1)] for column in columns])
            for index in range(max(map(len, columns)))
        ]
        return io.NodeOutput(torch.cat([from_pil(_widened(row, max(r.width for r in rows))) for row in rows]))


def _widened(row: Image.Image, width: int) -> Image.Image:
    sheet = Image.new("RGB", (width, row.height), (255, 255, 255))
    sheet.paste(row)
    return sheet
