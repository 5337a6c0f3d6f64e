"""Reading tensors from ``.safetensors`` and ``.bin``/``.pt`` files: memory-mapped, never running code."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open

from .errors import CheckpointError

logger = logging.getLogger(__name__)

SAFETENSORS_SUFFIXES = frozenset({".safetensors", ".sft"})
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt"})
SUFFIXES = SAFETENSORS_SUFFIXES | PICKLE_SUFFIXES


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of one file under flat, dotted names."""

    path: Path
    tensors: Mapping[str, torch.Tensor]
    """Views into the mapped file: reading one touches only its own pages."""
    metadata: Mapping[str, str]
    """The header's text entries (``.safetensors`` only)."""


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Map a weights file into memory.

    Nested dictionaries of a pickle are flattened with dots. Pickles are read with
    ``weights_only=True``, so code in them is refused and never run.

    Raises:
        CheckpointError: the file is missing, damaged, of an unknown format, holds code,
            or holds anything but named tensors.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if not path.is_file():
        raise CheckpointError(f"There is no file {path}. Check the name and the folder.")
    if suffix in SAFETENSORS_SUFFIXES:
        return _read_safetensors(path)
    if suffix in PICKLE_SUFFIXES:
        return _read_pickle(path)
    raise CheckpointError(
        f"{path} ends in '{path.suffix}', but weights are read from {', '.join(sorted(SUFFIXES))} files only."
    )


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with cast("Any", safe_open)(path, framework="pt", device="cpu") as file:  # untyped
            tensors: dict[str, torch.Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata: dict[str, str] = file.metadata() or {}
    except Exception as error:  # the reader raises its own and other kinds for damaged files
        raise CheckpointError(
            f"{path} is not a whole .safetensors file ({error}). Expected a complete download: fetch the file again."
        ) from error
    return Checkpoint(path, tensors, metadata)


def _read_pickle(path: Path) -> Checkpoint:
    try:
        mappable = zipfile.is_zipfile(path)
        if mappable:
            _check_stored(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mappable)
    except CheckpointError:
        raise
    except Exception as error:  # unpickling damaged bytes can raise almost anything
        raise CheckpointError(_pickle_problem(path, error)) from error
    tensors: dict[str, torch.Tensor] = {}
    _flatten(path, content, "", tensors, depth=0)
    return Checkpoint(path, tensors, {})


def _check_stored(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise CheckpointError(
                    f"{path} is a compressed archive ('{entry.filename}' is packed), which cannot be mapped into "
                    "memory. Expected a file as torch.save writes it: fetch the original file."
                )


def _pickle_problem(path: Path, error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    if "weights_only" in str(error).lower() or "unsupported global" in str(error).lower():
        return (
            f"{path} is a pickle that holds more than plain tensors, and what else is in it was not run ({reason}). "
            "Expected tensors only: do not trust this file, and fetch the weights from their official address."
        )
    return (
        f"{path} is not a whole weights file ({reason}). Expected a complete file written by torch.save: "
        "fetch the file again."
    )


def _flatten(path: Path, content: object, prefix: str, tensors: dict[str, torch.Tensor], depth: int) -> None:
    if isinstance(content, torch.Tensor):
        if content.layout != torch.strided or content.device.type != "cpu" or content.is_quantized:
            raise CheckpointError(f"'{prefix}' in {path} is a {content.layout} tensor; expected a plain dense one.")
        if prefix in tensors:
            raise CheckpointError(f"'{prefix}' stands twice in {path}. Expected every name once.")
        tensors[prefix] = content.detach()
        return
    if not isinstance(content, Mapping) or depth > 4:
        where = f"'{prefix}'" if prefix else "the top level"
        raise CheckpointError(
            f"{path} has a {type(cast('object', content)).__name__} at {where}; "
            "expected dictionaries of named tensors only."
        )
    for name, value in cast("Mapping[Any, object]", content).items():
        if not isinstance(name, str):
            raise CheckpointError(f"{path} has a key of type {type(name).__name__} under '{prefix}'; expected text.")
        _flatten(path, value, f"{prefix}.{name}" if prefix else name, tensors, depth + 1)
