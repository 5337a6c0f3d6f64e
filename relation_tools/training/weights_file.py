"""Write weights files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from relation_core.errors import CheckpointError
from relation_core.weights.atomic import appearing
from relation_core.weights.safetensors_file import sorted_metadata

_TORCH: Any = safetensors.torch  # partly untyped


def write_weights(
    path: Path, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype, metadata: dict[str, str] | None = None
) -> Path:
    """Write copies of tensors in one dtype to a ``.safetensors`` file, which appears whole or not at all.

    The same tensors and metadata make the same file.

    Raises:
        CheckpointError: it cannot be written; what was there stays.
    """
    copies = {name: tensor.detach().to("cpu", dtype).contiguous().clone() for name, tensor in tensors.items()}
    try:
        with appearing(path) as unfinished:
            _TORCH.save_file(copies, unfinished, metadata=metadata)
            _sort_metadata(unfinished)
    except (OSError, SafetensorError) as error:  # the library words a full disk as an error of its own
        reason = error.strerror if isinstance(error, OSError) else None
        raise CheckpointError(
            f"{path} could not be written ({reason or error}). Expected room for it: make room, and start the same "
            "command again; it goes on from its last state."
        ) from error
    return path


def _sort_metadata(path: Path) -> None:
    with path.open("r+b") as file:
        length = file.read(8)
        header = length + file.read(int.from_bytes(length, "little"))
        ordered = sorted_metadata(header)
        if len(ordered) == len(header):  # else the values would have to move
            file.seek(0)
            file.write(ordered)
