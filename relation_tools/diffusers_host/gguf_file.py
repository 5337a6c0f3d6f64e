"""The tensors of a GGUF file, quantised as they lie there (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).

The ``gguf`` library maps a file and believes its counts; this reads it by calls that can fail, and holds every count to
the file's size. What the kinds of blocks are, and how they are decoded, is left to ``gguf`` and diffusers.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from relation_core.errors import CheckpointError
from relation_core.weights.kinds import quoted
from relation_core.weights.opened_file import OpenedFile
from relation_core.weights.stored_tensor import StoredTensor

from .quantisation import library

SUFFIX = ".gguf"
_MAGIC, _VERSIONS, _ALIGNMENT = b"GGUF", (2, 3), 32
_MOST_HEADER = 64 << 20
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of the kinds of values in the header; 8 is text and 9 a list."""
_TEXT, _LIST, _UINT32 = 8, 9, 4
_PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_MOST_AXES = 4


@dataclass(frozen=True)
class GgufTensor:
    """A tensor in a GGUF file."""

    kind: str
    """Its name in ggml, such as Q8_0."""
    shape: tuple[int, ...]
    """Of its values, as in PyTorch."""
    stored: StoredTensor
    """Its values, or (..., bytes of a row) uint8 where it is quantised."""

    @property
    def quantised(self) -> bool:
        """Whether it lies there in blocks that must be decoded."""
        return self.kind not in _PLAIN


def is_gguf(path: Path) -> bool:
    """Whether a file is called a GGUF."""
    return path.suffix.lower() == SUFFIX


def read_gguf(path: Path) -> Mapping[str, GgufTensor]:
    """Find the tensors of a file; only its header is read.

    Raises:
        CheckpointError: it is no GGUF, not whole, or has blocks of a kind that diffusers does not decode.
    """
    file = OpenedFile(path)
    header = _Header(file)
    try:
        if header.take(4) != _MAGIC or header.number("<I") not in _VERSIONS:
            raise ValueError("it does not start as a GGUF of version 2 or 3")
        tensors, entries = header.number("<Q"), header.number("<Q")
        alignment = _alignment(header, entries)
        infos = [_info(header) for _ in range(header.count(tensors, 24))]
    except (struct.error, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"{path} is not a complete GGUF ({error}). Expected one such as flux1-dev-Q8_0.gguf: download it again."
        ) from error
    start = -(-header.place // alignment) * alignment
    found = {name: _tensor(file, name, shape, kind, start + offset) for name, shape, kind, offset in infos}
    if len(found) != len(infos):
        raise CheckpointError(f"{path} has two tensors of one name. Expected each once: download it again.")
    return found


class _Header:
    """The start of a file, read from front to back."""

    def __init__(self, file: OpenedFile) -> None:
        self._bytes = file.read(0, min(file.size, _MOST_HEADER)).numpy().tobytes()
        self.place = 0

    def take(self, length: int) -> bytes:
        if length > len(self._bytes) - self.place:
            raise ValueError("its header ends early")
        self.place += length
        return self._bytes[self.place - length : self.place]

    def number(self, form: str) -> int:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def count(self, number: int, least_bytes: int) -> int:
        """A number of things of at least so many bytes, which must fit into what is left."""
        if number * least_bytes > len(self._bytes) - self.place:
            raise ValueError(f"it says that it has {number:,} entries, for which it is too short")
        return number

    def text(self) -> str:
        return self.take(self.number("<Q")).decode("utf-8")


def _alignment(header: _Header, entries: int) -> int:
    """Read past the entries about the model; they tell where tensors are aligned."""
    alignment = _ALIGNMENT
    for _ in range(header.count(entries, 13)):
        name, kind = header.text(), header.number("<I")
        if name == "general.alignment" and kind == _UINT32:
            alignment = header.number("<I")
        else:
            _skip(header, kind)
    if not 0 < alignment <= 1 << 20:
        raise ValueError(f"its tensors are aligned to {alignment} bytes")
    return alignment


def _skip(header: _Header, kind: int) -> None:
    if kind == _TEXT:
        header.text()
    elif kind == _LIST:
        inner, length = header.number("<I"), header.number("<Q")
        if inner in _SIZES:
            header.take(length * _SIZES[inner])
        elif inner == _TEXT:
            for _ in range(header.count(length, 8)):
                header.text()
        else:
            raise ValueError(f"it has a list of kind {inner}")
    elif kind in _SIZES:
        header.take(_SIZES[kind])
    else:
        raise ValueError(f"it has an entry of kind {kind}")


def _info(header: _Header) -> tuple[str, tuple[int, ...], int, int]:
    """Name, shape, number of the kind, and offset of a tensor."""
    name, axes = header.text(), header.number("<I")
    if axes > _MOST_AXES:
        raise ValueError(f"{quoted(name)} has {axes} axes")
    shape = tuple(header.number("<Q") for _ in range(axes))[::-1]
    if 0 in shape:  # beside which the other axes may claim any length
        raise ValueError(f"{quoted(name)} is {shape}, which holds no values")
    return name, shape, header.number("<I"), header.number("<Q")


def _tensor(file: OpenedFile, name: str, shape: tuple[int, ...], number: int, offset: int) -> GgufTensor:
    kinds: Any = library("gguf")
    try:
        kind = kinds.GGMLQuantizationType(number)
    except ValueError:
        kind = None
    decoded: Any = library("diffusers.quantizers.gguf.utils").SUPPORTED_GGUF_QUANT_TYPES
    if kind is None or (kind.name not in _PLAIN and kind not in decoded):
        raise CheckpointError(
            f"{quoted(name)} in {file.path} is quantised as {number if kind is None else kind.name}, which diffusers "
            f"does not decode; expected {', '.join(one.name for one in decoded)}, or floating-point numbers. Use such "
            "a file, or edit in ComfyUI, with ComfyUI-GGUF."
        )
    if kind.name in _PLAIN:
        stored = StoredTensor(_PLAIN[kind.name], shape, file, offset)
    else:
        values, length = kinds.GGML_QUANT_SIZES[kind]
        if not shape or shape[-1] % values:
            raise CheckpointError(
                f"{quoted(name)} in {file.path} is {shape} in blocks of {values}; expected whole blocks in every row. "
                "Download it again."
            )
        stored = StoredTensor(torch.uint8, (*shape[:-1], shape[-1] // values * length), file, offset)
    if offset + math.prod(stored.shape) * stored.dtype.itemsize > file.size:
        raise CheckpointError(
            f"{file.path} is not a complete GGUF: {quoted(name)} ends beyond it. Expected a complete download: "
            "download it again."
        )
    return GgufTensor(kind.name, shape, stored)
