"""Gradient checkpointing that checks its recomputation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Compute = Callable[..., tuple[torch.Tensor, ...]]


def recomputed(compute: Compute, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Compute tensors now and again in the backward pass; only the inputs are held in between.

    Unlike PyTorch's non-reentrant checkpointing, autograd checks the second computation like any other: if something
    that the gradient needs is changed in place, it raises rather than using the changed value.

    Args:
        compute: returns the outputs for the inputs, the same each time, and changes no input. Gradients reach the
            inputs and nothing else.
        inputs: at least one of them needs a gradient.
    """
    return _Recomputed.apply(compute, *inputs)  # pyright: ignore[reportUnknownMemberType, reportReturnType] - untyped


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, compute: Compute, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.compute = compute
        ctx.save_for_backward(*inputs)
        with torch.no_grad():
            return compute(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        needed = ctx.needs_input_grad[1:]
        inputs = [part.detach().requires_grad_(need) for part, need in zip(ctx.saved_tensors, needed, strict=True)]
        with torch.enable_grad():
            outputs = ctx.compute(*inputs)
        reached = [(out, gradient) for out, gradient in zip(outputs, gradients, strict=True) if out.requires_grad]
        found = iter(
            torch.autograd.grad(
                [out for out, _ in reached],
                [part for part in inputs if part.requires_grad],
                [gradient for _, gradient in reached],
                allow_unused=True,
            )
        )
        return None, *(next(found) if need else None for need in needed)
