"""Going on with a learning: a state that lacks a part, or in which one is damaged, is refused and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from random_weights import small_adapter

from relation_core.errors import CheckpointError
from relation_core.tuning.learner import Learner
from relation_core.tuning.settings import TuningError, TuningSettings
from relation_tools.training.run_state import saved_states
from relation_tools.tuning.resuming import keep, resume

IDENTITY = "these pairs"


def learner(folder: Path, steps: int = 0) -> Learner:
    """One that has taken so many steps, each along a gradient of ones."""
    folder.mkdir(exist_ok=True)
    adapter = small_adapter(folder)
    start = torch.ones(1, 2 * adapter.config.tokens, adapter.config.text_dim)
    nothing: Any = None
    made = Learner(
        nothing, {}, adapter.config, start, None, [], [], TuningSettings(10, 1e-3, 1, 0, 3.5), "cpu", torch.float32
    )
    for _ in range(steps):
        made._tokens.grad = torch.ones_like(made._tokens)
        made._optimizer.step()
        made.step += 1
        made.losses.append(0.5)
    return made


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    keep(learner(tmp_path, 2), tmp_path / "states", IDENTITY)
    found, expected = learner(tmp_path), learner(tmp_path, 3)
    assert not resume(learner(tmp_path), tmp_path / "none", IDENTITY)
    assert resume(found, tmp_path / "states", IDENTITY) and found.step == 2
    found._tokens.grad = torch.ones_like(found._tokens)
    for group in found._optimizer.param_groups:
        group["lr"] = expected._optimizer.param_groups[0]["lr"]
    found._optimizer.step()
    assert torch.equal(found.tokens, expected.tokens)
    with pytest.raises(TuningError, match="holds the start of another run"):
        resume(learner(tmp_path), tmp_path / "states", "other pairs")


def without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda state: state.pop(key)


def with_value(value: Any, *keys: Any) -> Callable[[dict[str, Any]], object]:
    def change(state: dict[str, Any]) -> None:
        holder: Any = state
        for key in keys[:-1]:
            holder = holder[key]
        holder[keys[-1]] = value

    return change


MOMENTS = ("optimizer", "state", 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        *((without(key), f"it lacks {key}") for key in ("identity", "tokens", "optimizer", "best", "losses", "checks")),
        (without("step"), "it lacks step"),
        (with_value(5, "step"), "its step is '5'"),
        (with_value(True, "step"), "its step is 'True'"),
        (with_value(torch.ones(1), "tokens"), "another shape"),
        (with_value(torch.full((1, 8, 24), float("nan")), "tokens"), "another shape, or not finite"),
        (with_value("x", "tokens"), "is damaged"),
        (with_value([0.5], "losses"), "losses are not those"),
        (with_value([(1, 2, 3)], "checks"), "is damaged"),
        (with_value([(0, 0.5)], "checks"), "losses are not those"),
        (with_value(None, "optimizer"), "is damaged"),
        (with_value({}, "optimizer", "state"), "knows 0 parameters of 1"),
        (with_value({}, *MOMENTS), "lacks exp_avg, exp_avg_sq, step"),
        (with_value(torch.zeros(1, 1), *MOMENTS, "exp_avg"), "'exp_avg' is"),
        (with_value(torch.full((1, 8, 24), float("inf")), *MOMENTS, "exp_avg_sq"), "'exp_avg_sq' is"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str) -> None:
    keep(learner(tmp_path, 2), tmp_path / "states", IDENTITY)
    (path,) = saved_states(tmp_path / "states")
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    fresh = learner(tmp_path)
    with pytest.raises(CheckpointError, match=says):
        resume(fresh, tmp_path / "states", IDENTITY)
    assert fresh.step == 0 and not fresh.losses and torch.equal(fresh.tokens, torch.ones_like(fresh.tokens))
