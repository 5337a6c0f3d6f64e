"""The ``BlendRelations`` node."""

from __future__ import annotations

from comfy_api.latest import io

from ..relation_core.relation.relation import Relation, average_relations, concat_relations
from .checked_numbers import numbers_checked
from .sockets import CATEGORY, RelationSocket


class BlendRelations(io.ComfyNode):
    """Combine two relations into one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="BlendRelations",
            display_name="Blend Relations",
            category=CATEGORY,
            description="Combines two relations from the same adapter into one.",
            search_aliases=["relation adapter", "mix", "merge", "interpolate", "combine relations"],
            inputs=[
                RelationSocket.Input("relation_1", tooltip="The first relation."),
                RelationSocket.Input("relation_2", tooltip="The second relation, made with the same adapter."),
                io.Float.Input(
                    "ratio",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The share of the second relation: 0 is the first alone, 1 the second alone.",
                ),
                io.Combo.Input(
                    "mode",
                    options=["average", "concat"],
                    default="average",
                    tooltip="average: makes one edit between the two; both need the same number of exemplar pairs. "
                    "concat: keeps the weighted pairs of both, and each part of the picture attends to what "
                    "fits.",
                ),
            ],
            outputs=[
                RelationSocket.Output(
                    "relation", display_name="relation", tooltip="The blend, for Apply RelationAdapter."
                )
            ],
        )

    @classmethod
    @numbers_checked
    def execute(cls, relation_1: Relation, relation_2: Relation, ratio: float, mode: str) -> io.NodeOutput:
        """Blend them."""
        blend = average_relations if mode == "average" else concat_relations
        return io.NodeOutput(blend(relation_1, relation_2, ratio))
