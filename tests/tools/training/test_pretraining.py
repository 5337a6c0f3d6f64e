"""The loop that trains the frozen parts of a small model ends the same after a stop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from relation_core.randomness import generator_of
from relation_tools.training.curve import read_curve
from relation_tools.training.pretraining import PretrainingOptions, pretrain


def trained(options: PretrainingOptions, stop_at: int | None = None) -> torch.nn.Module:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))

    def losses(step: int) -> dict[str, torch.Tensor]:
        if step == stop_at:
            raise KeyboardInterrupt
        inputs = torch.randn(16, 3, generator=generator_of(0, step))
        error = module(inputs) - inputs[:, :2]
        return {"squared": error.square().mean(), "absolute": 0.1 * error.abs().mean()}

    pretrain(module, losses, options)
    return module


def test_a_stopped_run_ends_the_same(tmp_path: Path) -> None:
    whole, parts = (
        PretrainingOptions(tmp_path / name, steps=30, warmup=5, decay=10, record_every=5, save_every=4)
        for name in ("whole", "parts")
    )
    expected = trained(whole).state_dict()
    for step in (3, 17, 28):
        with pytest.raises(KeyboardInterrupt):
            trained(parts, stop_at=step)
    found = trained(parts).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    losses = [float(row["squared"]) for row in read_curve(tmp_path / "whole" / "curve.csv")]
    assert len(losses) == 6 and losses[-1] < 0.9 * losses[0]
