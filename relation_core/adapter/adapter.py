"""An adapter file that has been checked, and its weights when they are needed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import CheckpointError
from ..flux.sizes import HEAD_DIM
from ..weights.checkpoint import read_checkpoint
from ..weights.kinds import quoted
from ..weights.stored_tensor import StoredTensor
from .config import RelationConfig, infer_config
from .keys import canonical_names


@dataclass(frozen=True)
class RelationAdapter:
    """An adapter on disk. It holds no weights: they are read where they are needed, some rows at a time."""

    path: Path
    config: RelationConfig
    fingerprint: str
    """16 hexadecimal digits that identify the weights, whatever the file's name and format."""

    def weights(self) -> Mapping[str, StoredTensor]:
        """Find the weights, by canonical name. The file stays open as long as the result is referenced.

        Raises:
            CheckpointError: the file changed since it was opened.
        """
        tensors, config = _read_adapter(self.path)
        if config != self.config or _fingerprint(tensors) != self.fingerprint:
            raise CheckpointError(f"{self.path} was replaced while it was in use. Run the loader again.")
        return tensors


def open_adapter(path: str | Path) -> RelationAdapter:
    """Read an adapter's names, shapes and fingerprint: about a megabyte of the file.

    Raises:
        CheckpointError: it is not a whole RelationAdapter file (see :mod:`.checkpoint` and :mod:`.config`).
    """
    path = Path(path)
    tensors, config = _read_adapter(path)
    return RelationAdapter(path, config, _fingerprint(tensors))


def _read_adapter(path: Path) -> tuple[dict[str, StoredTensor], RelationConfig]:
    checkpoint = read_checkpoint(path)
    source = canonical_names(checkpoint.stored, path)
    tensors = {canonical: checkpoint.stored[name] for canonical, name in source.items()}
    return tensors, infer_config(tensors, path, _head_dim(checkpoint.metadata, path))


def _head_dim(metadata: Mapping[str, str], path: Path) -> int:
    text = metadata.get("head_dim", str(HEAD_DIM))
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise CheckpointError(
            f"The metadata of {path} says head_dim = {quoted(text)}; expected 1 or more. Convert the released "
            "file again."
        )
    return int(text)


def _fingerprint(tensors: Mapping[str, StoredTensor]) -> str:
    """Hash names, shapes, dtypes and some values: other weights change it, another file format does not.

    It covers whole vectors, and the first and last row of each matrix, which touch few pages of the file.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.shape} {tensor.dtype}\n".encode())
        sample = tensor.read() if tensor.ndim == 1 else torch.cat([tensor[:1], tensor[-1:]])
        digest.update(sample.float().numpy().tobytes())
    return digest.hexdigest()[:16]
