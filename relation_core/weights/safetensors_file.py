"""The one reader of ``.safetensors`` files (https://github.com/huggingface/safetensors#format).

A file is the header's length in 8 bytes, the header as JSON, and the values of the tensors in one stretch without gaps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from ..errors import CheckpointError, printable
from .kinds import quoted
from .opened_file import OpenedFile
from .stored_tensor import StoredTensor

MAX_HEADER_BYTES = 16 << 20
"""The format allows 100 MB, which take gigabytes once parsed. Headers of the largest models have less than 1 MB."""
_METADATA = "__metadata__"
_ALIGNMENT = 8
_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    **{
        name: getattr(torch, kind)
        for name, kind in {
            "U16": "uint16",
            "U32": "uint32",
            "U64": "uint64",
            "F8_E8M0": "float8_e8m0fnu",
            "F8_E4M3FNUZ": "float8_e4m3fnuz",
            "F8_E5M2FNUZ": "float8_e5m2fnuz",
        }.items()
        if hasattr(torch, kind)  # older versions of PyTorch have fewer
    },
}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def read_safetensors(path: Path) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Read a file's header and check it against the file.

    Returns:
        The tensors by name, not read yet, and the metadata.

    Raises:
        CheckpointError: the file is missing, no regular file, or not whole; the message says why.
    """
    file = OpenedFile(path)
    try:
        length = _header_length(file)
        header = _parsed(bytes(file.read(8, length).numpy()))
        metadata = _metadata(header.pop(_METADATA, None))
        return _tensors(header, file, 8 + length), metadata
    except _BrokenError as error:
        raise CheckpointError(
            f"{path} is not a complete .safetensors file: {error}. Expected a complete download: download the file "
            "again."
        ) from error


def safetensors_header(tensors: Mapping[str, StoredTensor], metadata: Mapping[str, str]) -> bytes:
    """Make the beginning of a file, which its tensors follow in the order of their names, aligned."""
    entries: dict[str, object] = {_METADATA: dict(metadata)}
    start = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        end = start + tensor.nbytes
        entries[name] = {
            "dtype": _DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
        start = end
    return _header(entries)


def sorted_metadata(file: bytes) -> bytes:
    """Sort the metadata of a file that the library wrote, which leaves their order to chance."""
    size = int.from_bytes(file[:8], "little")
    entries: dict[str, Any] = json.loads(file[8 : 8 + size])
    metadata: dict[str, str] = entries.pop(_METADATA, {})
    return _header({_METADATA: dict(sorted(metadata.items())), **entries}) + file[8 + size :]


def _header(entries: Mapping[str, object]) -> bytes:
    """The length and the text, padded so that the values after it are aligned."""
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


class _BrokenError(Exception):
    """Describe what is wrong with a file."""


def _header_length(file: OpenedFile) -> int:
    if file.size < 8:
        raise _BrokenError(f"it has {file.size} bytes")
    length = int.from_bytes(file.read(0, 8).numpy().tobytes(), "little")
    if length > MAX_HEADER_BYTES:
        raise _BrokenError(f"its header would have {length:,} bytes, more than the {MAX_HEADER_BYTES:,} that are read")
    if 8 + length > file.size:
        raise _BrokenError(f"its header would have {length:,} bytes, and the file has {file.size:,}")
    return length


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        header: Any = json.loads(text.decode("utf-8"), object_pairs_hook=_each_once)
    except _BrokenError:
        raise
    except UnicodeDecodeError as error:
        raise _BrokenError("its header is not text") from error
    except RecursionError as error:
        raise _BrokenError("its header is nested too deeply") from error
    except ValueError as error:
        raise _BrokenError(f"its header is not JSON ({printable(str(error))[:100]})") from error
    if not isinstance(header, dict):
        raise _BrokenError("its header is no JSON object")
    return cast("dict[str, Any]", header)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise _BrokenError(f"{quoted(twice)} appears twice in its header")
    return found


def _metadata(found: Any) -> dict[str, str]:
    if found is None:
        return {}
    values = cast("dict[str, Any]", found).values() if isinstance(found, dict) else [None]
    if not all(isinstance(value, str) for value in values):
        raise _BrokenError("its metadata are not texts by name")
    return cast("dict[str, str]", found)


def _tensors(header: Mapping[str, Any], file: OpenedFile, start: int) -> dict[str, StoredTensor]:
    places: list[tuple[int, int, str]] = []
    tensors: dict[str, StoredTensor] = {}
    for name, found in header.items():
        dtype, shape, begin, end = _entry(name, found)
        if math.prod(shape) * dtype.itemsize != end - begin:
            raise _BrokenError(
                f"{quoted(name)} is of shape {str(shape)[:100]} and {dtype}, and {end - begin:,} bytes are set aside "
                "for it"
            )
        tensors[name] = StoredTensor(dtype, shape, file, start + begin)
        places.append((begin, end, name))
    end = 0
    for begin, following, name in sorted(places):
        if begin != end:
            raise _BrokenError(f"{quoted(name)} begins at byte {begin:,} of the values; the one before ends at {end:,}")
        end = following
    if start + end != file.size:
        raise _BrokenError(f"it would have {start + end:,} bytes with all its tensors, and it has {file.size:,}")
    return tensors


def _entry(name: str, found: Any) -> tuple[torch.dtype, tuple[int, ...], int, int]:
    entry = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _BrokenError(f"{quoted(name)} in its header has not the dtype, shape and data_offsets of a tensor")
    dtype = _DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise _BrokenError(f"{quoted(name)} is stored as {quoted(str(entry['dtype']))}, a dtype that is not known here")
    shape, offsets = (_counts(entry[key]) for key in ("shape", "data_offsets"))
    if shape is None or offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _BrokenError(f"{quoted(name)} has a shape or a place in the file that is none")
    return dtype, shape, offsets[0], offsets[1]


def _counts(found: Any) -> tuple[int, ...] | None:
    values = cast("list[Any]", found) if isinstance(found, list) else [-1]
    sound = len(values) <= 64 and all(type(value) is int and 0 <= value < 2**63 for value in values)
    return tuple(values) if sound else None
