"""Small random models of every Flux shape that users meet, built from ComfyUI's own classes."""

from __future__ import annotations

from typing import Any

import torch
from edits import GOLDEN, random_state
from safetensors.torch import load_file, save_file

from comfyui_host.flux_params import FLUX_PARAMS
from comfyui_host.host import Host

PARAMS: dict[str, Any] = {
    **FLUX_PARAMS,
    "vec_in_dim": 16,
    "context_in_dim": 32,
    "hidden_size": 128,
    "num_heads": 1,
    "depth": 2,
    "depth_single_blocks": 3,
}
"""The sizes of the golden case `one_head`."""


def write_flux(host: Host, name: str, seed: int = 1, **changes: Any) -> str:
    """Save a Flux of the golden sizes, with some of them changed, among the diffusion models."""
    from comfy.ldm.flux.model import Flux
    from comfy.ops import manual_cast

    module = Flux(
        image_model="flux", dtype=torch.float32, device="cpu", operations=manual_cast, **{**PARAMS, **changes}
    )
    save_file(random_state(module, seed), host.model_folder("diffusion_models") / name)
    return name


def write_controlnet(host: Host, name: str, union_modes: int = 0, seed: int = 2) -> str:
    """Save a Flux ControlNet in InstantX's layout, one block of each kind; with modes it is a Union one."""
    generator = torch.Generator().manual_seed(seed)
    golden = load_file(GOLDEN / "one_head" / "transformer.safetensors")
    blocks = ("transformer_blocks.0.", "single_transformer_blocks.0.")
    heads = ("x_embedder.", "context_embedder.", "time_text_embed.")
    state = {key: tensor for key, tensor in golden.items() if key.startswith((*blocks, *heads))}
    shapes = {
        "controlnet_blocks.0": (128, 128),
        "controlnet_single_blocks.0": (128, 128),
        "controlnet_x_embedder": (128, 64),
    }
    for key, shape in shapes.items():
        state[f"{key}.weight"] = torch.randn(shape, generator=generator) / shape[1] ** 0.5
        state[f"{key}.bias"] = torch.zeros(shape[0])
    if union_modes:
        state["controlnet_mode_embedder.weight"] = torch.randn(union_modes, 128, generator=generator)
    save_file(state, host.model_folder("controlnet") / name)
    return name
