"""A quantised transformer computes nearly what the plain one does, and LoRAs are in it, beside it, or refused."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf_writing import decoded, flux_gguf, write_gguf
from golden_case import GoldenCase
from random_weights import relative_error
from safetensors.torch import load_file, save_file
from small_pipeline import golden_files, original_names

from relation_core.errors import ModelMismatchError, RelationAdapterError
from relation_tools.diffusers_host.identity import models_identity
from relation_tools.diffusers_host.lora_file import fuse_lora, read_lora
from relation_tools.diffusers_host.models import load_models
from relation_tools.diffusers_host.quantisation import check_quantization, is_quantised, quantise
from relation_tools.diffusers_host.settings import QUANTIZATIONS, Quantization
from relation_tools.diffusers_host.transformer_file import load_transformer
from relation_tools.diffusers_host.unfused_lora import add_unfused

CASE = GoldenCase.load("one_head")
PLAIN, LORA = CASE.folder / "transformer.safetensors", CASE.folder / "pytorch_lora_weights.safetensors"
ERRORS: dict[Quantization, float] = {"int8": 0.02, "fp8": 0.08, "nf4": 0.2}
"""Of the golden model's velocity, relative, in float32."""


@torch.no_grad()
def velocity(transformer: Any) -> torch.Tensor:
    call = {name: tensor.to(transformer.dtype) for name, tensor in CASE.first_call().items()}
    return transformer(**call, return_dict=False)[0].float()


def plain() -> Any:
    return load_transformer(PLAIN, torch.float32)


@pytest.mark.parametrize(("kind", "rest", "prefix"), [("Q8_0", "F32", ""), ("Q4_0", "BF16", "model.diffusion_model.")])
def test_a_gguf_computes_what_its_values_say(kind: str, rest: str, prefix: str, tmp_path: Path) -> None:
    """Those that the gguf library decodes, but for diffusers' float16."""
    path = flux_gguf(tmp_path / "flux.gguf", PLAIN, kind, rest, prefix)
    found = load_transformer(path, torch.float32)
    assert is_quantised(found) and not is_quantised(plain())
    assert sum(tensor.nbytes for tensor in found.state_dict().values()) < 0.6 * PLAIN.stat().st_size  # bfloat16
    save_file(decoded(path, prefix), tmp_path / "decoded.safetensors")
    exact = velocity(load_transformer(tmp_path / "decoded.safetensors", torch.float32))
    assert relative_error(velocity(found), exact) < 1e-3
    off = relative_error(exact, velocity(plain()))
    assert 1e-3 < off < (0.02 if kind == "Q8_0" else 0.3)


def test_a_gguf_in_diffusers_names(tmp_path: Path) -> None:
    names = write_gguf(tmp_path / "names.gguf", load_file(PLAIN))
    original = flux_gguf(tmp_path / "flux.gguf", PLAIN)
    assert torch.equal(*(velocity(load_transformer(path, torch.float32)) for path in (names, original)))


def of_all_layouts(path: Path) -> Path:
    """A LoRA on a stacked matrix, on one whose halves are swapped, on the last one, and twice on one layer."""
    sizes = {name: tensor.shape for name, tensor in original_names(PLAIN).items()}
    tensors: dict[str, torch.Tensor] = {}
    torch.manual_seed(1)
    for name in ("double_blocks.0.img_attn.qkv", "single_blocks.0.linear1", "final_layer.adaLN_modulation.1"):
        height, width = sizes[f"{name}.weight"]
        flat = f"lora_unet_{name.replace('.', '_')}"
        tensors[f"{flat}.lora_down.weight"] = torch.randn(3, width) / width**0.5
        tensors[f"{flat}.lora_up.weight"] = torch.randn(height, 3) / 10
        tensors[f"{flat}.alpha"] = torch.tensor(1.5)
    for name, (height, width) in (("proj_out", (64, 128)), ("transformer_blocks.0.attn.to_q", (128, 128))):
        tensors[f"transformer.{name}.lora_A.weight"] = torch.randn(2, width) / width**0.5
        tensors[f"transformer.{name}.lora_B.weight"] = torch.randn(height, 2) / 10
    save_file(tensors, path)
    return path


