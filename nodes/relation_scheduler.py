"""The ``RelationScheduler`` node."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..relation_core.flux.schedule import relation_sigmas
from ..relation_core.settings.bounds import SAMPLING_STEPS
from .checked_numbers import numbers_checked
from .run_check import check_latent_axes
from .sockets import CATEGORY


class RelationScheduler(io.ComfyNode):
    """The authors' noise schedule."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="RelationScheduler",
            display_name="Relation Scheduler",
            category=CATEGORY,
            description="The noise schedule of RelationAdapter's authors, for SamplerCustomAdvanced.",
            search_aliases=["relation adapter", "sigmas", "flux scheduler", "flow match euler"],
            inputs=[
                io.Int.Input(
                    "steps",
                    default=24,
                    min=1,
                    max=int(SAMPLING_STEPS.high),
                    tooltip="Sampling steps; the authors use 24.",
                ),
                io.Latent.Input(
                    "latent",
                    tooltip="The latent to sample. Its size sets the schedule, including the source's tokens.",
                ),
                io.Float.Input(
                    "denoise",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="1 starts from pure noise. Lower values keep part of the latent, for a second pass.",
                ),
            ],
            outputs=[io.Sigmas.Output("sigmas", display_name="sigmas", tooltip="Noise levels, from high to low.")],
        )

    @classmethod
    @numbers_checked
    def execute(cls, steps: int, latent: dict[str, Any], denoise: float) -> io.NodeOutput:
        """Compute the schedule."""
        check_latent_axes(latent["samples"])
        rows, columns = ((side + 1) // 2 for side in latent["samples"].shape[-2:])
        return io.NodeOutput(relation_sigmas(steps, rows * columns, denoise))
