"""The ``RelationKeep`` node."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..relation_core.keeping.keep import keep_unedited
from ..relation_core.settings.bounds import MASK_PIXELS
from .checked_numbers import numbers_checked
from .sockets import CATEGORY


class RelationKeep(io.ComfyNode):
    """Put the source's pixels back where nothing was edited."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="RelationKeep",
            display_name="Keep Unedited",
            category=CATEGORY,
            description="Gives back the source's own pixels where the edit changed nothing, and corrects a shift of "
            "colours. An edit of the whole picture comes through untouched.",
            search_aliases=["relation adapter", "preserve", "composite", "restore background", "difference mask"],
            inputs=[
                io.Image.Input("source", tooltip="The picture that was edited. It is resized to the result's size."),
                io.Image.Input("result", tooltip="The result, decoded."),
                io.Float.Input(
                    "threshold",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.005,
                    optional=True,
                    tooltip="How far a colour must be off, of 1, to count as edited; no edit counts as global then. 0 "
                    "finds both from each picture.",
                ),
                io.Int.Input(
                    "grow",
                    default=0,
                    min=0,
                    max=int(MASK_PIXELS.high),
                    optional=True,
                    tooltip="Pixels that the edited part is widened by.",
                ),
                io.Int.Input(
                    "feather",
                    default=0,
                    min=0,
                    max=int(MASK_PIXELS.high),
                    optional=True,
                    tooltip="Pixels over which the edited part fades out, beyond its outline.",
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The edit on the source's own pixels."),
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="Where the edit is; all of the picture for a global edit. It fits Apply RelationAdapter "
                    "and Set Latent Noise Mask.",
                ),
            ],
        )

    @classmethod
    @numbers_checked
    def execute(
        cls, source: torch.Tensor, result: torch.Tensor, threshold: float = 0.0, grow: int = 0, feather: int = 0
    ) -> io.NodeOutput:
        """Join source and result."""
        kept = keep_unedited(source, result, threshold, grow, feather)
        return io.NodeOutput(kept.image, kept.mask)
