"""The relation on a Flux with weights in 8 bits or quantised, in the formats of ComfyUI's loader and of GGUF."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from compositions import assert_costs_only_the_rounding, patched
from edits import Edit
from flux_models import write_flux
from safetensors.torch import load_file, save_file

from comfyui_host.host import Host

CONVROT = {"convrot": True, "convrot_groupsize": 64}


def quantised(host: Host, algorithm: str, **settings: Any) -> tuple[str, str]:
    """Two files of one Flux: its weights as they are, and those of its blocks quantised."""
    from comfy import quant_ops

    if algorithm not in quant_ops.QUANT_ALGOS:
        pytest.skip(f"this ComfyUI has no {algorithm}")
    plain, name = write_flux(host, "exact.safetensors", seed=3), f"{algorithm}.safetensors"
    layout = quant_ops.QUANT_ALGOS[algorithm]["comfy_tensor_layout"]
    tensors = load_file(host.model_folder("diffusion_models") / plain)
    rounded: dict[str, torch.Tensor] = {}
    for key, tensor in tensors.items():
        if not key.endswith(".weight") or tensor.ndim != 2 or "_blocks." not in key:
            rounded[key] = tensor
            continue
        weight = quant_ops.QuantizedTensor.from_float(tensor, layout, **settings)
        rounded |= {part: held.contiguous() for part, held in weight.state_dict(key).items()}
        shown = {"format": algorithm, **{setting: settings[setting] for setting in CONVROT if setting in settings}}
        rounded[key.removesuffix("weight") + "comfy_quant"] = torch.tensor(
            list(json.dumps(shown).encode()), dtype=torch.uint8
        )
    save_file(rounded, host.model_folder("diffusion_models") / name)
    return plain, name


def check(host: Host, algorithm: str, **settings: Any) -> None:
    edit = Edit(host)
    exact, rounded = (edit.model(name) for name in quantised(host, algorithm, **settings))
    assert_costs_only_the_rounding(edit, rounded, exact)


@pytest.mark.parametrize("settings", [{"per_channel": True, **CONVROT}, {}], ids=["convrot", "tensorwise"])
def test_int8_weights(host: Host, settings: dict[str, Any]) -> None:
    check(host, "int8_tensorwise", **settings)


def test_nvfp4_weights(host: Host) -> None:
    check(host, "nvfp4")


def test_mxfp8_weights(host: Host) -> None:
    check(host, "mxfp8")


@pytest.mark.parametrize("dtype", ["fp8_e4m3fn", "fp8_e5m2"])
def test_fp8_weights(edit: Edit, dtype: str) -> None:
    """Keys and values keep the dtype that is computed in; that of the weights does not reach them."""
    rounded, exact = edit.model(weight_dtype=dtype), edit.model()
    assert_costs_only_the_rounding(edit, rounded, exact)
    (patch,) = edit.run(patched(edit, edit.model(weight_dtype=dtype))).model_options["transformer_options"]["patches"][
        "attn1_patch"
    ]
    assert patch.resident.keys.dtype == torch.float32


# ComfyUI-GGUF


def find_gguf() -> Path | None:
    places = [os.environ.get("COMFYUI_GGUF_PATH"), str(Path.home() / "ComfyUI-GGUF")]
    return next((Path(place) for place in places if place and (Path(place) / "loader.py").is_file()), None)


@pytest.mark.skipif(find_gguf() is None, reason="no ComfyUI-GGUF at $COMFYUI_GGUF_PATH or ~/ComfyUI-GGUF")
@pytest.mark.parametrize("quantization", ["Q8_0", "Q4_0"])
def test_gguf(edit: Edit, quantization: str) -> None:
    """Its loader's Flux, with matrices quantised by the gguf library."""
    gguf = pytest.importorskip("gguf")
    file = edit.host.model_folder("diffusion_models") / f"flux_{quantization}.gguf"
    writer = gguf.GGUFWriter(file, "flux")
    kind = gguf.GGMLQuantizationType[quantization]
    name = write_flux(edit.host, "for_gguf.safetensors")
    for key, tensor in load_file(edit.host.base / "models/diffusion_models" / name).items():
        data = tensor.numpy()
        if tensor.ndim == 2 and "in_layer" not in key and "img_in" not in key:
            writer.add_tensor(key, gguf.quants.quantize(data, kind), raw_dtype=kind)
        else:
            writer.add_tensor(key, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    loader = gguf_loader()
    model = loader().load_unet(file.name)[0]
    assert_costs_only_the_rounding(edit, edit.value(model), edit.model(name))


def gguf_loader() -> Any:
    import importlib.util

    place = find_gguf()
    assert place is not None
    if "comfyui_gguf" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "comfyui_gguf", place / "__init__.py", submodule_search_locations=[str(place)]
        )
        assert spec is not None and spec.loader is not None
        sys.modules["comfyui_gguf"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["comfyui_gguf"])
    return sys.modules["comfyui_gguf"].NODE_CLASS_MAPPINGS["UnetLoaderGGUF"]
