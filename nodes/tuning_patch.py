"""The hooks of a model that a relation is learned through: those of a relation, with gradients and less memory.

==========================  ============================================================================
model wrapper               as a relation's: plans a forward (:mod:`.model_patch`)
``post_input`` patch        likewise: the source gets the target's positions
``attn1_patch``             every block: attention to the tokens that are being learned
``attn1_output_patch``      as a relation's: the result is added to the block's attention
block replacement           every block: gets copies of its inputs, which it changes; of a large model, its activations
                            are computed again when the gradient comes back
attention override          PyTorch's attention, since not all of the host's have a gradient
==========================  ============================================================================
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from comfy.ldm.modules.attention import attention_pytorch
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key

from ..relation_core.flux.attention import torch_attention
from ..relation_core.tuning.attended import Attended
from .forward_plan import plan_of
from .frozen_weights import FrozenWeights
from .held_context import holding
from .model_check import flux_sizes
from .model_patch import ModelWrapper, OutputPatch, PositionsPatch, attend
from .recomputed import recomputed

_Block = Callable[[dict[str, Any]], dict[str, Any]]
_LARGE = 100_000_000
"""Parameters above which a model's activations are recomputed rather than held."""


def register_learning(model: Any, frozen: FrozenWeights) -> None:
    """Put the hooks on a model (a ``ModelPatcher``, already cloned)."""
    key, sizes = f"relation_adapter.{uuid.uuid4().hex}", flux_sizes(model)
    wrapper = ModelWrapper(key, (0.0, 1.0), None)
    add_wrapper_with_key(WrappersMP.APPLY_MODEL, key, wrapper, model.model_options, is_model_options=True)
    model.set_model_post_input_patch(PositionsPatch(key))
    model.set_model_attn1_patch(_LearnedAttention(key, sizes["depth"]))
    model.set_model_attn1_output_patch(OutputPatch(key, {"double": 1.0, "single": 1.0}))
    options = model.model_options["transformer_options"]
    options["optimized_attention_override"] = _pytorch_attention
    replaced = dict(options.get("patches_replace", {}).get("dit", {}))
    flux = model.model.diffusion_model
    large = sum(part.numel() for part in flux.parameters()) >= _LARGE
    for kind, blocks, run, first in (
        ("double_block", flux.double_blocks, _run_double, 0),
        ("single_block", flux.single_blocks, _run_single, sizes["depth"]),
    ):
        for index, block in enumerate(blocks):
            patch = _LearningBlock(block, first + index, run, replaced.get((kind, index)), frozen, large)
            model.set_model_patch_replace(patch, "dit", kind, index)


@dataclass
class LearningCall:
    """One call of the model."""

    attended: Attended | None
    """The tokens that its blocks attend to."""
    reached: bool = False
    """Whether the model called the hooks."""


@contextmanager
def attending_to(attended: Attended | None) -> Generator[LearningCall]:
    """Set what the blocks attend to in the calls of the model in this block."""
    call = LearningCall(attended)
    with holding(_CALL, call):
        yield call


_CALL: ContextVar[LearningCall] = ContextVar("relation_adapter_learning")
"""The running call. Recomputation in the backward pass runs in the context of its forward."""


@dataclass(frozen=True)
class _LearnedAttention:
    """Lets a block's query attend to the tokens that are being learned."""

    key: str
    first_single: int

    def __call__(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        pe: torch.Tensor | None = None,
        attn_mask: torch.Tensor | None = None,
        *,
        extra_options: dict[str, Any],
    ) -> dict[str, Any]:
        plan, call = plan_of(self.key), _CALL.get()
        call.reached = True
        if call.attended is None:
            return {}
        attend(plan, q, call.attended, call.attended.bias, extra_options, self.first_single, torch_attention)
        return {}


@dataclass(frozen=True)
class _LearningBlock:
    """Runs a block with gradients; in a large model, only its inputs are held until the backward pass."""

    block: torch.nn.Module
    place: int
    """Among all blocks."""
    run: Callable[[torch.nn.Module, dict[str, Any]], dict[str, Any]]
    replaced: Callable[[dict[str, Any], dict[str, _Block]], dict[str, Any]] | None
    """Another node's replacement of the block, which stays in place."""
    frozen: FrozenWeights
    large: bool

    def __call__(self, args: dict[str, Any], _: dict[str, _Block]) -> dict[str, Any]:
        # The host changes its options from block to block, and binds its call of the block late.
        given: dict[str, Any] = {**args, "transformer_options": dict(args["transformer_options"])}
        names = [name for name in ("img", "txt") if name in given]
        attended = _CALL.get().attended
        if attended is None or not self.large or not torch.is_grad_enabled():
            return self._computed(given)
        again = partial(copy_context().run, self._computed_with, given, attended)
        streams: list[torch.Tensor] = [given[name] for name in names]
        outputs = recomputed(again, attended.keys[self.place], attended.values[self.place], *streams)
        return dict(zip(names, outputs, strict=True))

    def _computed_with(
        self, args: dict[str, Any], attended: Attended, keys: torch.Tensor, values: torch.Tensor, *streams: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Compute the block from other keys, values and streams, in the context of its forward."""
        names = [name for name in ("img", "txt") if name in args]
        count = self.place + 1
        own = Attended([keys] * count, [values] * count, attended.bias)
        call = _CALL.get()
        with attending_to(own) as again, self.frozen:  # neither is active in the backward pass
            out = self._computed({**args, **dict(zip(names, streams, strict=True))})
        call.reached |= again.reached
        return tuple(out[name] for name in names)

    def _computed(self, args: dict[str, Any]) -> dict[str, Any]:
        args = {**args, **{name: args[name].clone() for name in ("img", "txt") if name in args}}  # changed in place
        if self.replaced is None:
            return self.run(self.block, args)
        return self.replaced(args, {"original_block": lambda changed: self.run(self.block, changed)})


def _run_double(block: torch.nn.Module, args: dict[str, Any]) -> dict[str, Any]:
    img, txt = block(
        img=args["img"],
        txt=args["txt"],
        vec=args["vec"],
        pe=args["pe"],
        attn_mask=args.get("attn_mask"),
        transformer_options=args["transformer_options"],
    )
    return {"img": img, "txt": txt}


def _run_single(block: torch.nn.Module, args: dict[str, Any]) -> dict[str, Any]:
    img = block(
        args["img"],
        vec=args["vec"],
        pe=args["pe"],
        attn_mask=args.get("attn_mask"),
        transformer_options=args["transformer_options"],
    )
    return {"img": img}


def _pytorch_attention(
    _: Callable[..., Any], *args: Any, preferred_attention: Any = None, **kwargs: Any
) -> torch.Tensor:
    """Attend with gradients, whatever attention the model prefers."""
    return attention_pytorch(*args, **kwargs)
