"""Convert an adapter to one ``.safetensors`` file, without ever holding it in memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from relation_core.adapter.adapter import RelationAdapter, open_adapter
from relation_core.errors import CheckpointError
from relation_core.progress import Progress
from relation_core.weights.atomic import appearing
from relation_core.weights.checkpoint import SAFETENSORS_SUFFIXES
from relation_core.weights.library_card import BASE_MODEL, LibraryCard, card_metadata
from relation_core.weights.lock import alone_at
from relation_core.weights.safetensors_file import read_safetensors, safetensors_header
from relation_core.weights.stored_tensor import StoredTensor

FORMAT, VERSION = "relation_adapter", "1"

_PIECE_BYTES = 4 << 20


def convert_adapter(adapter: RelationAdapter, target: Path, overwrite: bool, progress: Progress) -> RelationAdapter:
    """Write an adapter to a ``.safetensors`` file: the same values in the same dtypes, under their canonical names.

    The weights go from the mapped file to the new one in pieces, and are then compared bit for bit. ``target`` appears
    when all of that is done, or not at all.

    Args:
        adapter: the adapter.
        target: the file to write.
        overwrite: whether it may replace a file.
        progress: one step a piece written, and one a piece compared; it may raise to stop.

    Returns:
        The adapter as opened from ``target``; it has the same fingerprint.

    Raises:
        CheckpointError: ``target`` cannot be written, or what was written cannot be read back.
        BusyError: another process writes it.
    """
    if not target.parent.is_dir():
        raise CheckpointError(f"There is no folder {target.parent} to write {target.name} to. Make it first.")
    try:
        with alone_at(target, "writing"):
            _convert(adapter, target, overwrite, progress)
    except OSError as error:
        raise CheckpointError(
            f"{target} could not be written ({error.strerror or error}). Nothing was changed: make room or choose "
            "another folder, and convert again."
        ) from error
    return open_adapter(target)


def _convert(adapter: RelationAdapter, target: Path, overwrite: bool, progress: Progress) -> None:
    tensors = adapter.weights()
    metadata = {"format": FORMAT, "version": VERSION, "head_dim": str(adapter.config.head_dim)}
    metadata |= card_metadata(
        LibraryCard("RelationAdapter", "Shows FLUX.1-dev an edit on a pair of pictures: before and after."),
        kind="relation-adapter",
        base_model=BASE_MODEL,
        tags="relation adapter, image edit",
        usage_hint="Choose it in Load RelationAdapter, with the LoRA that it was trained with.",
    )
    header = safetensors_header(tensors, metadata)
    _check_target(adapter, target, overwrite, len(header) + sum(tensor.nbytes for tensor in tensors.values()))
    progress.start(2 * sum(_count_pieces(tensor) for tensor in tensors.values()))
    with appearing(target) as unfinished:
        with unfinished.open("xb") as file:
            _write(file, header, tensors, progress)
        _compare(unfinished, tensors, progress)


def _check_target(adapter: RelationAdapter, target: Path, overwrite: bool, size: int) -> None:
    if target.suffix.lower() not in SAFETENSORS_SUFFIXES:
        raise CheckpointError(f"{target} does not end in .safetensors, the format that it would have. Name it so.")
    if target.is_dir():
        raise CheckpointError(f"{target} is a folder; expected the name of a file to write. Choose another name.")
    if target.exists() and target.samefile(adapter.path):
        raise CheckpointError(f"{target} is the file to be converted. Choose another name for the converted one.")
    if target.exists() and not overwrite:
        raise CheckpointError(f"{target} already exists. Choose another name, or add --overwrite to replace it.")
    free = shutil.disk_usage(target.parent).free
    if free < size:
        raise CheckpointError(
            f"{target.parent} has {free / 1e9:.2f} GB of room and {target.name} needs {size / 1e9:.2f} GB. Make room, "
            "or choose a folder on another disk."
        )


def _write(file: BinaryIO, header: bytes, tensors: Mapping[str, StoredTensor], progress: Progress) -> None:
    file.write(header)
    for name in sorted(tensors):
        for piece in _pieces(tensors[name]):
            file.write(cast("Any", piece.numpy()))  # as a buffer: no copy
            progress.step()
    file.flush()
    os.fsync(file.fileno())


def _compare(path: Path, tensors: Mapping[str, StoredTensor], progress: Progress) -> None:
    """Read a file back and compare it with what was written."""
    read, _ = read_safetensors(path)
    for name in sorted(tensors):
        written = read[name]
        same = written.dtype == tensors[name].dtype and written.shape == tensors[name].shape
        for expected, found in zip(_pieces(tensors[name]), _pieces(written), strict=same):
            same = same and torch.equal(expected, found)
            progress.step()
        if not same:
            raise CheckpointError(
                f"'{name}' in {path.parent} does not match what was written. The disk or memory of "
                "this machine is at fault: convert again, to another disk."
            )


def _pieces(tensor: StoredTensor) -> Generator[torch.Tensor]:
    """The bytes of a tensor, some rows at a time."""
    rows = _piece_rows(tensor)
    for start in range(0, tensor.shape[0], rows):
        yield tensor[start : start + rows].contiguous().view(torch.uint8).reshape(-1)


def _count_pieces(tensor: StoredTensor) -> int:
    return len(range(0, tensor.shape[0], _piece_rows(tensor)))


def _piece_rows(tensor: StoredTensor) -> int:
    return max(1, _PIECE_BYTES * tensor.shape[0] // max(1, tensor.nbytes))
