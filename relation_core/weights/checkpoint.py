"""Reading tensors from ``.safetensors`` and ``.bin``/``.pt`` files: memory-mapped, never running code."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open

from ..errors import CheckpointError
from .kinds import quoted

SAFETENSORS_SUFFIXES = frozenset({".safetensors", ".sft"})
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt"})
SUFFIXES = SAFETENSORS_SUFFIXES | PICKLE_SUFFIXES

_DEEPEST = 4
"""Dictionaries within dictionaries: the released file has two."""
_REFUSED = re.compile(r"\b(?:GLOBAL|Unsupported class) ([\w.]+)")
"""How PyTorch words the refusal of a pickle's name."""
_REMEDY = "The file is damaged or no weights file: fetch the original again."


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
        found = "a folder" if path.is_dir() else "nothing"
        raise CheckpointError(f"There is {found} at {path}; expected a file. Check the name and the folder.")
    if suffix in SAFETENSORS_SUFFIXES:
        return _read_safetensors(path)
    if suffix in PICKLE_SUFFIXES:
        return _read_pickle(path)
    raise CheckpointError(
        f"{path} ends in '{path.suffix}'; expected weights in a file that ends in {', '.join(sorted(SUFFIXES))}. Check "
        "its name, or fetch the original file."
    )


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with cast("Any", safe_open)(path, framework="pt", device="cpu") as file:  # untyped
            tensors: dict[str, torch.Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata: dict[str, str] = file.metadata() or {}
    except Exception as error:  # the reader raises its own and other kinds for damaged files
        raise CheckpointError(
            f"{path} is not a whole .safetensors file ({_first_words(error)}). Expected a complete download: fetch the "
            "file again."
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
    return Checkpoint(path, _flatten(path, content), {})


def _check_stored(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise CheckpointError(
                    f"{path} is a compressed archive ({quoted(entry.filename)} is packed), which cannot be mapped into "
                    "memory. Expected a file as torch.save writes it: fetch the original file."
                )


def _pickle_problem(path: Path, error: Exception) -> str:
    refused = _REFUSED.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
    if refused:
        return (
            f"{path} is a pickle that holds more than plain tensors: it asks for {refused[1]}, which was not run. "
            "Expected tensors only: do not trust this file, and fetch the weights from their official address."
        )
    return (
        f"{path} is not a whole weights file ({_first_words(error)}). Expected a complete file written by torch.save: "
        "fetch the file again."
    )


def _first_words(error: Exception) -> str:
    """What an error says, without the advice around it, which may be to run the code in the file."""
    said = str(error)
    if isinstance(error, pickle.UnpicklingError):  # advice, the error, and where to read more, in paragraphs
        said = said.partition("\n\nCheck the documentation")[0].rpartition("\n\n")[2].rpartition("error: ")[2]
    first = re.split(r"[.] |[\n\x1b]", said.strip())[0].rstrip(".")
    if "weights_only" in first:
        first = "of a form that may hold code"
    return f"{type(error).__name__}: {first[:200]}"


def _flatten(path: Path, content: object) -> dict[str, torch.Tensor]:
    """Name every tensor by its keys, with dots. No method is called that the file could have put in its objects."""
    tensors: dict[str, torch.Tensor] = {}
    visited: set[int] = set()
    pending: list[tuple[list[str], object]] = [([], content)]
    while pending:
        keys, value = pending.pop()
        name = ".".join(keys)
        if isinstance(value, torch.Tensor) and keys:
            if name in tensors:
                raise CheckpointError(f"{quoted(name)} stands twice in {path}; expected every name once. {_REMEDY}")
            tensors[name] = _plain(path, name, value)
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
            pending.append(([*keys, key], part))
    return tensors


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
