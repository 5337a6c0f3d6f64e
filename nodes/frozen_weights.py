"""Treat a model's weights as constants in autograd, without copying the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode


class FrozenWeights(TorchFunctionMode):
    """Lets autograd pass through a model that ComfyUI loaded, without changing the model.

    ComfyUI loads models in inference mode, and autograd refuses to save their weights. While this mode is on, every
    function gets a view of the weight's memory in place of the weight: a new tensor that is not an inference tensor and
    needs no gradient. Nothing is copied except in the case below, and no module is touched.

    A layer norm reads a copy where gradients flow, since the host's blocks change its input in place.

    Args:
        copy_cast: copy the weight that a linear layer gets in place of its own. If a part of the model is offloaded,
        ComfyUI loads weights through buffers that it reuses before the backward pass. The copies of one block are held
        at a time.
    """

    def __init__(self, copy_cast: bool = False) -> None:
        super().__init__()
        self.copy_cast = copy_cast

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a PyTorch function with constants in place of weights."""
        kwargs = kwargs or {}
        if torch.is_inference_mode_enabled() or getattr(func, "__name__", "") in ("__get__", "__set__"):
            return func(*args, **kwargs)
        if self.copy_cast and func is F.linear and torch.is_grad_enabled():
            args = (args[0], *(_kept(part) for part in args[1:]))
            kwargs = {name: _kept(part) if name in ("weight", "bias") else part for name, part in kwargs.items()}
        if func is F.layer_norm and args[0].requires_grad:
            args = (args[0].clone(), *args[1:])
        return func(*map(_constant, args), **{name: _constant(value) for name, value in kwargs.items()})


def _constant(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        if type(value) is not torch.nn.Parameter and type(value) is not torch.Tensor:
            return value  # GGUF and quantised tensors are converted by their own code
        if value.is_inference():
            view = torch.empty(0, dtype=value.dtype, device=value.device)
            return view.set_(value.untyped_storage(), value.storage_offset(), value.size(), value.stride())
        return value.detach() if type(value) is torch.nn.Parameter else value
    if type(value) in (list, tuple):
        return type(value)(map(_constant, value))
    return value


def _kept(value: Any) -> Any:
    """Copy a weight that was loaded for one call; return a module's own weight, or None, as it is."""
    return value.clone() if type(value) is torch.Tensor and not value.requires_grad else value
