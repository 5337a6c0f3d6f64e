"""Products with matrices that are too large for memory: block by block, straight from the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
import torch.nn.functional as F

BLOCK_BYTES = 4 << 20
"""Size of a block once it is in the dtype of the product. Small enough to stay in the processor's cache and to reuse
memory, and large enough that the work outweighs the call."""


class Matrix(Protocol):
    """A matrix whose rows can be read: a tensor, or a matrix in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns)."""
        ...

    def __getitem__(self, rows: slice, /) -> torch.Tensor:
        """Read some rows."""
        ...


def streamed_linear(
    inputs: torch.Tensor, matrix: Matrix, bias: torch.Tensor | None = None, rows: slice = slice(None)
) -> torch.Tensor:
    """Multiply by a matrix on disk, with one block of its rows in memory at a time.

    A block is moved in the file's dtype and converted on the inputs' device.

    Args:
        inputs: (n, columns), on the device and in the dtype to compute in.
        matrix: (all rows, columns) in any float dtype.
        bias: (rows,) like the inputs, or None.
        rows: those of the matrix to multiply by.

    Returns:
        (n, rows), like the inputs.

    Raises:
        CheckpointError: the file was changed in the meantime.
    """
    first, last, _ = rows.indices(matrix.shape[0])
    result = inputs.new_empty(inputs.shape[0], last - first)
    for start, stop in _row_blocks(last - first, matrix.shape[1], inputs.element_size()):
        part = slice(start, stop)
        block = matrix[first + start : first + stop].to(inputs.device).to(inputs.dtype)
        result[:, part] = F.linear(inputs, block, None if bias is None else bias[part])
        del block  # before the next one is made
    return result


def streamed_product(inputs: torch.Tensor, matrix: Matrix) -> torch.Tensor:
    """:func:`streamed_linear` without a bias, through which gradients reach the inputs; the matrix is a constant.

    The backward product is streamed too, so the whole matrix is never in memory.
    """
    if not torch.is_grad_enabled():
        return streamed_linear(inputs, matrix)
    return _StreamedProduct.apply(inputs, matrix)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


class _StreamedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, matrix: Matrix) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.matrix = matrix  # never changed, so it does not need save_for_backward
        return streamed_linear(inputs, matrix)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _streamed_gradient(gradient, ctx.matrix), None


def _streamed_gradient(gradient: torch.Tensor, matrix: Matrix) -> torch.Tensor:
    """``gradient @ matrix``: (n, rows) with (rows, columns), summed over blocks of rows in float32 or wider."""
    sums = torch.float64 if gradient.dtype == torch.float64 else torch.float32
    total = gradient.new_zeros(gradient.shape[0], matrix.shape[1], dtype=sums)
    for start, stop in _row_blocks(matrix.shape[0], matrix.shape[1], gradient.element_size()):
        part = slice(start, stop)
        block = matrix[part].to(gradient.device).to(gradient.dtype)
        total += gradient[:, part] @ block
        del block
    return total.to(gradient.dtype)


def _row_blocks(rows: int, columns: int, element_size: int) -> Iterator[tuple[int, int]]:
    most = max(1, BLOCK_BYTES // (columns * element_size))
    for start in range(0, rows, most):
        yield start, min(start + most, rows)
