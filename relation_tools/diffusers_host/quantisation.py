"""A frozen transformer in fewer bits: torchao's 8-bit integers and float8, bitsandbytes' 4-bit NF4.

The matrices of the blocks are quantised, 99 % of FLUX.1; embeddings, norms and the last layer stay as they are. What is
computed stays in the model's dtype: a matrix is decoded where it is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from relation_core.errors import RelationAdapterError
from relation_core.files.json_file import read_json

from .settings import Quantization

_LIBRARIES = {"int8": "torchao.quantization", "fp8": "torchao.quantization", "nf4": "bitsandbytes"}
_BLOCKS = ("transformer_blocks.", "single_transformer_blocks.")


def library(name: str) -> Any:
    """Import a library of the extra ``quantize``, or a module of it.

    Raises:
        RelationAdapterError: it is not installed, or broken.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:  # their own libraries in C++ raise whatever they run into
        package = "gguf" if "gguf" in name else name.partition(".")[0]
        raise RelationAdapterError(
            f"This needs {package}, which cannot be imported ({str(error)[:200]}). Run `pip install {package}`, or "
            "`pip install '.[quantize]'` in the project's folder for all that reads and makes quantised models."
        ) from error


def is_stored_quantised(model: Path) -> bool:
    """Whether a transformer is quantised in its file or folder; errors are left to the code that opens it."""
    if model.suffix.lower() == ".gguf":
        return True
    folder = model / "transformer" if (model / "transformer" / "config.json").is_file() else model
    try:
        return "quantization_config" in read_json(folder / "config.json")
    except (OSError, ValueError, TypeError):
        return False


def check_quantization(kind: Quantization | None, model: Path | None, device: torch.device | str) -> None:
    """Refuse what cannot be quantised or read quantised, before anything is loaded.

    Args:
        kind: what the transformer is to be quantised to; None leaves it as it is in its file.
        model: the transformer's file or folder; None for a new one.
        device: where it computes.

    Raises:
        RelationAdapterError: a library is missing, the file is quantised already, or the device cannot compute it.
    """
    if model is not None and model.suffix.lower() == ".gguf":
        library("gguf")
    if kind is None:
        return
    check_not_quantised_twice(kind, model)
    if torch.device(device).type == "mps" and kind != "int8":
        raise RelationAdapterError(
            f"{kind} was asked for on mps, where PyTorch has no float8 and bitsandbytes no NF4 of its own; expected "
            "cuda or cpu. Use int8, or a GGUF file."
        )
    library(_LIBRARIES[kind])


def check_not_quantised_twice(kind: Quantization | None, model: Path | None) -> None:
    """Refuse to quantise what is quantised in its file or folder.

    Raises:
        RelationAdapterError: it is.
    """
    if kind is not None and model is not None and is_stored_quantised(model):
        raise RelationAdapterError(
            f"{model} is quantised already; expected a model in bfloat16, float16, float32 or float8 to quantise to "
            f"{kind}. Leave the quantisation out, or name the file that is not quantised."
        )


def quantise(model: nn.Module, kind: Quantization, device: torch.device | str) -> None:
    """Quantise the matrices of a transformer's blocks, or all of another model, one after the other, on the device.

    Args:
        model: one that is not quantised, frozen and without a LoRA of its own.
        kind: to what.
        device: where each matrix is quantised, and stays.

    Raises:
        RelationAdapterError: it is quantised already.
    """
    if is_quantised(model):
        raise RelationAdapterError(
            f"The model is quantised already; expected one in floating-point numbers to quantise to {kind}. "
            "Leave the quantisation out."
        )
    made: Any = library(_LIBRARIES[kind])
    for parent, name, linear in list(matrices(model)):
        linear.to(device)
        if kind == "nf4":
            setattr(parent, name, _nf4(made, linear, device))
        else:
            made.quantize_(linear, made.Int8WeightOnlyConfig() if kind == "int8" else made.Float8WeightOnlyConfig())
    model.requires_grad_(False)


def is_quantised(transformer: nn.Module) -> bool:
    """Whether some matrix of a model is not plain floating-point numbers, to whose values nothing can be added."""
    linears = (module for module in transformer.modules() if isinstance(module, nn.Linear))
    return any(type(one.weight) is not nn.Parameter or not one.weight.is_floating_point() for one in linears)


def matrices(model: Any) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """The matrices of a transformer's blocks, or all of another model: their modules, names there, and themselves."""
    within = "" if getattr(model, "transformer_blocks", None) is None else _BLOCKS
    for path, module in model.named_modules():
        if path.startswith(within):
            for name, inner in module.named_children():
                if isinstance(inner, nn.Linear):
                    yield module, name, inner


def _nf4(made: Any, linear: Any, device: torch.device | str) -> nn.Module:
    with torch.device("meta"):
        new = made.nn.Linear4bit(
            linear.in_features,
            linear.out_features,
            linear.bias is not None,
            compute_dtype=linear.weight.dtype,
            quant_type="nf4",
        )
    new.weight = made.nn.Params4bit(linear.weight.data, requires_grad=False, quant_type="nf4", module=new)
    new.bias = linear.bias
    return new.to(device)  # which is when it is quantised
