"""Tensors kept in 8 bits: whole numbers, and a scale for each row, such as a token's head."""

from __future__ import annotations

from typing import NamedTuple

import torch

_LARGEST = 127


class EightBits(NamedTuple):
    """A tensor of rows in 8 bits."""

    numbers: torch.Tensor
    """int8, of the tensor's shape."""
    scales: torch.Tensor
    """float32 (..., 1): what a 1 in each row stands for."""
    dtype: torch.dtype
    """Of the tensor."""

    @classmethod
    def of(cls, values: torch.Tensor) -> EightBits:
        """Round a tensor (..., d). A row that is not finite is not finite afterwards either."""
        rows = values.float()
        scales = rows.abs().amax(-1, keepdim=True) / _LARGEST
        numbers = (rows / scales.clamp_min(torch.finfo(torch.float32).tiny)).round().to(torch.int8)
        return cls(numbers, scales, values.dtype)

    def values(self) -> torch.Tensor:
        """The tensor, each number within a 254th of its row's largest."""
        return (self.numbers * self.scales).to(self.dtype)


def bytes_a_number(row: int) -> float:
    """Bytes that a number takes in rows of so many, its part of the scale included."""
    return 1 + 4 / row
