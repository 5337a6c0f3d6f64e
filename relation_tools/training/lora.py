"""The LoRA that is trained beside an adapter, from random weights or from a file's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig

from relation_core.errors import ModelMismatchError
from relation_core.weights.kinds import shortened

from ..diffusers_host.lora_file import LoraFile, fits, lora_scale, read_lora, read_parts
from ..diffusers_host.lora_names import matrix_shapes, places

LORA_LAYERS = ["to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj"]
"""The projections to queries, keys and values. The authors' file has 717 MB: rank 128 in float32 on just these."""


def add_lora(transformer: Any, rank: int, start: Path | None, dtype: torch.dtype = torch.float32) -> None:
    """Put a LoRA on a frozen transformer, which may be quantised; its weights are trained.

    Args:
        transformer: a ``FluxTransformer2DModel``.
        rank: of every matrix.
        start: a file to go on from, which also says what layers there are; random weights on :data:`LORA_LAYERS`
            without it.
        dtype: of its weights.

    Raises:
        CheckpointError: the file is no plain LoRA.
        ModelMismatchError: it has another rank, or is for another transformer.
    """
    weights = {} if start is None else _read(read_lora(start), transformer, rank)
    add_layers(transformer, rank, list(weights) or LORA_LAYERS, dtype)
    for name, (down, up) in weights.items():
        layer = transformer.get_submodule(name)
        with torch.no_grad():
            layer.lora_A["default"].weight.copy_(down)
            layer.lora_B["default"].weight.copy_(up)


def add_layers(transformer: Any, rank: int, layers: Sequence[str], dtype: torch.dtype) -> None:
    """Put a LoRA of random weights on some layers of a frozen transformer, named as PEFT's targets are."""
    config = LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=list(layers))
    transformer.add_adapter(config)
    for parameter in transformer.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)


def layers_of(lora: LoraFile, transformer: Any, rank: int) -> dict[str, str]:
    """Find the layers of a transformer that a LoRA is for, by its header alone; give the file's name for each.

    Raises:
        ModelMismatchError: it has another rank, is for another transformer, or is no plain LoRA.
    """
    known, sizes = places(transformer), matrix_shapes(transformer)
    found: dict[str, str] = {}
    unplaced: list[str] = []
    for name, stored in lora.modules.items():
        place = known.get(name, ())
        if len(place) != 1 or not stored.keys() <= {"down", "up", "alpha"} or not fits(stored, place, sizes):
            unplaced.append(name)
            continue
        found_rank = stored["down"].shape[0]
        if found_rank != rank:
            raise ModelMismatchError(
                f"{lora.path} has rank {found_rank} for {name}; expected that of training.lora_rank, {rank}. Set "
                f"training.lora_rank = {found_rank}, or start from another LoRA."
            )
        found[place[0].weight] = name
    if unplaced:
        raise ModelMismatchError(
            f"{lora.path} cannot be trained further: {len(unplaced)} of its {len(lora.modules)} matrices, such as "
            f"{shortened(unplaced, 2)}, have no layer of their own in this transformer, or are DoRA's; expected a "
            "plain LoRA for this FLUX.1 in diffusers' layout, as this trainer exports and the authors released."
        )
    return found


def _read(lora: LoraFile, transformer: Any, rank: int) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Read the pairs of matrices by the layers' names in the transformer, the scale in the second."""
    found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for layer, name in layers_of(lora, transformer, rank).items():
        parts = {part: tensor.float() for part, tensor in read_parts(lora, name, lora.modules[name]).items()}
        found[layer] = parts["down"], parts["up"] * lora_scale(lora, name, parts)
    return found
