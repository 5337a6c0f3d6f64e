"""Solvers of the sampling equation ``dx/ds = (x - x0(x, s)) / s``, which FLUX.1's velocity ``(x - x0) / s`` gives.

``x`` is the noisy latent, ``s`` the noise level (1 is pure noise), ``x0`` the model's estimate of the clean latent.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from ..errors import RelationAdapterError

if TYPE_CHECKING:  # settings name a solver without loading PyTorch
    import torch


class Solver(Protocol):
    """Takes the steps of one run; make a new one for each run."""

    def step(self, x: torch.Tensor, level: float, lower: float, velocity: torch.Tensor) -> torch.Tensor:
        """Go from a noise level to a lower one.

        Args:
            x: the latent at ``level``.
            level: above 0.
            lower: from 0 to ``level``.
            velocity: the model's, for ``x``.

        Returns:
            The latent at ``lower``, of the shape and dtype of ``x``.
        """
        ...


class Euler:
    """First order: the authors' solver."""

    def step(self, x: torch.Tensor, level: float, lower: float, velocity: torch.Tensor) -> torch.Tensor:
        """Follow the velocity."""
        return x + (lower - level) * velocity


class DpmSolver2M:
    """DPM-Solver++(2M), second order with one call of the model a step (arXiv 2211.01095, algorithm 2).

    The paper's half-log signal-to-noise ratio is ``-log s`` here, up to a factor of ``x``. The first step is of first
    order, and so is the last, to level 0.
    """

    def __init__(self) -> None:
        """Begin a run."""
        self._before: tuple[float, torch.Tensor] | None = None
        """Level and clean latent of the last step."""

    def step(self, x: torch.Tensor, level: float, lower: float, velocity: torch.Tensor) -> torch.Tensor:
        """Extrapolate the clean latent from this step's and the last one's."""
        if lower == level:  # the schedule of a large picture rounds neighbours to the same level
            return x
        clean = aim = x - level * velocity
        if self._before is not None and lower > 0:
            last_level, last_clean = self._before
            ratio = math.log(last_level / level) / math.log(level / lower)
            aim = clean + (clean - last_clean) / (2 * ratio)
        self._before = level, clean
        return aim + lower / level * (x - aim)


SOLVERS: dict[str, type[Euler | DpmSolver2M]] = {"euler": Euler, "dpmpp_2m": DpmSolver2M}
"""Solvers by ComfyUI's names."""


def solver_called(name: str) -> Solver:
    """Make a solver for one run.

    Raises:
        RelationAdapterError: there is none of that name.
    """
    if name not in SOLVERS:
        raise RelationAdapterError(f"Got the solver '{name}'; expected one of {', '.join(SOLVERS)}. Change it.")
    return SOLVERS[name]()
