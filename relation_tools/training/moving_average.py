"""The exponential moving average of trained weights."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .sharding import give, part

_TORCH: Any = torch  # the grouped operations have no public names


class MovingAverage:
    """Averages of some parameters, in float32 beside them.

    Args:
        parameters: what is averaged, by name, whole or divided among processes.
        decay: the share that stays at every step; 0 makes the average the weights themselves. It is less in the first
            steps, (1 + step) / (10 + step), so that the start is forgotten.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self._parameters = dict(parameters)
        self._decay = decay
        self._averages = {name: p.detach().clone() for name, p in self._parameters.items()} if decay else {}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the averages with the weights after ``step`` steps."""
        if self._averages:
            share = 1.0 - min(self._decay, (1 + step) / (10 + step))
            _TORCH._foreach_lerp_(self._kept(), self._now(), share)

    def state(self) -> dict[str, torch.Tensor]:
        """The averages by name; empty without any."""
        return dict(self._averages)

    @torch.no_grad()
    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Resume the averages of an earlier run, or start from the weights if it had none; all processes do alike.

        Raises:
            ValueError: an average has another shape than its parameter.
        """
        for name, average in self._averages.items():
            value = state.get(name)
            if value is None:
                average.copy_(self._parameters[name])
                continue
            if value.shape != average.shape:
                raise ValueError(f"the average of '{name}' is {tuple(value.shape)}, expected {tuple(average.shape)}")
            give(average, value)

    @contextmanager
    @torch.no_grad()
    def applied(self) -> Generator[None]:
        """Use the averages in place of the weights during the block."""
        if not self._averages:
            yield
            return
        kept = [weights.clone() for weights in self._now()]
        _TORCH._foreach_copy_(self._now(), self._kept())
        try:
            yield
        finally:
            _TORCH._foreach_copy_(self._now(), kept)

    def _now(self) -> list[torch.Tensor]:
        return [part(self._parameters[name].detach()) for name in self._averages]

    def _kept(self) -> list[torch.Tensor]:
        return [part(average) for average in self._averages.values()]
