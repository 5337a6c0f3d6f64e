"""What a training run knows after a step: weights, their average and moments.

The file is the same whether the model was divided or not, so a run may go on with another number of processes, or
divided where it was whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import distributed, nn

from relation_core.errors import CheckpointError
from relation_core.tuning.moments import check_moments

from .moving_average import MovingAverage
from .optimizer import take_eight_bit
from .run_state import check_weights, load_state
from .sharding import give, outline, whole
from .zero import ZeroAdamW

_PARTS = ("trained", "average", "optimizer")


class TrainedState:
    """The weights that are trained, and what belongs to them.

    Args:
        parameters: by name, whole or divided.
        average: of them.
        optimizer: AdamW of them, in their order; in 8 bits where it is not PyTorch's, and divided where it is ZeRO's.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], average: MovingAverage, optimizer: torch.optim.Optimizer
    ) -> None:
        self._parameters, self._average, self._optimizer = parameters, average, optimizer

    def values(self, main: bool) -> dict[str, Any]:
        """Give everything as whole tensors. Where the model is divided, all processes call it; the first gets them."""
        parts = {
            "trained": {name: parameter.detach() for name, parameter in self._parameters.items()},
            "average": self._average.state(),
            "optimizer": self._optimizer.state_dict(),
        }
        return whole(parts, main)

    def take(self, state: Mapping[str, Any]) -> None:
        """Take up a state that :func:`read_state` gave; all processes call it alike.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it is not one of these weights.
        """
        trained, moments = state["trained"], state["optimizer"]
        check_weights(self._parameters, trained)
        eight_bit = not isinstance(self._optimizer, torch.optim.AdamW)
        if not eight_bit:
            check_moments(self._optimizer, moments)
        for name, parameter in self._parameters.items():
            give(parameter, trained[name])
        self._average.load(state["average"])
        if eight_bit:
            take_eight_bit(self._optimizer, moments)
            return
        if isinstance(self._optimizer, ZeroAdamW):
            self._optimizer.take(moments["state"])
            return
        held: list[nn.Parameter] = list(self._parameters.values())
        taken = {
            number: {name: _taken(value, held[cast("int", number)]) for name, value in known.items()}
            for number, known in moments["state"].items()
        }
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": taken, "param_groups": groups})


def read_state(folder: Path, main: bool) -> dict[str, Any] | None:
    """Read the newest state of a run in its first process, without loading it into memory.

    All processes call it. Those but the first need not see the folder: they get the state with outlines of its tensors.

    Raises:
        CheckpointError: none of those that are there can be read.
    """
    told: list[Any] = [None, None]
    if main:
        try:
            told[0] = load_state(folder, _PARTS, mapped=True)
        except CheckpointError as error:
            told[1] = error
    if distributed.is_initialized():
        sent = [outline(told[0]), told[1]]
        distributed.broadcast_object_list(sent, 0)
        told = told if main else sent
    if told[1] is not None:
        raise told[1]
    return cast("dict[str, Any] | None", told[0])


def _taken(value: torch.Tensor, parameter: nn.Parameter) -> torch.Tensor:
    """What AdamW knows of a parameter: a number of steps, or moments that are divided as it is."""
    of = parameter.detach() if value.shape == parameter.shape else torch.empty((), device=parameter.device)
    taken = torch.empty_like(of, dtype=value.dtype)
    give(taken, value)
    return taken
