"""How the parts of a step become one step of the optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any, Protocol

import torch
from torch import nn


class Steps(Protocol):
    """Takes steps."""

    prepared: Any
    """The models, as all processes train them together."""

    def part(self, loss: Callable[[], torch.Tensor], last: bool) -> torch.Tensor:
        """Compute the gradients of a part, which are added to those of the parts before.

        Args:
            loss: computes the part's share of the step's loss.
            last: whether this is the step's last part.

        Returns:
            The loss, without its graph.
        """
        ...

    def finish(self) -> None:
        """Change the weights by the gradients, averaged over all processes and clipped, and forget these."""
        ...


class WholeSteps:
    """Steps of one process, of models side by side, or of a model that FSDP2 divides.

    Args:
        accelerator: of the processes.
        prepared: the models, as all processes train them together.
        parameters: those that are trained.
        optimizer: of them.
        max_gradient: to which the norm of all gradients is clipped.
    """

    def __init__(
        self, accelerator: Any, prepared: Any, parameters: Iterable[nn.Parameter], optimizer: Any, max_gradient: float
    ) -> None:
        self._accelerator, self.prepared = accelerator, prepared
        self._parameters, self._optimizer, self._max_gradient = list(parameters), optimizer, max_gradient

    def part(self, loss: Callable[[], torch.Tensor], last: bool) -> torch.Tensor:
        """As :meth:`Steps.part`."""
        with nullcontext() if last else self._accelerator.no_sync(self.prepared):
            found = loss()
            self._accelerator.backward(found)
        return found.detach()

    def finish(self) -> None:
        """As :meth:`Steps.finish`."""
        self._accelerator.clip_grad_norm_(self._parameters, self._max_gradient)
        self._optimizer.step()
        self._optimizer.zero_grad()
