"""Rewriting an adapter as one ``.safetensors`` file, without ever holding it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from safetensors import safe_open

from relation_core.adapter.adapter import RelationAdapter, open_adapter
from relation_core.errors import CheckpointError
from relation_core.progress import Progress
from relation_core.weights.atomic import appearing
from relation_core.weights.checkpoint import SAFETENSORS_SUFFIXES

FORMAT, VERSION = "relation_adapter", "1"

_PIECE_BYTES = 16 << 20
_ALIGNMENT = 8
_DTYPE_NAMES = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}


def convert_adapter(adapter: RelationAdapter, target: Path, overwrite: bool, progress: Progress) -> RelationAdapter:
    """Write an adapter to a ``.safetensors`` file: the same values in the same dtypes, under their canonical names.

    The weights go from the mapped file to the new one in pieces, and are then compared bit for bit.
    ``target`` appears when all of that is done, or not at all.

    Args:
        adapter: the adapter.
        target: the file to write.
        overwrite: whether it may replace a file.
        progress: one step a piece written, and one a piece compared; it may raise to stop.

    Returns:
        The adapter as opened from ``target``; it has the same fingerprint.

    Raises:
        CheckpointError: ``target`` cannot be written, or what was written cannot be read back.
    """
    tensors = adapter.weights()
    header = _header(tensors, adapter)
    _check_target(adapter, target, overwrite, len(header) + sum(tensor.nbytes for tensor in tensors.values()))
    progress.start(2 * sum(len(list(_pieces(tensor))) for tensor in tensors.values()))
    try:
        with appearing(target) as unfinished:
            with unfinished.open("xb") as file:
                _write(file, header, tensors, progress)
            _compare(unfinished, tensors, progress)
    except OSError as error:
        raise CheckpointError(
            f"{target} could not be written ({error.strerror or error}). Nothing was changed: make room or choose "
            "another folder, and convert again."
        ) from error
    return open_adapter(target)


def _check_target(adapter: RelationAdapter, target: Path, overwrite: bool, size: int) -> None:
    if target.suffix.lower() not in SAFETENSORS_SUFFIXES:
        raise CheckpointError(f"{target} does not end in .safetensors, the format that it would have. Name it so.")
    if not target.parent.is_dir():
        raise CheckpointError(f"There is no folder {target.parent} to write {target.name} to. Make it first.")
    if target.is_dir():
        raise CheckpointError(f"{target} is a folder; expected the name of a file to write. Choose another name.")
    if target.exists() and target.samefile(adapter.path):
        raise CheckpointError(f"{target} is the file to be converted. Choose another name for the converted one.")
    if target.exists() and not overwrite:
        raise CheckpointError(f"{target} exists already. Choose another name, or ask to overwrite it (--overwrite).")
    free = shutil.disk_usage(target.parent).free
    if free < size:
        raise CheckpointError(
            f"{target.parent} has {free / 1e9:.2f} GB of room and {target.name} needs {size / 1e9:.2f} GB. Make room, "
            "or choose a folder on another disk."
        )


def _header(tensors: Mapping[str, torch.Tensor], adapter: RelationAdapter) -> bytes:
    """The beginning of the file: its length in 8 bytes, then JSON that is padded so that the values are aligned."""
    metadata = {"format": FORMAT, "version": VERSION, "head_dim": str(adapter.config.head_dim)}
    entries: dict[str, object] = {"__metadata__": metadata}
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
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _write(file: BinaryIO, header: bytes, tensors: Mapping[str, torch.Tensor], progress: Progress) -> None:
    file.write(header)
    for name in sorted(tensors):
        for piece in _pieces(tensors[name]):
            file.write(cast("Any", piece.numpy()))  # as a buffer: no copy
            progress.step()
    file.flush()
    os.fsync(file.fileno())


def _compare(path: Path, tensors: Mapping[str, torch.Tensor], progress: Progress) -> None:
    """Read a file back and hold it against what it should be."""
    with cast("Any", safe_open)(path, framework="pt", device="cpu") as file:  # untyped
        for name in sorted(tensors):
            written: torch.Tensor = file.get_tensor(name)
            same = written.dtype == tensors[name].dtype and written.shape == tensors[name].shape
            for expected, found in zip(_pieces(tensors[name]), _pieces(written), strict=same):
                same = same and torch.equal(expected, found)
                progress.step()
            if not same:
                raise CheckpointError(
                    f"'{name}' was read back from {path.parent} otherwise than it was written. The disk or the memory "
                    "of this machine is at fault: convert again, to another disk."
                )


def _pieces(tensor: torch.Tensor) -> Generator[torch.Tensor]:
    """The bytes of a tensor, some rows at a time."""
    rows = max(1, _PIECE_BYTES // max(1, tensor[0].nbytes))
    for start in range(0, tensor.shape[0], rows):
        yield tensor[start : start + rows].contiguous().view(torch.uint8).reshape(-1)
