"""The ``SplitImagePair`` node."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..relation_core.errors import ExemplarError
from ..relation_core.pictures.tensors import check_pictures
from .sockets import CATEGORY


class SplitImagePair(io.ComfyNode):
    """Cut a side-by-side picture into its two halves."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="SplitImagePair",
            display_name="Split Image Pair",
            category=CATEGORY,
            description="Cuts a picture that shows before and after side by side, as in the Relation252K dataset.",
            search_aliases=["relation adapter", "side by side", "crop halves", "before after"],
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip=(
                        "Before on the left half, after on the right. If the width is odd, the middle column is "
                        "dropped."
                    ),
                )
            ],
            outputs=[
                io.Image.Output("before", display_name="before", tooltip="The left half."),
                io.Image.Output("after", display_name="after", tooltip="The right half."),
            ],
        )

    @classmethod
    def execute(cls, image: torch.Tensor) -> io.NodeOutput:
        """Cut the picture."""
        half = check_pictures(image).shape[2] // 2
        if half == 0:
            raise ExemplarError(
                f"The picture is {image.shape[2]} pixel wide; expected two halves side by side. Choose another picture."
            )
        return io.NodeOutput(image[:, :, :half], image[:, :, -half:])
