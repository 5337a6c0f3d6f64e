"""The noise schedule, with its parts and its bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from relation_core.errors import RelationAdapterError
from relation_core.flux.schedule import relation_sigmas, token_shift


def test_the_shift_is_that_of_the_authors() -> None:
    assert token_shift(256) == pytest.approx(0.5)
    assert token_shift(4096) == pytest.approx(1.15)
    assert token_shift(2176) == pytest.approx(0.825)


@pytest.mark.parametrize("tokens", [1, 256, 1024, 4096, 16384, 36864, 262144])
@pytest.mark.parametrize("steps", [1, 2, 24, 1000])
def test_it_falls_from_1_to_0(steps: int, tokens: int) -> None:
    sigmas = relation_sigmas(steps, tokens)
    assert (sigmas.shape, sigmas.dtype) == ((steps + 1,), torch.float32)
    assert sigmas[0] == 1 and sigmas[-1] == 0
    assert (sigmas.diff() < 0).all()


@pytest.mark.parametrize("steps", [1, 6, 24])
def test_source_tokens_count(steps: int) -> None:
    """The authors' formula, written out for 2 * 1024 tokens."""
    mu = 0.5 + (1.15 - 0.5) * (2048 - 256) / (4096 - 256)
    linear = np.linspace(1.0, 1 / steps, steps)
    expected = math.exp(mu) / (math.exp(mu) + 1 / linear - 1)
    np.testing.assert_allclose(relation_sigmas(steps, 1024)[:-1].numpy(), expected, rtol=1e-6)


def test_only_levels_that_float32_cannot_tell_apart_are_moved() -> None:
    """At 3328 x 3328 pixels the first of 24 levels are nearer to each other than float32 can tell."""
    shift = math.exp(token_shift(2 * 208 * 208))
    exact = shift / (shift + 24 / np.arange(24, 0, -1) - 1)
    rounded, sigmas = exact.astype(np.float32), relation_sigmas(24, 208 * 208)[:-1].numpy()
    equal = np.flatnonzero(np.diff(rounded) == 0) + 1
    assert 0 < len(equal) < 23
    np.testing.assert_allclose(sigmas, exact, rtol=0, atol=24 * 2.0**-24)
    assert (sigmas[-3:] == rounded[-3:]).all()


@pytest.mark.parametrize("denoise", [0.01, 0.3, 0.5, 0.75, 0.999])
@pytest.mark.parametrize("steps", [1, 10, 24])
def test_less_denoise_keeps_the_end_of_a_longer_schedule(steps: int, denoise: float) -> None:
    sigmas = relation_sigmas(steps, 1024, denoise)
    whole = relation_sigmas(int(steps / denoise), 1024)
    torch.testing.assert_close(sigmas, whole[-(steps + 1) :], rtol=1e-6, atol=0)


def test_no_denoise_is_no_step() -> None:
    assert relation_sigmas(24, 1024, 0.0).numel() == 0


def test_the_smallest_denoise_costs_no_memory() -> None:
    sigmas = relation_sigmas(10000, 1024, 1e-12)
    assert sigmas.shape == (10001,) and 0 < sigmas[0] < 1e-11


@pytest.mark.parametrize(("steps", "denoise"), [(0, 1.0), (-3, 1.0), (24, -0.1), (24, 1.1), (24, math.nan)])
def test_what_has_no_meaning_is_refused(steps: int, denoise: float) -> None:
    says = f"Got steps = {steps}; " if steps < 1 else f"Got denoise = {denoise}; expected a number from 0 to 1"
    with pytest.raises(RelationAdapterError, match=says):
        relation_sigmas(steps, 1024, denoise)
