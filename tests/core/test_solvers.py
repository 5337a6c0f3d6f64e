"""Solvers of the sampling equation, on data whose exact result is known."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from relation_core.errors import RelationAdapterError
from relation_core.flux.schedule import relation_sigmas
from relation_core.flux.solvers import SOLVERS, solver_called

SPREAD, MEAN = 0.6, torch.tensor([0.4, -1.2], dtype=torch.float64)
"""Clean latents are normally distributed, so that the best velocity and the exact end of every path are known."""


def velocity(x: torch.Tensor, level: float) -> torch.Tensor:
    """``(x - x0) / level`` with the expected clean latent of ``x = (1 - level) * clean + level * noise``."""
    share, variance = 1 - level, ((1 - level) * SPREAD) ** 2 + level**2
    clean = MEAN + share * SPREAD**2 / variance * (x - share * MEAN)
    return (x - clean) / level


def error(name: str, steps: int) -> float:
    """Distance to the exact end; pure noise z ends at mean + spread * z."""
    solver, noise = solver_called(name), torch.tensor([[0.7, -0.3], [-1.5, 2.0]], dtype=torch.float64)
    levels = torch.linspace(1, 0.02, steps + 1).tolist()
    x = noise
    for level, lower in pairwise(levels):
        x = solver.step(x, level, lower, velocity(x, level))
    share, left = 1 - levels[-1], levels[-1]
    exact = share * MEAN + ((share * SPREAD) ** 2 + left**2) ** 0.5 * noise
    return float((x - exact).norm())


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("dpmpp_2m", 2)])
def test_the_error_falls_by_its_order(name: str, order: int) -> None:
    coarse, fine = error(name, 200), error(name, 400)
    assert coarse / fine == pytest.approx(2**order, rel=0.1)


@pytest.mark.parametrize("name", SOLVERS)
def test_the_first_and_the_last_step_are_eulers(name: str) -> None:
    solver, x = solver_called(name), torch.randn(3, 4)
    first = solver.step(x, 1.0, 0.6, torch.full((3, 4), -0.7))
    torch.testing.assert_close(first, x + 0.4 * 0.7)
    torch.testing.assert_close(solver.step(first, 0.6, 0.0, torch.full((3, 4), 0.2)), first - 0.6 * 0.2)


def test_steps_that_are_few_stay_finite() -> None:
    for steps in (1, 2, 3):
        solver, x = solver_called("dpmpp_2m"), torch.randn(2, 3)
        levels = relation_sigmas(steps, 16).tolist()
        for level, lower in pairwise(levels):
            x = solver.step(x, level, lower, x)
        assert bool(x.isfinite().all())


@pytest.mark.parametrize("name", SOLVERS)
def test_levels_that_are_equal_change_nothing(name: str) -> None:
    """The schedule of a large picture rounds neighbours to the same level."""
    repeated, plain, x = solver_called(name), solver_called(name), torch.randn(2, 3)
    ends = []
    for solver, levels in ((repeated, (1.0, 1.0, 0.7, 0.7, 0.7, 0.3, 0.0)), (plain, (1.0, 0.7, 0.3, 0.0))):
        latent = x
        for level, lower in pairwise(levels):
            latent = solver.step(latent, level, lower, latent * level)
        ends.append(latent)
    assert torch.equal(*ends)


def test_other_names_are_refused() -> None:
    with pytest.raises(
        RelationAdapterError, match=r"Got the solver 'heun'; expected one of euler, dpmpp_2m. Change it"
    ):
        solver_called("heun")