def test_loras_beside_a_gguf_are_those_fused_into_its_values(tmp_path: Path) -> None:
    """Two at once, in all layouts, at a strength of their own."""
    path = flux_gguf(tmp_path / "flux.gguf", PLAIN)
    save_file(decoded(path), tmp_path / "decoded.safetensors")
    loras = [read_lora(file) for file in (LORA, of_all_layouts(tmp_path / "lora.safetensors"))]
    for chosen in (loras[:1], loras[1:], loras):
        beside = load_transformer(path, torch.float32)
        before = velocity(beside)
        add_unfused(beside, chosen, 0.7)
        fused = load_transformer(tmp_path / "decoded.safetensors", torch.float32)
        for lora in chosen:
            fuse_lora(fused, lora, 0.7)
        assert relative_error(velocity(beside), velocity(fused)) < 1e-3
        assert relative_error(before, velocity(fused)) > 0.02


def test_what_cannot_stand_beside_is_refused(tmp_path: Path) -> None:
    path = flux_gguf(tmp_path / "flux.gguf", PLAIN)
    name = "transformer.transformer_blocks.0.attn.to_q"
    pair = {f"{name}.lora_A.weight": torch.ones(2, 128), f"{name}.lora_B.weight": torch.ones(128, 2)}
    save_file({**pair, f"{name}.lora_magnitude_vector": torch.ones(128)}, tmp_path / "dora.safetensors")
    save_file({**pair, f"{name}.lora_A.weight": torch.ones(2, 64)}, tmp_path / "narrow.safetensors")
    files = replace(golden_files(CASE, tmp_path), model=path)
    for lora, said in (("dora", "is a DoRA, which scales the matrices themselves"), ("narrow", "1 of its 1 matrices")):
        with pytest.raises(ModelMismatchError, match=said):
            load_models(replace(files, loras=(tmp_path / f"{lora}.safetensors",)), torch.float32)
    with pytest.raises(ModelMismatchError, match="cannot be fused into a quantised transformer"):
        fuse_lora(load_transformer(path, torch.float32), read_lora(LORA), 1.0)


@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_quantised_as_it_is_loaded_with_its_lora_in_it(kind: Quantization, tmp_path: Path) -> None:
    files = golden_files(CASE, tmp_path)
    exact = velocity(load_models(files, torch.float32).flux.transformer)
    found: Any = load_models(replace(files, quantize=kind), torch.float32).flux.transformer
    assert is_quantised(found) and not any(parameter.requires_grad for parameter in found.parameters())
    error = relative_error(velocity(found), exact)
    print(f"\n{kind}: {error:.2%}")
    assert 1e-4 < error < ERRORS[kind]
    without = velocity(load_models(replace(files, loras=()), torch.float32).flux.transformer)
    assert relative_error(velocity(found), without) > 1.5 * error  # the LoRA is in it


def test_what_is_quantised_already_is_not_quantised_again(tmp_path: Path) -> None:
    """Said before any other file is looked for."""
    files = golden_files(CASE, tmp_path)
    missing = replace(files, model=tmp_path / "flux1-dev-Q8_0.gguf", adapter=tmp_path / "none.bin", quantize="int8")
    with pytest.raises(RelationAdapterError, match=r"Q8_0\.gguf is quantised already; expected a model in bfloat16"):
        load_models(missing, torch.float32)
    transformer = plain()
    quantise(transformer, "int8", "cpu")
    with pytest.raises(RelationAdapterError, match="The model is quantised already"):
        quantise(transformer, "nf4", "cpu")


@pytest.mark.parametrize("kind", ["fp8", "nf4"])
def test_what_a_device_cannot_compute_is_refused(kind: Quantization) -> None:
    with pytest.raises(RelationAdapterError, match=f"{kind} was asked for on mps, where PyTorch has no float8"):
        check_quantization(kind, Path("flux.safetensors"), "mps")
    check_quantization("int8", Path("flux.safetensors"), "mps")


@pytest.mark.parametrize(
    ("kind", "model", "module"),
    [("int8", "x.safetensors", "torchao.quantization"), ("nf4", "x", "bitsandbytes"), (None, "x.gguf", "gguf")],
)
def test_a_library_that_is_missing_is_named(
    kind: Quantization | None, model: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    package = module.partition(".")[0]
    with pytest.raises(RelationAdapterError, match=rf"This needs {package}, .* `pip install {package}`, or"):
        check_quantization(kind, Path(model), "cpu")


def test_a_result_is_named_by_how_its_model_is_quantised() -> None:
    """And where it is not, as it was named before there was the option."""
    options = Namespace(model=PLAIN, adapter=None, vae=None, text=None, vision=None, lora=[LORA], quantize=None)
    found = [models_identity(Namespace(**{**vars(options), "quantize": kind}), False) for kind in (None, "int8", "nf4")]
    assert len(set(found)) == 3 and len(found[0]) == 6
