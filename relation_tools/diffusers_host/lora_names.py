"""The names of a Flux's matrices in LoRA files of diffusers, ComfyUI, kohya and OneTrainer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Rows:
    """Some rows of a matrix of the transformer."""

    weight: str
    """The matrix's name there, without ``.weight``."""
    start: int
    stop: int


Place = tuple[Rows, ...]
"""The target of a LoRA's matrix: FLUX.1's own layout stacks several of diffusers' matrices."""

_ENDS = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out",
}
_DOUBLE = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "img_attn.proj": ("attn.to_out.0",),
    "txt_attn.proj": ("attn.to_add_out",),
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mlp.2": ("ff_context.net.2",),
    "img_mod.lin": ("norm1.linear",),
    "txt_mod.lin": ("norm1_context.linear",),
}
_SINGLE = {
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "linear1_qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "linear2": ("proj_out",),
    "modulation.lin": ("norm.linear",),
}


def places(transformer: Any) -> dict[str, Place]:
    """Every name that a LoRA file may have for a matrix of the transformer (a ``FluxTransformer2DModel``)."""
    heights = {name: height for name, (height, _) in matrix_shapes(transformer).items()}
    found: dict[str, Place] = {}
    for name, place in _own_layout(transformer, heights):
        if all(rows.weight in heights for rows in place):
            for alias in (name, f"diffusion_model.{name}", f"base_model.model.{name}", f"lora_unet_{_flat(name)}"):
                found[alias] = place
    for name, height in heights.items():
        place = (Rows(name, 0, height),)
        prefixed = (f"{prefix}{name}" for prefix in ("", "transformer.", "diffusion_model.", "base_model.model."))
        flat = (f"{prefix}{_flat(name)}" for prefix in ("lora_transformer_", "lycoris_", "lora_unet_"))
        for alias in (*prefixed, *flat):
            found.setdefault(alias, place)
    return found


def matrix_shapes(transformer: Any) -> dict[str, tuple[int, int]]:
    """Height and width of every matrix by its name, without ``.weight``; of its values, also where they are packed."""
    linears = ((name, module) for name, module in transformer.named_modules() if isinstance(module, nn.Linear))
    return {name: (module.out_features, module.in_features) for name, module in linears}


def _flat(name: str) -> str:
    return name.replace(".", "_")


def _own_layout(transformer: Any, heights: dict[str, int]) -> Iterator[tuple[str, Place]]:
    def place(*names: str) -> Place:
        return tuple(Rows(name, 0, heights.get(name, 0)) for name in names)

    for own, name in _ENDS.items():
        yield own, place(name)
    half = heights["norm_out.linear"] // 2  # diffusers has scale and shift in reverse order
    swapped = Rows("norm_out.linear", half, 2 * half), Rows("norm_out.linear", 0, half)
    yield "final_layer.adaLN_modulation.1", swapped
    for kind, theirs, count, table in (
        ("double_blocks", "transformer_blocks", transformer.config["num_layers"], _DOUBLE),
        ("single_blocks", "single_transformer_blocks", transformer.config["num_single_layers"], _SINGLE),
    ):
        for index in range(count):
            for own, names in table.items():
                yield f"{kind}.{index}.{own}", place(*(f"{theirs}.{index}.{name}" for name in names))
