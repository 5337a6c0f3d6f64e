"""Weights in ComfyUI's form: parts of a whole checkpoint, its own names for norms, and scaled float8.

A matrix in scaled float8 stands for ``scale * weight``. Its scale lies beside it, in one of two layouts: the older
``LAYER.scale_weight`` with a marker ``scaled_fp8`` for all; and ``LAYER.weight_scale`` with ``LAYER.comfy_quant``, JSON
that names the format, or with ``_quantization_metadata`` in the file's metadata, which does so for all layers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

from relation_core.errors import CheckpointError
from relation_core.files.json_file import parse_json
from relation_core.weights.kinds import quoted, shortened
from relation_core.weights.stored_tensor import StoredTensor

_Tensors = dict[str, torch.Tensor]
_Stored = dict[str, StoredTensor]
_Value = TypeVar("_Value")
_MARKER, _CONFIG, _METADATA = "scaled_fp8", ".comfy_quant", "_quantization_metadata"
_SCALES = (".scale_weight", ".weight_scale")
_UNUSED = (".scale_input", ".input_scale")
"""For products in float8; the products here are in the model's dtype."""
_FORMATS = {"float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}
_CONFIG_BYTES = 4096


def part_of(tensors: Mapping[str, _Value], prefixes: tuple[str, ...]) -> dict[str, _Value]:
    """Return the part of a checkpoint under the first prefix that is found; all of it if there is none."""
    for prefix in prefixes:
        part = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        if part:
            return part
    return dict(tensors)


def original_norm_names(tensors: Mapping[str, _Value]) -> dict[str, _Value]:
    """Rename the norms of queries and keys as in the original files, where the weight is called ``scale``."""
    return {_original(name): tensor for name, tensor in tensors.items()}


def is_weight(name: str) -> bool:
    """Whether a name is that of a weight, and not of a scale or of what says how weights are scaled."""
    return name != _MARKER and not name.endswith((_CONFIG, *_SCALES, *_UNUSED))


def has_scale(name: str, names: Collection[str]) -> bool:
    """Whether a scale lies beside a matrix."""
    return any(f"{name.removesuffix('.weight')}{ending}" in names for ending in _SCALES)


def quantisations(tensors: Mapping[str, StoredTensor], metadata: Mapping[str, str], path: Path) -> dict[str, str]:
    """Say how the matrices of layers are quantised, by the layers' names.

    Raises:
        CheckpointError: in a way that is not read here; the message names it.
    """
    formats = {**_formats_from_metadata(metadata, path), **_formats_beside(tensors, path)}
    strange = sorted({kind for kind in formats.values() if kind not in _FORMATS})
    if strange:
        raise CheckpointError(
            f"{path} is quantised as {shortened(strange)}, which is not read here; expected bfloat16, float16, "
            "float32, plain float8 or scaled float8. Use such a file, or edit in ComfyUI."
        )
    return formats


def unscaled(tensors: _Stored, metadata: Mapping[str, str], path: Path, dtype: torch.dtype | None = None) -> _Tensors:
    """Read weights, and multiply matrices in scaled float8 by their scales.

    Args:
        tensors: of one model, by name.
        metadata: of the file.
        path: of the file, for messages.
        dtype: what they become; None leaves those that are not scaled as they are, and makes the others float32.

    Returns:
        The tensors without scales and markers.

    Raises:
        CheckpointError: the file is quantised in a way that is not read here, or not whole.
    """
    formats = quantisations(tensors, metadata, path)
    scales = {
        name.removesuffix(ending): tensor
        for name, tensor in tensors.items()
        for ending in _SCALES
        if name.endswith(ending)
    }
    result: _Tensors = {}
    for name, tensor in tensors.items():
        if not is_weight(name):
            continue
        layer = name.removesuffix(".weight")
        if name == layer or (layer not in scales and layer not in formats):
            result[name] = tensor.load(dtype)
            continue
        value = _scaled(tensor, scales.pop(layer, None), formats.get(layer), f"{quoted(name)} in {path}")
        result[name] = value.to(dtype or value.dtype)
    if scales:
        raise CheckpointError(
            f"{path} has scales without a matrix for {shortened(sorted(scales))}; expected both. Download the file "
            "again."
        )
    return result


def _scaled(stored: StoredTensor, scale: StoredTensor | None, kind: str | None, where: str) -> torch.Tensor:
    tensor = stored.read()
    if tensor.dtype == torch.uint8 and kind is not None:
        tensor = tensor.view(_FORMATS[kind])
    value = 1.0 if scale is None else float(scale.read().float()) if scale.numel() == 1 else math.nan
    if tensor.dtype not in _FORMATS.values() or not math.isfinite(value):
        found = "no scale" if scale is None else f"a scale of {scale.shape}"
        raise CheckpointError(
            f"{where} is {tensor.dtype} with {found}; expected float8 with one finite number. Download the file "
            "again, or use one that is not quantised."
        )
    return tensor.float() * value


def _formats_from_metadata(metadata: Mapping[str, str], path: Path) -> dict[str, str]:
    if _METADATA not in metadata:
        return {}
    layers = _json(metadata[_METADATA].encode(errors="replace"), path).get("layers")
    return {
        layer.removeprefix("model.diffusion_model.").removeprefix("diffusion_model."): _format(config, path)
        for layer, config in (cast("dict[str, Any]", layers) if isinstance(layers, dict) else {}).items()
    }


def _formats_beside(tensors: Mapping[str, StoredTensor], path: Path) -> dict[str, str]:
    formats: dict[str, str] = {}
    for name, tensor in tensors.items():
        if name.endswith(_CONFIG):
            if tensor.dtype != torch.uint8 or tensor.numel() > _CONFIG_BYTES:
                raise CheckpointError(
                    f"{quoted(name)} in {path} is {tensor.dtype} of {tensor.numel()} values; expected JSON. Download "
                    "the file again."
                )
            formats[name.removesuffix(_CONFIG)] = _format(_json(tensor.read().numpy().tobytes(), path), path)
    return formats


def _format(config: Any, path: Path) -> str:
    kind: Any = cast("dict[str, Any]", config).get("format") if isinstance(config, dict) else None
    if not isinstance(kind, str):
        raise CheckpointError(f"{path} has a layer whose quantisation has no format; expected one. Download it again.")
    return kind


def _json(text: bytes, path: Path) -> dict[str, Any]:
    try:
        found: Any = parse_json(text)
    except ValueError as error:
        raise CheckpointError(
            f"{path} says of its quantisation what is not JSON; expected JSON, as ComfyUI writes it. Download it again."
        ) from error
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _original(name: str) -> str:
    for norm in ("query_norm", "key_norm"):
        if name.endswith(f".norm.{norm}.weight"):
            return f"{name.removesuffix('.weight')}.scale"
    return name
