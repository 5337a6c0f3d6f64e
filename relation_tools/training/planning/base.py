"""The frozen models of a run, by the headers of their files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from torch import nn

from relation_core.vision.vision_file import VisionConfig, expected_vision_shapes

from ...diffusers_host.autoencoder import outlined_autoencoder
from ...diffusers_host.quantisation import matrices
from ...diffusers_host.settings import Quantization
from ...diffusers_host.transformer_file import Outline, outlined
from ..models import new_transformer
from ..settings import RunSettings

_BITS: dict[Quantization, float] = {"int8": 8, "fp8": 8, "nf4": 4 + 8 / 64 + 32 / (64 * 256)}
"""Of a value. NF4 has a scale in 8 bits for every 64, and a float32 for every 256 of these."""
_ROW_BYTES: dict[Quantization, int] = {"int8": 4, "fp8": 4, "nf4": 0}
"""Of a row's scale, at most."""


@dataclass(frozen=True)
class Base:
    """A transformer without values."""

    model: FluxTransformer2DModel
    """On the meta device."""
    nbytes: int
    """As it is held while it is trained on, in whole."""
    file_bytes: int
    """As it is held while it is loaded."""
    decoded: int
    """Bytes of all its weights, decoded."""
    outside: int
    """Bytes of what is in none of its blocks, decoded."""
    largest: int
    """Bytes of its largest block, decoded."""
    decoded_whole: bool
    """Whether the gradients keep a quantised block's decoded matrices, as those of a GGUF do."""
    packed: bool
    """Whether its file or folder is quantised."""

    @property
    def config(self) -> dict[str, Any]:
        """Its sizes, for ``FluxTransformer2DModel``."""
        return dict(self.model.config)


def base_of(settings: RunSettings, dtype: torch.dtype) -> Base:
    """Find the sizes of a run's transformer; its file is not read beyond its header.

    Raises:
        CheckpointError: there is no whole FLUX.1 transformer.
    """
    models = settings.models
    if models.new_transformer is not None:
        with torch.device("meta"):
            found = Outline(new_transformer(models.new_transformer))
    else:
        assert models.transformer is not None  # noqa: S101 - the settings have one or the other
        found = outlined(models.transformer)
    model, size = found.model, dtype.itemsize
    dense = sum(parameter.numel() for parameter in model.parameters()) * size
    held = loaded = sum(one.nbytes if one.dtype.itemsize == 1 else one.numel() * size for one in found.packed) or dense
    if models.quantize is not None:
        held = quantised_bytes(model, models.quantize, size)
    blocks = (*model.transformer_blocks, *model.single_transformer_blocks)
    sizes = [sum(parameter.numel() for parameter in block.parameters()) * size for block in blocks]
    return Base(model, held, loaded, dense, dense - sum(sizes), max(sizes), found.is_gguf, bool(found.packed))


def quantised_bytes(model: nn.Module, kind: Quantization, size: int) -> int:
    """The bytes of a model once it is quantised, what is not in ``size`` bytes a value."""
    linears = [linear for _, _, linear in matrices(model)]
    values = sum(linear.weight.numel() for linear in linears)
    rows = sum(linear.out_features for linear in linears)
    rest = sum(parameter.numel() for parameter in model.parameters()) - values
    return int(values * _BITS[kind] / 8) + rows * _ROW_BYTES[kind] + rest * size


def encoders_bytes(settings: RunSettings, vision: VisionConfig) -> int:
    """The bytes of the autoencoder and the vision model in float32, which stay on the card for sheets.

    Raises:
        CheckpointError: there is no autoencoder of FLUX.1's latents.
    """
    seeing = sum(math.prod(shape) for shape in expected_vision_shapes(vision).values())
    return 4 * (seeing + sum(one.numel() for one in outlined_autoencoder(settings.models.vae).parameters()))
