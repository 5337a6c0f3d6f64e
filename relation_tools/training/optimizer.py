"""The optimizer of a run: AdamW, with its moments in float32 or in 8 bits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from torch import nn

from ..diffusers_host.quantisation import library
from .settings import TrainingSettings
from .sharding import give

_MOMENTS = ("state1", "state2")


def make_optimizer(parameters: Iterable[nn.Parameter], training: TrainingSettings) -> torch.optim.Optimizer:
    """Make the optimizer of some parameters.

    Raises:
        RelationAdapterError: bitsandbytes is needed and not installed.
    """
    if training.optimizer == "adamw 8-bit":
        kind: Any = library("bitsandbytes").optim.AdamW8bit
        return kind(parameters, training.learning_rate, weight_decay=training.weight_decay)
    return torch.optim.AdamW(parameters, training.learning_rate, weight_decay=training.weight_decay, fused=True)


def take_eight_bit(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Give AdamW in 8 bits the moments that a saved one had; all processes call it alike.

    Args:
        optimizer: one that has taken no step.
        state: the ``state_dict`` of one that has, of the same parameters; its outline in processes but the first.

    Raises:
        AttributeError, KeyError, TypeError: it is no such optimizer's.
        ValueError: it is of other parameters.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments: Mapping[int, Any] = state["state"]
    if not moments or not set(moments) <= set(range(len(parameters))):
        raise ValueError(f"the optimizer knows {len(moments)} parameters of {len(parameters)}")
    for number, known in moments.items():
        found = _flat(known)
        for name in _MOMENTS:
            if found[name].shape != parameters[number].shape:
                shapes = tuple(found[name].shape), tuple(parameters[number].shape)
                raise ValueError(f"the optimizer's '{name}' is {shapes[0]}, expected {shapes[1]}")
        if not all(bool(value.isfinite().all()) for value in found.values() if _has_values(value)):
            raise ValueError("the optimizer has values that are not finite")
    taken = {number: _received(known, parameters[number].device) for number, known in moments.items()}
    optimizer.load_state_dict({"state": taken, "param_groups": optimizer.state_dict()["param_groups"]})


def _flat(known: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a parameter; bitsandbytes keeps some of it in a dictionary of its own."""
    found: dict[str, Any] = {}
    for name, value in known.items():
        found |= _flat(cast("dict[str, Any]", value)) if isinstance(value, dict) else {name: value}
    return found


def _has_values(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point() and not value.is_meta


def _received(values: Any, device: torch.device) -> Any:
    if isinstance(values, dict):
        return {name: _received(value, device) for name, value in cast("dict[str, Any]", values).items()}
    if not isinstance(values, torch.Tensor):
        return values
    taken = torch.empty_like(values, device=device)
    give(taken, values)
    return taken
