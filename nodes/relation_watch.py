"""The ``RelationWatch`` node."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .sockets import CATEGORY, WatchSocket
from .watch import watch_model


class RelationWatch(io.ComfyNode):
    """Record where and when relations act."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="RelationWatch",
            display_name="Watch Relation",
            category=CATEGORY,
            description="Records how much of the model's attention the relation gives, for Draw Relation Watch. The "
            "result is bit for bit the same, and the input model stays unchanged.",
            search_aliases=["relation adapter", "attention map", "heat map", "debug", "no effect"],
            inputs=[io.Model.Input("model", tooltip="FLUX.1, before or after Apply RelationAdapter.")],
            outputs=[
                io.Model.Output("model", display_name="model", tooltip="The watched model, for the sampler."),
                WatchSocket.Output("watch", display_name="watch", tooltip="For Draw Relation Watch."),
            ],
        )

    @classmethod
    def execute(cls, model: Any) -> io.NodeOutput:
        """Patch a clone."""
        watched = model.clone()
        return io.NodeOutput(watched, watch_model(watched))
