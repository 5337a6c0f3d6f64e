"""The relation on a Flux whose file holds quantised weights, in the formats of ComfyUI's own loader."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from compositions import assert_costs_only_the_rounding
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
