"""What AdamW knows of its parameters, read from a file that may be damaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

_MOMENTS = frozenset({"step", "exp_avg", "exp_avg_sq"})


def load_moments(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Give an optimizer the moments that a saved one had; its settings stay its own.

    Args:
        optimizer: an AdamW that has taken no step.
        state: the ``state_dict`` of one that has, of the same parameters.

    Raises:
        AttributeError, KeyError, TypeError: it is no optimizer's.
        ValueError: it is of other parameters, or lacks a part.
    """
    check_moments(optimizer, state)
    optimizer.load_state_dict({"state": state["state"], "param_groups": optimizer.state_dict()["param_groups"]})


def check_moments(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Check the moments that a saved optimizer had against the parameters of another.

    Args:
        optimizer: as for :func:`load_moments`.
        state: likewise; of tensors without values (on ``meta``), the shapes are checked.

    Raises:
        AttributeError, KeyError, TypeError: it is no optimizer's.
        ValueError: it is of other parameters, or lacks a part.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments: Mapping[int, Mapping[str, torch.Tensor]] = state["state"]
    if not moments or not set(moments) <= set(range(len(parameters))):
        raise ValueError(f"the optimizer knows {len(moments)} parameters of {len(parameters)}")
    for number, known in moments.items():
        for name, value in known.items():
            expected = torch.Size(()) if name == "step" else parameters[number].shape
            if value.shape != expected or not (value.is_meta or bool(value.isfinite().all())):
                raise ValueError(f"the optimizer's '{name}' is {tuple(value.shape)}, expected {tuple(expected)}")
        if not known.keys() >= _MOMENTS:
            raise ValueError(f"the optimizer lacks {', '.join(sorted(_MOMENTS - known.keys()))}")
