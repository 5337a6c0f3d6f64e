"""Read tensors from ``.safetensors`` and ``.bin``/``.pt`` files: only those requested, and never running code."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch

from ..errors import CheckpointError, printable
from .kinds import quoted
from .opened_file import OpenedFile
from .pickled_file import stream_claims, zip_claims
from .pickled_tensors import ClaimError, TensorClaim
from .safetensors_file import read_safetensors
from .stored_tensor import StoredTensor

SAFETENSORS_SUFFIXES = frozenset({".safetensors", ".sft"})
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt"})
SUFFIXES = SAFETENSORS_SUFFIXES | PICKLE_SUFFIXES

_DEEPEST = 4
"""Levels of nested dictionaries; the released file has two."""
_REFUSED = re.compile(r"\b(?:GLOBAL|Unsupported class) ([\w.]+)")
"""PyTorch's wording when it refuses a name in a pickle."""
_REMEDY = "The file is damaged or no weights file: download the original again."


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of one file under flat, dotted names."""

    path: Path
    stored: Mapping[str, StoredTensor]
    """Not read yet. Reading one fails if the file has changed since it was opened."""
    metadata: Mapping[str, str]
    """The header's text entries (``.safetensors`` only)."""

    @cached_property
    def tensors(self) -> Mapping[str, torch.Tensor]:
        """All of them, read.

        Raises:
            CheckpointError: the file was changed since it was opened.
        """
        return {name: tensor.load() for name, tensor in self.stored.items()}


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Find the tensors of a weights file.

    Nested dictionaries of a pickle are flattened with dots. Pickles are read with ``weights_only=True``, so code in
    them is refused and never run.

    Raises:
        CheckpointError: the file is missing, damaged, of an unknown format, holds code,
            or holds anything but named tensors.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in SAFETENSORS_SUFFIXES:
        return Checkpoint(path, *read_safetensors(path))
    if suffix in PICKLE_SUFFIXES:
        return _read_pickle(path)
    raise CheckpointError(
        f"{path} ends in '{path.suffix}'; expected weights in a file that ends in {', '.join(sorted(SUFFIXES))}. Check "
        "its name, or download the original file."
    )


def _read_pickle(path: Path) -> Checkpoint:
    file = OpenedFile(path)
    try:
        mappable = zipfile.is_zipfile(path)
        claims, records = zip_claims(file) if mappable else stream_claims(file)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mappable)
    except CheckpointError:
        raise
    except Exception as error:  # unpickling damaged bytes can raise almost anything
        raise CheckpointError(_pickle_problem(path, error)) from error
    stored = _flatten(file, content, claims, records)
    return Checkpoint(path, {name: _unmapped(tensor) for name, tensor in stored.items()} if mappable else stored, {})


def _pickle_problem(path: Path, error: Exception) -> str:
    refused = _REFUSED.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
    if refused:
        return (
            f"{path} is a pickle that holds more than plain tensors: it asks for {refused[1]}, which was not run. "
            "Expected tensors only: do not trust this file, and download the weights from their official address."
        )
    if isinstance(error, ClaimError):
        return (
            f"{path} is no plain weights file: {printable(str(error))}. Expected named tensors, all of whose values "
            "are in the file: do not trust it, and download the weights from their official address."
        )
    return (
        f"{path} is not a complete weights file ({_first_words(error)}). Expected a complete file written by "
        "torch.save: download the file again."
    )


def _first_words(error: Exception) -> str:
    """The message of an error without its advice, which may be to run the code in the file."""
    said = str(error)
    if isinstance(error, pickle.UnpicklingError):  # advice, the error, and where to read more, in paragraphs
        said = said.partition("\n\nCheck the documentation")[0].rpartition("\n\n")[2].rpartition("error: ")[2]
    first = re.split(r"[.] |[\n\x1b]", said.strip())[0].rstrip(".")
    if "weights_only" in first:
        first = "of a form that may hold code"
    return f"{type(error).__name__}: {printable(first[:200])}"


def _flatten(file: OpenedFile, content: object, claims: Any, records: Mapping[str, int]) -> dict[str, StoredTensor]:
    """Name every tensor by its keys, joined with dots. No method of an object from the file is called."""
    path = file.path
    tensors: dict[str, StoredTensor] = {}
    visited: set[int] = set()
    pending: list[tuple[list[str], object, Any]] = [([], content, claims)]
    while pending:
        keys, value, claim = pending.pop()
        name = ".".join(keys)
        if isinstance(value, torch.Tensor) and keys:
            if name in tensors:
                raise CheckpointError(f"{quoted(name)} appears twice in {path}; expected each name once. {_REMEDY}")
            tensors[name] = _placed(file, _plain(path, name, value), claim, records)
            continue
        inner = cast("dict[object, object]", value) if isinstance(value, dict) else None
        if inner is None or len(keys) > _DEEPEST or id(inner) in visited:
            where = f"at {quoted(name)}" if keys else "at the top level"
            kind = type(cast("object", value)).__name__
            raise CheckpointError(
                f"{path} has a {kind} {where}; expected dictionaries of named tensors only. {_REMEDY}"
            )
        visited.add(id(inner))
        for key, part in cast("Iterable[tuple[object, object]]", dict.items(inner)):
            if not isinstance(key, str):
                raise CheckpointError(f"{path} has a {type(key).__name__} for a name; expected text. {_REMEDY}")
            inside = cast("dict[str, Any]", claim) if isinstance(claim, dict) else {}
            pending.append(([*keys, key], part, inside.get(key)))
    return tensors


def _unmapped(stored: StoredTensor) -> StoredTensor:
    """Copy a tensor that is held into memory: PyTorch has it mapped."""
    return stored if stored.held is None else replace(stored, held=stored.held.clone())


def _plain(path: Path, name: str, tensor: torch.Tensor) -> torch.Tensor:
    tensor = torch.Tensor.detach(tensor)
    problem = None
    if tensor.is_nested or tensor.is_quantized or tensor.layout != torch.strided or tensor.device.type != "cpu":
        kind = "nested" if tensor.is_nested else "quantized" if tensor.is_quantized else tensor.layout
        problem = f"is a tensor of a special kind ({kind}, on {tensor.device}); expected a plain dense one"
    elif tensor.nbytes > tensor.untyped_storage().nbytes():
        problem = f"claims more values than the file has, {tuple(tensor.shape)}; expected them all"
    if problem:
        raise CheckpointError(f"{quoted(name)} in {path} {problem}. {_REMEDY}")
    return tensor


def _placed(file: OpenedFile, tensor: torch.Tensor, claim: Any, records: Mapping[str, int]) -> StoredTensor:
    """Find where a tensor lies in the file; one that does not lie there value by value is held, as a copy in memory."""
    as_claimed = (
        isinstance(claim, TensorClaim)
        and claim.storage.key in records
        and (claim.dtype, claim.shape, claim.stride) == (tensor.dtype, tuple(tensor.shape), tensor.stride())
        and not tensor.is_neg()
        and not tensor.is_conj()
    )
    if not as_claimed:
        return StoredTensor(tensor.dtype, tuple(tensor.shape), file, 0, tensor)
    offset = records[claim.storage.key] + claim.offset * tensor.dtype.itemsize
    stride = None if tensor.is_contiguous() else tensor.stride()
    return StoredTensor(tensor.dtype, tuple(tensor.shape), file, offset, stride=stride)
