"""The ``RelationExemplarEncode`` node."""

from __future__ import annotations

import comfy.model_management
import torch
from comfy_api.latest import io

from ..relation_core.pictures.tensors import to_pil
from ..relation_core.relation.pairs import encode_pairs, pair_up
from ..relation_core.relation.relation import Relation, join_relations
from ..relation_core.vision.exemplar import FITS, Fit
from .checked_numbers import numbers_checked
from .host_progress import HostProgress
from .sockets import CATEGORY, LoadedRelationAdapter, RelationAdapterSocket, RelationSocket


class RelationExemplarEncode(io.ComfyNode):
    """Turn exemplar pairs into a relation."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="RelationExemplarEncode",
            display_name="Encode Relation Exemplars",
            category=CATEGORY,
            description="Looks at pictures before and after an edit and stores the edit as a relation.",
            search_aliases=["relation adapter", "exemplar pair", "before after", "edit transfer", "image analogy"],
            inputs=[
                RelationAdapterSocket.Input("relation_adapter", tooltip="From Load RelationAdapter."),
                io.Image.Input("before", tooltip="The picture before the edit. A batch gives several exemplar pairs."),
                io.Image.Input("after", tooltip="The same picture after the edit, with as many pictures as before."),
                io.Combo.Input(
                    "fit",
                    options=list(FITS),
                    default="pad",
                    tooltip="How to fit a picture into the vision model's square. pad: first adds white up to the "
                    "nearest regular ratio, as the authors do. stretch: only squashes the picture.",
                ),
                io.Float.Input(
                    "weight",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    tooltip="How much these pairs count relative to others. 0 leaves them out. The weight of a "
                    "single pair changes nothing: use the strength of Apply RelationAdapter.",
                ),
                RelationSocket.Input(
                    "relation",
                    optional=True,
                    tooltip="Another relation from the same adapter; these pairs are added to it.",
                ),
            ],
            outputs=[
                RelationSocket.Output(
                    "relation",
                    display_name="relation",
                    tooltip=("The edit that the pairs show, for Apply RelationAdapter."),
                )
            ],
        )

    @classmethod
    @numbers_checked
    def execute(
        cls,
        relation_adapter: LoadedRelationAdapter,
        before: torch.Tensor,
        after: torch.Tensor,
        fit: Fit,
        weight: float,
        relation: Relation | None = None,
    ) -> io.NodeOutput:
        """Encode the pairs and add them to ``relation``."""
        pairs = pair_up(to_pil(before), to_pil(after))
        encoded = encode_pairs(
            relation_adapter.adapter,
            relation_adapter.vision,
            pairs,
            fit,
            weight,
            comfy.model_management.get_torch_device(),
            _compute_dtype(),
            HostProgress(),
        )
        return io.NodeOutput(encoded if relation is None else join_relations([relation, encoded]))


def _compute_dtype() -> torch.dtype:
    """The dtype in which this ComfyUI computes a Flux."""
    device = comfy.model_management.get_torch_device()
    supported = [torch.bfloat16, torch.float16, torch.float32]
    stored = comfy.model_management.unet_dtype(device, supported_dtypes=supported)
    return comfy.model_management.unet_manual_cast(stored, device, supported) or stored
