"""The ``RelationSourceReuse`` node."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..relation_core.flux.refreshes import REFRESH_EVERY
from ..relation_core.settings.bounds import REFRESH_INTERVAL
from .checked_numbers import numbers_checked
from .model_check import flux_sizes
from .sockets import CATEGORY
from .source_reuse import reuse_source


class RelationSourceReuse(io.ComfyNode):
    """Patch a Flux so that it computes the source at some steps only."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="RelationSourceReuse",
            display_name="Reuse Relation Source",
            category=CATEGORY,
            description="Makes steps faster: the source is computed at some noise levels only and reused in between. "
            "The input model stays unchanged.",
            search_aliases=["relation adapter", "faster", "speed", "kv cache", "reference latent cache"],
            inputs=[
                io.Model.Input("model", tooltip="FLUX.1, before or after Apply RelationAdapter."),
                io.Int.Input(
                    "refresh_every",
                    default=REFRESH_EVERY,
                    min=1,
                    max=int(REFRESH_INTERVAL.high),
                    tooltip="The source is computed at one of so many steps, more often toward the end. 1 computes it "
                    "at each and changes nothing; higher values are faster and less exact.",
                ),
                io.Boolean.Input(
                    "reuse_8bit",
                    default=False,
                    optional=True,
                    advanced=True,
                    tooltip="Keep what is reused in 8 bits: this takes half the memory of 16 and is hardly less exact.",
                ),
            ],
            outputs=[io.Model.Output("model", display_name="model", tooltip="The model that reuses its source.")],
        )

    @classmethod
    @numbers_checked
    def execute(cls, model: Any, refresh_every: int = REFRESH_EVERY, reuse_8bit: bool = False) -> io.NodeOutput:
        """Check the model, then patch a clone."""
        flux_sizes(model)
        patched = model.clone()
        reuse_source(patched, refresh_every, reuse_8bit)
        return io.NodeOutput(patched)
