"""Tensors in 8 bits."""

from __future__ import annotations

import pytest
import torch

from relation_core.flux.eight_bits import EightBits, bytes_a_number


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_numbers_stay_within_half_a_step_of_their_row(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 3, 50, 128, generator=generator)
    values *= torch.logspace(-4, 3, 50)[:, None]  # rows of every size
    values = values.to(dtype)
    kept = EightBits.of(values)
    found = kept.values()
    assert found.dtype == dtype and found.shape == values.shape
    step = values.float().abs().amax(-1, keepdim=True) / 127
    stored = torch.finfo(dtype).eps * values.float().abs()  # the dtype rounds once more
    assert bool(((found.float() - values.float()).abs() <= 0.501 * step + stored).all())
    held = sum(part.nbytes for part in (kept.numbers, kept.scales))
    assert held == values.numel() * bytes_a_number(128)
    assert held < 0.52 * values.nbytes if dtype != torch.float32 else held < 0.26 * values.nbytes


def test_the_largest_and_zero_stay_what_they_are() -> None:
    values = torch.tensor([[3.0, -3.0, 0.0], [0.0, 0.0, 0.0], [-0.25, 0.0, 0.125]])
    found = EightBits.of(values).values()
    assert torch.equal(found[1], values[1])
    assert torch.allclose(found.abs().amax(-1), values.abs().amax(-1), rtol=1e-6, atol=0)
    assert bool((found[values == 0] == 0).all())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_hidden(bad: float) -> None:
    values = torch.ones(3, 128)
    values[1, 5] = bad
    finite = EightBits.of(values).values().isfinite().all(-1)
    assert finite.tolist() == [True, False, True]
