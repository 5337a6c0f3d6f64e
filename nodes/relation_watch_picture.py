"""The ``RelationWatchPicture`` node."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..relation_core.errors import ExemplarError
from ..relation_core.pictures.tensors import from_pil, to_pil
from ..relation_core.watching.drawing import draw_heat_map, draw_shares
from .sockets import CATEGORY, WatchSocket
from .watch import Watch

_TOKEN = 2
"""Latent pixels that proportions may differ by."""


class RelationWatchPicture(io.ComfyNode):
    """Draw where and when relations acted."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="RelationWatchPicture",
            display_name="Draw Relation Watch",
            category=CATEGORY,
            description="Draws where in the picture the relation acted, and at which noise levels and in which blocks. "
            "A relation without effect gives a dark picture that says why.",
            search_aliases=["relation adapter", "attention map", "heat map", "debug", "no effect"],
            inputs=[
                WatchSocket.Input("watch", tooltip="From Watch Relation."),
                io.Latent.Input("latent", tooltip="What the sampler gave. It selects the run to draw."),
                io.Image.Input("image", tooltip="The same latent, decoded."),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The heat map over the picture."),
                io.Image.Output(
                    "curve", display_name="curve", tooltip="The relation's share over noise levels and over blocks."
                ),
            ],
        )

    @classmethod
    def execute(cls, watch: Watch, latent: dict[str, Any], image: torch.Tensor) -> io.NodeOutput:
        """Find the run, and draw it."""
        run = watch.run_of(latent["samples"])
        pictures = to_pil(image)
        if len(pictures) != run.samples.shape[0]:
            raise ExemplarError(
                f"Got {len(pictures)} pictures for a latent of {run.samples.shape[0]}; expected one for each. Connect "
                "the same latent, decoded."
            )
        _check_shape(run.samples, image)
        sheets = [draw_heat_map(run, index, picture) for index, picture in enumerate(pictures)]
        return io.NodeOutput(torch.cat([from_pil(sheet) for sheet in sheets]), from_pil(draw_shares(run)))


def _check_shape(samples: torch.Tensor, image: torch.Tensor) -> None:
    """Refuse pictures (B, height, width, C) of other proportions than the latents' (B, C, height, width)."""
    (rows, columns), (height, width) = samples.shape[-2:], image.shape[1:3]
    if abs(width * rows - height * columns) > max(width, height) * _TOKEN:
        raise ExemplarError(
            f"Got a picture of {width}x{height} for a latent of {columns}x{rows}; expected the same proportions. "
            "Connect the same latent, decoded, before it is cropped."
        )
