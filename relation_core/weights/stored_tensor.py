"""Tensors in a file, read only as far as requested."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch

from ..files.memory import fits_in_memory
from .opened_file import OpenedFile


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that lies in a file, or is held as it was read."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    file: OpenedFile
    offset: int
    """Offset in the file, in bytes."""
    held: torch.Tensor | None = None
    """The tensor, where the file does not have its values one by one."""
    stride: tuple[int, ...] | None = None
    """Steps between its values in the file, as of a tensor's; None for rows without gaps."""

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
        if self.stride is not None:
            return self._gathered
        return self.file.read(self.offset, self.nbytes).view(self.dtype).reshape(self.shape)

    @cached_property
    def _gathered(self) -> torch.Tensor:
        """All of a tensor without rows, kept: some of its rows are spread over all of the file."""
        assert self.stride is not None  # noqa: S101 - it is asked for here alone
        if not self.nbytes:
            return torch.empty(self.shape, dtype=self.dtype)
        last = sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        flat = self.file.read(self.offset, (last + 1) * self.dtype.itemsize).view(self.dtype)
        return flat.as_strided(self.shape, self.stride)

    def __getitem__(self, rows: slice) -> torch.Tensor:
        """Read some rows, indexed as in a tensor.

        Raises:
            CheckpointError: the file was changed since it was opened.
        """
        if self.held is not None or self.stride is not None:
            return self.read()[rows]
        start, stop, step = rows.indices(self.shape[0])
        if step != 1:
            raise IndexError("only rows one after the other can be read")
        shape = (max(0, stop - start), *self.shape[1:])
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        return self.file.read(self.offset + start * row, shape[0] * row).view(self.dtype).reshape(shape)

    def load(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Take all of it into memory in a dtype, its own if none is given; keep it mapped where memory is short.

        Raises:
            CheckpointError: the file was changed since it was opened.
        """
        as_it_is = self.held is None and self.stride is None and dtype in (None, self.dtype)
        if as_it_is and not fits_in_memory(self.nbytes):
            return self.mapped()
        return self.read().to(dtype or self.dtype)

    def mapped(self) -> torch.Tensor:
        """A view into the mapped file: no memory is taken, but a file that is cut short meanwhile ends the process."""
        if self.held is not None or self.stride is not None:
            return self.read()
        if not self.nbytes:
            return torch.empty(self.shape, dtype=self.dtype)
        flat = torch.frombuffer(self.file.mapped, dtype=self.dtype, count=self.numel(), offset=self.offset)
        return flat.reshape(self.shape)
