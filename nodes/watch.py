"""Watching a relation in ComfyUI's Flux (:mod:`relation_core.watching`): what it adds is measured and left as it is.

==================  ======================================================================================
guider wrapper      once a run: begins its record, and hands it to the watch once the run is finished
model wrapper       once a forward: gathers what the output patches of relations say, and adds it to the record
==================  ======================================================================================

The patches of Apply RelationAdapter say what they add, so that the order of the nodes does not matter. Axes: B rows of
the batch, L tokens, H heads, d head width.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key

from ..relation_core.errors import ExemplarError
from ..relation_core.watching.shares import Block, Placed, ShareRecorder, WatchedRun, token_shares
from .crops import token_grid
from .forward_plan import ForwardPlan
from .held_context import holding
from .model_check import flux_sizes

_KEPT = 64
"""Runs that a watch remembers."""
_SAME = 0.01
"""A latent belongs to a run if it differs from the run's by less than this part of it."""


class Watch:
    """The last finished runs of a watched model."""

    def __init__(self) -> None:
        """Begin with no run."""
        self._runs: deque[WatchedRun] = deque(maxlen=_KEPT)

    def add(self, run: WatchedRun) -> None:
        """Remember a run, unless it overflowed: no latent can be found to be its own."""
        if bool(run.samples.isfinite().all()):
            self._runs.append(run)

    def run_of(self, samples: torch.Tensor) -> WatchedRun:
        """Find the run that gave a latent (B, channels, height, width).

        Raises:
            ExemplarError: there is no such run.
        """
        samples = samples.detach().float().cpu()
        if not bool(samples.isfinite().all()):
            raise ExemplarError(
                "The latent has NaN or infinite values; expected finite ones. Lower the relation's strength, or "
                "compute in bfloat16."
            )
        runs = [run for run in reversed(self._runs) if run.samples.shape == samples.shape]
        nearest = min(runs, key=lambda run: float((run.samples - samples).norm()), default=None)
        if nearest is None or not (nearest.samples - samples).norm() <= _SAME * nearest.samples.norm():
            raise ExemplarError(
                f"None of the {len(self._runs)} runs that this watch recorded gave the latent of shape "
                f"{tuple(samples.shape)}; it keeps the last {_KEPT}. Connect the output of the sampler that the "
                "watched model goes to, before any node changes it. If it is connected, change the seed, so that the "
                "sampler runs again."
            )
        return nearest


def watch_model(model: Any) -> Watch:
    """Let a model (a ``ModelPatcher``, already cloned) record its runs."""
    watch, key = Watch(), f"relation_adapter.watch.{uuid.uuid4().hex}"
    sizes = flux_sizes(model)
    blocks = {"double": sizes["depth"], "single": sizes["depth_single_blocks"]}
    for kind, wrapper in (
        (WrappersMP.OUTER_SAMPLE, _GuiderWrapper(key, watch, blocks, sizes["patch_size"])),
        (WrappersMP.APPLY_MODEL, _ModelWrapper(key)),
    ):
        add_wrapper_with_key(kind, key, wrapper, model.model_options, is_model_options=True)
    return watch


def watched_forwards() -> tuple[WatchedForward, ...]:
    """The running forward, once for every watch on the model; most models have none."""
    return _FORWARDS.get()


@dataclass
class WatchedForward:
    """One call of a watched model.

    ``post_input`` patches of relations set its plan, and their output patches call :meth:`note`.
    """

    plan: ForwardPlan | None = None
    """None as long as no relation was found on the model."""
    shares: dict[Block, torch.Tensor] = field(default_factory=dict)
    """(rows, target tokens) of every block."""
    block: Block | None = None
    """The running block."""
    own: list[torch.Tensor] = field(default_factory=list)
    """(B, target tokens): norms of its own attention, for every slice of the plan's rows."""
    given: dict[str, tuple[Sequence[torch.Tensor], float]] = field(default_factory=dict)
    """What every relation so far adds to it, and how many times, by the key of its patch."""

    @torch.no_grad()
    def note(
        self,
        key: str,
        block: Block,
        own: Sequence[torch.Tensor],
        given: Sequence[torch.Tensor],
        strength: float,
        plan: ForwardPlan,
    ) -> None:
        """Take what one relation is about to add to a block's attention; nothing is changed.

        Further relations in the same block count together with it.

        Args:
            key: of the relation's patch.
            block: its kind and number.
            own: (B, target tokens, H * d) for every slice of ``plan.positive``: the block's attention so far.
            given: likewise, what the relation adds, ``strength`` times.
            strength: of the relation in this kind of block.
            plan: the running forward's.
        """
        if block != self.block or key in self.given:  # the next block, or the same one computed anew
            self.block, self.own, self.given = block, [_norms(one) for one in own], {}
        self.given[key] = given, strength
        if len(self.given) == 1:  # without a copy
            sizes = [abs(strength) * _norms(one) for one in given]
        else:
            parts = [[strength * one for one in slices] for slices, strength in self.given.values()]
            sizes = [_norms(reduce(torch.add, slices)) for slices in zip(*parts, strict=True)]
        shares = sizes[0].new_zeros(plan.positive[-1].stop, sizes[0].shape[1])
        for rows, before, added in zip(plan.positive, self.own, sizes, strict=True):
            shares[rows] = token_shares(before, added)
        self.shares[block] = shares

    @staticmethod
    def places(plan: ForwardPlan) -> list[Placed]:
        """Where the rows with a relation lie in the picture."""
        return [Placed(source.rows, plan.target, source.window) for source in plan.sources]


@dataclass(frozen=True)
class _GuiderWrapper:
    """Gives a run its record, and the watch what a finished run showed."""

    key: str
    watch: Watch
    blocks: dict[str, int]
    patch: int
    """Side of a token in latent pixels."""

    def __call__(self, executor: Any, noise: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        recorder = ShareRecorder(self.blocks, len(noise), token_grid(noise.shape, self.patch))
        executor.class_obj.model_options["transformer_options"][self.key] = recorder  # the run's own copy
        samples = executor(noise, *args, **kwargs)
        if recorder.called:
            self.watch.add(recorder.finish(samples))
        return samples


@dataclass(frozen=True)
class _ModelWrapper:
    """Records a forward."""

    key: str

    def __call__(
        self,
        executor: Any,
        x: torch.Tensor,
        t: torch.Tensor,
        c_concat: Any = None,
        c_crossattn: Any = None,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        options = dict(transformer_options or {})
        recorder: ShareRecorder | None = options.pop(self.key, None)  # None if the model is called outside of a run
        if recorder is None:
            return executor(x, t, c_concat, c_crossattn, control, options, **kwargs)
        forward = WatchedForward()
        with holding(_FORWARDS, (*_FORWARDS.get(), forward)):
            result = executor(x, t, c_concat, c_crossattn, control, options, **kwargs)
        if forward.plan is None:
            recorder.pass_over(float(t[0]))
        else:
            recorder.add(float(t[0]), forward.shares, forward.places(forward.plan))
        return result


def _norms(tokens: torch.Tensor) -> torch.Tensor:
    """Norms (B, tokens) in float32 of (B, tokens, H * d)."""
    return torch.linalg.vector_norm(tokens, dim=-1, dtype=torch.float32)


_FORWARDS: ContextVar[tuple[WatchedForward, ...]] = ContextVar("relation_adapter_watched", default=())
"""The running forward, once for every watch on the model."""
