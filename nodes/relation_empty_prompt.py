"""The ``RelationEmptyPrompt`` node."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..relation_core.flux.empty_prompt import empty_prompt
from .model_check import flux_sizes
from .sockets import CATEGORY


class RelationEmptyPrompt(io.ComfyNode):
    """Give a model that knows no text the absence of it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="RelationEmptyPrompt",
            display_name="Empty Relation Prompt",
            category=CATEGORY,
            description="No text, for models that were trained without any: zeros in the model's own text widths, and "
            "no text encoder to load.",
            search_aliases=["relation adapter", "zero prompt", "no text", "unconditional", "small model"],
            is_experimental=True,
            inputs=[
                io.Model.Input(
                    "model", tooltip="A Flux that was trained without text. FLUX.1-dev was not: give it a prompt."
                )
            ],
            outputs=[
                io.Conditioning.Output(
                    "conditioning", display_name="conditioning", tooltip="In the place of an encoded prompt."
                )
            ],
        )

    @classmethod
    def execute(cls, model: Any) -> io.NodeOutput:
        """Read the widths off the model."""
        sizes = flux_sizes(model)
        text, pooled = empty_prompt(sizes["context_in_dim"], sizes["vec_in_dim"] or 0)  # a Flux may take no pooled text
        return io.NodeOutput([[text, {"pooled_output": pooled}]])
