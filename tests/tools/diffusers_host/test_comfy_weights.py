"""Scaled float8 and ComfyUI's own names are the plain weights; what is quantised in another way is named."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from golden_case import GoldenCase
from random_weights import relative_error
from safetensors.torch import save_file
from small_pipeline import original_names

from relation_core.errors import CheckpointError
from relation_tools.diffusers_host.transformer_file import load_transformer

Tensors = dict[str, torch.Tensor]
FP8_ERROR = 0.04
"""Of float8_e4m3fn, three bits after the first: relative, over a whole matrix."""


def is_matrix(name: str, tensor: torch.Tensor) -> bool:
    return name.endswith(".weight") and tensor.ndim == 2 and "_in." not in name


def quantised(plain: Tensors, layout: str, kind: torch.dtype = torch.float8_e4m3fn) -> tuple[Tensors, dict[str, str]]:
    """Weights in scaled float8: old layout, new one, or new one with the formats in the metadata."""
    tensors: Tensors = {"scaled_fp8": torch.zeros(2, dtype=kind)} if layout == "old" else {}
    layers: dict[str, Any] = {}
    for name, tensor in plain.items():
        if not is_matrix(name, tensor):
            tensors[name] = tensor
            continue
        layer = name.removesuffix(".weight")
        scale = (tensor.abs().max() / torch.finfo(kind).max).float()
        tensors[name] = (tensor / scale).to(kind)
        tensors[f"{layer}.{'scale_weight' if layout == 'old' else 'weight_scale'}"] = scale
        tensors[f"{layer}.{'scale_input' if layout == 'old' else 'input_scale'}"] = torch.ones(())
        layers[layer] = {"format": str(kind).removeprefix("torch.")}
        if layout == "new":
            text = json.dumps({**layers[layer], "full_precision_matrix_mult": True}).encode()
            tensors[f"{layer}.comfy_quant"] = torch.tensor(list(text), dtype=torch.uint8)
    metadata = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers})}
    return tensors, metadata if layout == "metadata" else {}


@cache
def plain_weights(folder: Path) -> tuple[Tensors, Tensors]:
    """A golden transformer with large weights, under ComfyUI's names and as it is loaded."""
    names = original_names(folder / "transformer.safetensors")
    plain = {name: 300 * tensor if is_matrix(name, tensor) else tensor for name, tensor in names.items()}
    with TemporaryDirectory() as place:
        path = Path(place) / "plain.safetensors"
        save_file({name: tensor.contiguous().clone() for name, tensor in plain.items()}, path)
        loaded = load_transformer(path, torch.float32).state_dict()
        return plain, {name: tensor.clone() for name, tensor in loaded.items()}


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model."])
@pytest.mark.parametrize("layout", ["old", "new", "metadata"])
@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_scaled_float8(case: GoldenCase, tmp_path: Path, prefix: str, layout: str, kind: torch.dtype) -> None:
    plain, expected = plain_weights(case.folder)
    tensors, metadata = quantised(plain, layout, kind)
    path = tmp_path / "flux_fp8_scaled.safetensors"
    save_file({f"{prefix}{name}": tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    found = load_transformer(path, torch.float32).state_dict()
    bound = FP8_ERROR if kind == torch.float8_e4m3fn else 2 * FP8_ERROR
    assert found.keys() == expected.keys()
    assert max(relative_error(found[name], expected[name]) for name in found if expected[name].any()) < bound


def test_the_names_that_comfyui_saves(case: GoldenCase, tmp_path: Path) -> None:
    source = case.folder / "transformer.safetensors"
    names = {
        name.replace("query_norm.scale", "query_norm.weight").replace("key_norm.scale", "key_norm.weight"): tensor
        for name, tensor in original_names(source).items()
    }
    assert sum(name.endswith("key_norm.weight") for name in names) > 0
    path = tmp_path / "saved.safetensors"
    save_file({f"model.diffusion_model.{name}": tensor.contiguous().clone() for name, tensor in names.items()}, path)
    found, expected = load_transformer(path, torch.float32).state_dict(), case.transformer(lora=False).state_dict()
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


def broken(tensors: Tensors, how: str) -> Tensors:
    layer = next(name for name in tensors if name.endswith(".comfy_quant")).removesuffix(".comfy_quant")

    def config(text: str) -> torch.Tensor:
        return torch.tensor(list(text.encode()), dtype=torch.uint8)

    changes: dict[str, Tensors] = {
        "nvfp4": {f"{layer}.comfy_quant": config('{"format": "nvfp4"}')},
        "no JSON": {f"{layer}.comfy_quant": config("[" * 3000)},
        "no format": {f"{layer}.comfy_quant": config("[]")},
        "long": {f"{layer}.comfy_quant": torch.zeros(5000, dtype=torch.uint8)},
        "a scale a row": {f"{layer}.weight_scale": torch.ones(7)},
        "an infinite scale": {f"{layer}.weight_scale": torch.tensor(float("inf"))},
        "a scale too many": {"nothing.weight_scale": torch.ones(())},
        "integers": {f"{layer}.weight": torch.zeros(4, 4, dtype=torch.int8)},
    }
    return {**tensors, **changes[how]}


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("nvfp4", "quantised as 'nvfp4', which is not read here; expected .* scaled float8"),
        ("no JSON", "not JSON; expected JSON"),
        ("no format", "no format; expected one"),
        ("long", "of 5000 values; expected JSON"),
        ("a scale a row", r"a scale of \(7,\); expected float8 with one finite number"),
        ("an infinite scale", "expected float8 with one finite number"),
        ("a scale too many", "scales without a matrix for 'nothing'"),
        ("integers", "is torch.int8 with a scale"),
    ],
)
def test_what_is_not_read_is_named(case: GoldenCase, tmp_path: Path, how: str, says: str) -> None:
    tensors, _ = quantised(original_names(case.folder / "transformer.safetensors"), "new")
    path = tmp_path / "flux.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in broken(tensors, how).items()}, path)
    with pytest.raises(CheckpointError, match=says):
        load_transformer(path, torch.float32)
