"""The ``RelationEmptyPrompt`` node."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..relation_core.flux.empty_prompt import empty_prompt
from .model_check import flux_sizes
from .sockets import CATEGORY


class RelationEmptyPrompt(io.ComfyNode):
    """Make the empty prompt of a model trained without text."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="RelationEmptyPrompt",
            display_name="Empty Relation Prompt",
            category=CATEGORY,
            description="An empty prompt for models trained without text: zeros in the model's text widths. It loads"
            " no text encoder.",
            search_aliases=["relation adapter", "zero prompt", "no text", "unconditional", "small model"],
            is_experimental=True,
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip=(
                        "A Flux that was trained without text. FLUX.1-dev was trained with text and needs a prompt."
                    ),
                )
            ],
            outputs=[
                io.Conditioning.Output(
                    "conditioning", display_name="conditioning", tooltip="Use it instead of an encoded prompt."
                )
            ],
        )

    @classmethod
    def execute(cls, model: Any) -> io.NodeOutput:
        """Read the widths from the model."""
        sizes = flux_sizes(model)
        text, pooled = empty_prompt(sizes["context_in_dim"], sizes["vec_in_dim"] or 0)  # a Flux may take no pooled text
        return io.NodeOutput([[text, {"pooled_output": pooled}]])
