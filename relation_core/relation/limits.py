"""The limits of a relation. Saving and loading share one check, so that every saved relation can be loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch

from ..adapter.config import FLOAT_DTYPES
from ..errors import ExemplarError
from ..settings.bounds import WEIGHT, check_number

MAX_PAIRS = 64
MAX_THUMBNAIL_SIDE = 1024
MAX_VALUES = 1 << 28
"""Values in all tokens together, four times as many as 64 pairs of the released adapter have."""
MAX_TOKEN = 65_504.0
"""The largest float16. Tokens are about 1; the squares of far larger ones overflow, which would make keys of 0."""


class _Sized(Protocol):
    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


def size_problem(tokens: _Sized, weights: _Sized, thumbnails: _Sized) -> str | None:
    """Describe what is wrong with the sizes of a relation's parts, before their values are read.

    Args:
        tokens: (P, 2N, D) floats.
        weights: (P,) float64.
        thumbnails: (P, height, width, 3) uint8.
    """
    pairs = tokens.shape[0] if len(tokens.shape) == 3 else 0
    if tokens.dtype not in FLOAT_DTYPES or not 1 <= pairs <= MAX_PAIRS or not 0 < math.prod(tokens.shape) <= MAX_VALUES:
        return f"its tokens are {tokens.dtype} of shape {tuple(tokens.shape)} (at most {MAX_PAIRS} pairs are possible)"
    if weights.dtype != torch.float64 or tuple(weights.shape) != (pairs,):
        return f"its weights are {weights.dtype} of shape {tuple(weights.shape)}"
    sides = tuple(thumbnails.shape[1:3])
    small = len(sides) == 2 and all(1 <= side <= MAX_THUMBNAIL_SIDE for side in sides)
    if thumbnails.dtype != torch.uint8 or tuple(thumbnails.shape) != (pairs, *sides, 3) or not small:
        return f"its pictures are {thumbnails.dtype} of shape {tuple(thumbnails.shape)}"
    return None


def value_problem(tokens: torch.Tensor, pair_weights: Sequence[float]) -> str | None:
    """Describe what is wrong with a relation's values."""
    largest = float(tokens.abs().max())
    if not math.isfinite(largest):
        return "its tokens are not all finite"
    if largest > MAX_TOKEN:
        return f"its tokens reach {largest:.3g}; expected about 1, and at most {MAX_TOKEN:g}"
    wrong = [weight for weight in pair_weights if not WEIGHT.hold(weight)]
    return f"it has the weight {wrong[0]}; expected {WEIGHT}" if wrong else None


def check_weight(weight: float) -> None:
    """Refuse an invalid pair weight.

    Raises:
        ExemplarError: it is negative, NaN or infinite.
    """
    check_number("weight", weight, WEIGHT, ExemplarError)


def check_pair_count(pairs: int) -> None:
    """Refuse more pairs than a relation can hold, or none.

    Raises:
        ExemplarError: the number is out of range.
    """
    if not 1 <= pairs <= MAX_PAIRS:
        raise ExemplarError(
            f"A relation of {pairs} exemplar pairs was asked for; expected 1 to {MAX_PAIRS}. Choose fewer pairs: a few "
            "good ones say more than many."
        )
