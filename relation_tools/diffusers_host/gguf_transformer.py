"""Quantised tensors of a GGUF in a transformer, by diffusers' own layers that decode them where they are used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.quantizers.auto import DiffusersAutoQuantizer
from diffusers.quantizers.quantization_config import GGUFQuantizationConfig

from .gguf_file import GgufTensor
from .quantisation import library
from .strict_load import checked

_Tensors = dict[str, torch.Tensor]


def loaded(found: Mapping[str, GgufTensor], dtype: torch.dtype) -> _Tensors:
    """Read tensors: quantised matrices as diffusers' parameters, all else in a dtype.

    Raises:
        CheckpointError: the file was changed since it was opened.
    """
    return {name: _loaded(tensor, dtype) for name, tensor in found.items()}


def _loaded(tensor: GgufTensor, dtype: torch.dtype) -> torch.Tensor:
    if not tensor.quantised:
        return tensor.stored.load(dtype)
    made: Any = library("diffusers.quantizers.gguf.utils")
    kind = library("gguf").GGMLQuantizationType[tensor.kind]
    quantised = made.GGUFParameter(tensor.stored.read(), quant_type=kind)
    return quantised if len(tensor.shape) == 2 else made.dequantize_gguf_tensor(quantised).to(dtype)


def fill(model: FluxTransformer2DModel, tensors: _Tensors, path: Path, dtype: torch.dtype) -> FluxTransformer2DModel:
    """Give a model, made on the meta device, its weights, whose names and shapes fit, and return it.

    Raises:
        CheckpointError: a tensor that is not quantised has values that are not finite.
    """
    quantizer: Any = DiffusersAutoQuantizer.from_config(GGUFQuantizationConfig(compute_dtype=dtype))
    quantizer.preprocess_model(model=model, device_map=None, state_dict=tensors, keep_in_fp32_modules=[])
    plain: _Tensors = {}
    for name, tensor in tensors.items():
        if quantizer.check_if_quantized_param(model, tensor, name, tensors):
            quantizer.create_quantized_param(model, tensor, name, "cpu", tensors)
        else:
            plain[name] = tensor
    model.load_state_dict(checked(plain, path), strict=False, assign=True)
    quantizer.postprocess_model(model)
    return model
