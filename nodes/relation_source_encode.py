"""The ``RelationSourceEncode`` node."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..relation_core.flux.source import check_latent, resize_source, source_size
from ..relation_core.pictures.tensors import check_pictures
from ..relation_core.settings.bounds import LONG_SIDE, SOURCE_SCALE
from .checked_numbers import numbers_checked
from .sockets import CATEGORY
from .source_conditioning import with_source


class RelationSourceEncode(io.ComfyNode):
    """Add the source picture to the conditioning."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="RelationSourceEncode",
            display_name="Encode Relation Source",
            category=CATEGORY,
            description="Encodes the picture to edit and adds it to the prompt. The model sees it without noise at "
            "every step.",
            search_aliases=["relation adapter", "reference latent", "in-context", "edit image", "kontext"],
            inputs=[
                io.Conditioning.Input("conditioning", tooltip="The prompt that describes the edit."),
                io.Vae.Input("vae", tooltip="FLUX.1's autoencoder (ae.safetensors)."),
                io.Image.Input("image", tooltip="The picture to edit. A batch gives a batch of results."),
                io.Int.Input(
                    "long_side",
                    default=512,
                    min=0,
                    max=int(LONG_SIDE.high),
                    step=16,
                    tooltip="The longer side in pixels; the other one follows. The adapter was trained at 512. 0 keeps "
                    "the picture's size. Sides are cut to multiples of 16.",
                ),
                io.Float.Input(
                    "source_scale",
                    optional=True,
                    default=1.0,
                    min=SOURCE_SCALE.low,
                    max=SOURCE_SCALE.high,
                    step=0.05,
                    tooltip="Below 1, the model sees a smaller source whose parts keep their positions: fewer "
                    "tokens, faster steps, less detail. The result keeps its size.",
                    advanced=True,
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    "conditioning", display_name="conditioning", tooltip="The prompt with the source added."
                ),
                io.Latent.Output(
                    "latent",
                    display_name="latent",
                    tooltip="The encoded source, for the sampler. At full denoise only its size counts.",
                ),
            ],
        )

    @classmethod
    @numbers_checked
    def execute(
        cls, conditioning: list[Any], vae: Any, image: torch.Tensor, long_side: int, source_scale: float = 1.0
    ) -> io.NodeOutput:
        """Encode the source, and a smaller copy if requested."""
        height, width = check_pictures(image).shape[1:3]
        full = source_size(width, height, long_side)
        small = source_size(width, height, long_side, source_scale)
        latent = vae.encode(resize_source(image, full))
        check_latent(latent)
        source = latent if small == full else vae.encode(resize_source(image, small))
        return io.NodeOutput(with_source(conditioning, source, latent), {"samples": latent})
