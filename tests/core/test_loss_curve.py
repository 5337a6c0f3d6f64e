"""The curve that a learning draws without any further library."""

from __future__ import annotations

import numpy as np
import pytest

from relation_core.pictures.loss_curve import draw_loss_curve


def heights(losses: list[float]) -> np.ndarray:
    """For columns from left to right, the row of the smooth line."""
    pixels = np.asarray(draw_loss_curve(losses)).astype(int)
    blue = (pixels[..., 2] - pixels[..., 0] > 100) & (pixels[..., 2] > 150)
    return np.array([np.flatnonzero(column).mean() for column in blue.T[95:920:50]])


def test_a_falling_loss_falls() -> None:
    rows = heights([10 * 0.97**step for step in range(200)])
    assert (np.diff(rows) > 0).all()
    assert np.diff(rows)[6:] == pytest.approx(np.diff(rows)[6:].mean(), abs=2)  # straight: the scale is logarithmic


@pytest.mark.parametrize("losses", [[1.0], [0.5, 0.5], [0.0, 0.0], [0.0, 1.0]])
def test_few_and_equal_losses_are_drawn(losses: list[float]) -> None:
    assert draw_loss_curve(losses).size == (960, 540)
