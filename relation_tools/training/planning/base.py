"""The frozen models of a run, by the headers of their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from relation_core.errors import CheckpointError
from relation_core.weights.checkpoint import read_checkpoint
from relation_core.weights.kinds import described

from ...diffusers_host.folders import has_config, stored_tensors
from ...diffusers_host.gguf_file import GgufTensor
from ...diffusers_host.quantisation import matrices
from ...diffusers_host.settings import Quantization
from ...diffusers_host.transformer_file import outlined
from ..models import new_transformer
from ..settings import RunSettings

_BITS: dict[Quantization, float] = {"int8": 8, "fp8": 8, "nf4": 4 + 8 / 64 + 32 / (64 * 256)}
"""Of a value. NF4 has a scale in 8 bits for every 64, and a float32 for every 256 of these."""
_ROW_BYTES: dict[Quantization, int] = {"int8": 4, "fp8": 4, "nf4": 0}
"""Of a row's scale, at most."""


@dataclass(frozen=True)
class Base:
    """A transformer without values."""

    config: dict[str, Any]
    """Its sizes, for ``FluxTransformer2DModel``."""
    nbytes: int
    """As it is held while it is trained on, in whole."""
    file_bytes: int
    """As it is held while it is loaded."""
    decoded: int
    """Bytes of all its weights, decoded."""
    largest: int
    """Bytes of its largest block, decoded."""
    decoded_whole: bool
    """Whether the gradients keep a quantised block's decoded matrices, as those of a GGUF do."""


def base_of(settings: RunSettings, dtype: torch.dtype) -> Base:
    """Find the sizes of a run's transformer; its file is not read beyond its header.

    Raises:
        CheckpointError: there is no whole FLUX.1 transformer.
    """
    models, found = settings.models, dict[str, GgufTensor]()
    if models.new_transformer is not None:
        with torch.device("meta"):
            model = new_transformer(models.new_transformer)
    else:
        assert models.transformer is not None  # noqa: S101 - the settings have one or the other
        model, found = outlined(models.transformer)
    size = dtype.itemsize
    weights = sum(parameter.numel() for parameter in model.parameters())
    held = weights * size
    if found:
        held = sum(one.stored.nbytes if one.quantised else one.stored.numel() * size for one in found.values())
    elif models.quantize is not None:
        held = quantised_bytes(model, models.quantize, size)
    blocks = (*model.transformer_blocks, *model.single_transformer_blocks)
    largest = max(sum(parameter.numel() for parameter in block.parameters()) for block in blocks) * size
    dense = weights * size
    return Base(dict(model.config), held, held if found else dense, dense, largest, bool(found))


def quantised_bytes(model: nn.Module, kind: Quantization, size: int) -> int:
    """The bytes of a model once it is quantised, what is not in ``size`` bytes a value."""
    linears = [linear for _, _, linear in matrices(model)]
    values = sum(linear.weight.numel() for linear in linears)
    rows = sum(linear.out_features for linear in linears)
    rest = sum(parameter.numel() for parameter in model.parameters()) - values
    return int(values * _BITS[kind] / 8) + rows * _ROW_BYTES[kind] + rest * size


def encoders_bytes(settings: RunSettings) -> int:
    """The bytes of the autoencoder and the vision model in float32, which stay on the card for sheets."""
    vae = settings.models.vae
    vae = vae / "vae" if has_config(vae / "vae") else vae
    return 4 * (_weights(vae) + _weights(settings.models.vision))


def vision_width(path: Path) -> int:
    """The width of a SigLIP's output.

    Raises:
        CheckpointError: the file is no vision model.
    """
    stored = read_checkpoint(path).stored
    for name, tensor in stored.items():
        if name.endswith("post_layernorm.weight"):
            return tensor.shape[0]
    raise CheckpointError(
        f"{path} holds {described(stored)}; expected a SigLIP vision model, such as "
        "sigclip_vision_patch14_384.safetensors."
    )


def _weights(path: Path) -> int:
    stored = stored_tensors(path) if path.is_dir() else read_checkpoint(path).stored
    return sum(tensor.numel() for tensor in stored.values())
