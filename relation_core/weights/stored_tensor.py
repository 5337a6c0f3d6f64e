"""Tensors in a file, read only as far as requested."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .opened_file import OpenedFile


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that lies in a file as contiguous rows, or is kept in memory as it was read."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    file: OpenedFile
    offset: int
    """Offset in the file, in bytes."""
    held: torch.Tensor | None = None
    """The tensor itself, if the file does not have it as rows."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Size of its values in bytes."""
        return self.numel() * self.dtype.itemsize

    def numel(self) -> int:
        """Number of its values."""
        return math.prod(self.shape)

    def read(self) -> torch.Tensor:
        """Read all of it.

        Raises:
            CheckpointError: the file was changed since it was opened.
        """
        if self.held is not None:
            return self.held
        return self.file.read(self.offset, self.nbytes).view(self.dtype).reshape(self.shape)

    def __getitem__(self, rows: slice) -> torch.Tensor:
        """Read some rows, indexed as in a tensor.

        Raises:
            CheckpointError: the file was changed since it was opened.
        """
        if self.held is not None:
            return self.held[rows]
        start, stop, step = rows.indices(self.shape[0])
        if step != 1:
            raise IndexError("only rows one after the other can be read")
        shape = (max(0, stop - start), *self.shape[1:])
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        return self.file.read(self.offset + start * row, shape[0] * row).view(self.dtype).reshape(shape)

    def mapped(self) -> torch.Tensor:
        """Return a view into the mapped file: it takes no memory, but if the file is truncated, the process ends."""
        if self.held is not None:
            return self.held
        if not self.nbytes:
            return torch.empty(self.shape, dtype=self.dtype)
        flat = torch.frombuffer(self.file.mapped, dtype=self.dtype, count=self.numel(), offset=self.offset)
        return flat.reshape(self.shape)
