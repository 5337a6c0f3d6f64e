"""Products with matrices that are too big to hold: block by block, straight from the mapped file."""

from __future__ import annotations

import torch
import torch.nn.functional as F

BLOCK_BYTES = 4 << 20
"""Size of a block once it is in the dtype of the product. Small enough to stay in a processor's cache and to be
taken from memory that was used before; large enough that a block costs more than the call."""


def streamed_linear(inputs: torch.Tensor, matrix: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Multiply by a matrix that lies on disk, holding one block of its rows at a time.

    A block travels in the file's dtype and becomes that of the inputs where they are; if it is both
    already, it is used where it is mapped.

    Args:
        inputs: (n, columns), on the device and in the dtype to compute in.
        matrix: (rows, columns) in any float dtype.
        bias: (rows,) like the inputs, or None.

    Returns:
        (n, rows), like the inputs.
    """
    result = inputs.new_empty(inputs.shape[0], matrix.shape[0])
    rows = max(1, BLOCK_BYTES // (matrix.shape[1] * inputs.element_size()))
    for start in range(0, matrix.shape[0], rows):
        part = slice(start, start + rows)
        block = matrix[part].to(inputs.device).to(inputs.dtype)
        result[:, part] = F.linear(inputs, block, None if bias is None else bias[part])
        del block  # before the next one is made
    return result
