"""The ``ApplyRelationAdapter`` node."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..relation_core.pictures.tensors import check_mask
from ..relation_core.relation.relation import Relation
from ..relation_core.settings.bounds import STRENGTH
from .checked_numbers import numbers_checked
from .model_check import check_model
from .model_patch import RelationPatch
from .sockets import CATEGORY, RelationSocket


class ApplyRelationAdapter(io.ComfyNode):
    """Patch a Flux so that it follows a relation."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="ApplyRelationAdapter",
            display_name="Apply RelationAdapter",
            category=CATEGORY,
            description="Makes FLUX.1 apply the edit that the exemplar pairs show. The input model stays unchanged.",
            search_aliases=["relation adapter", "edit transfer", "ip adapter", "image analogy", "in-context edit"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="FLUX.1-dev or a fine-tune of it, with the adapter's LoRA applied before or after."
                ),
                RelationSocket.Input("relation", tooltip="From Encode Relation Exemplars."),
                _strength(
                    "strength",
                    "How strongly the relation acts. 0 leaves the model unchanged; negative values push away from the "
                    "edit.",
                ),
                _percent("start_percent", 0.0, "Where in sampling the relation starts to act."),
                _percent(
                    "end_percent",
                    1.0,
                    "Where in sampling it stops acting. If it is not above start_percent, the relation never acts.",
                ),
                _strength(
                    "double_strength",
                    "Multiplies strength in the double-stream blocks: layout and content.",
                    optional=True,
                ),
                _strength(
                    "single_strength",
                    "Multiplies strength in the single-stream blocks: detail and finish.",
                    optional=True,
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where in the picture the relation acts: fully in white, not at all in black. Any size; "
                    "a batch gives each picture its own mask. To keep the rest unchanged, mask the latent "
                    "too. A detailer or tiled upscaler stretches the mask over each piece that it cuts.",
                ),
            ],
            outputs=[
                io.Model.Output("model", display_name="model", tooltip="The model with the relation, for the sampler.")
            ],
        )

    @classmethod
    @numbers_checked
    def execute(
        cls,
        model: Any,
        relation: Relation,
        strength: float,
        start_percent: float,
        end_percent: float,
        double_strength: float = 1.0,
        single_strength: float = 1.0,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """Check that the two fit, then patch a clone."""
        check_model(model, relation.config)
        if mask is not None:
            check_mask(mask)
        patched = model.clone()
        present = relation.present()
        double, single = strength * double_strength, strength * single_strength
        if present is not None and (double or single) and start_percent < end_percent:
            RelationPatch(present, double, single, (start_percent, end_percent), mask).register(patched)
        return io.NodeOutput(patched)


def _strength(name: str, tooltip: str, optional: bool = False) -> io.Float.Input:
    """Make an input for a strength; an optional one is advanced."""
    return io.Float.Input(
        name,
        optional=optional,
        default=1.0,
        min=STRENGTH.low,
        max=STRENGTH.high,
        step=0.05,
        tooltip=tooltip,
        advanced=optional or None,
    )


def _percent(name: str, default: float, tooltip: str) -> io.Float.Input:
    """Make an input for a point in sampling."""
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)
