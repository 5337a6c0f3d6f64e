"""LoRAs beside the matrices of a quantised transformer, by PEFT: nothing can be added to values in few bits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig

from relation_core.errors import ModelMismatchError

from .lora_file import LoraFile, check_fits, lora_scale, read_parts
from .lora_names import places

_NAME = "loras"
_Pair = tuple[torch.Tensor, torch.Tensor]


def add_unfused(transformer: Any, loras: Sequence[LoraFile], strength: float) -> None:
    """Put LoRAs beside the frozen matrices of a transformer; their sum is one LoRA of the sum of their ranks.

    Args:
        transformer: a ``FluxTransformer2DModel`` without a LoRA.
        loras: from :func:`.lora_file.read_lora`.
        strength: factor of each.

    Raises:
        CheckpointError: an alpha is no number.
        ModelMismatchError: one is for another transformer, or is a DoRA, which scales the matrices themselves.
    """
    pairs: dict[str, list[_Pair]] = {}
    for lora in loras:
        _collect(transformer, lora, strength, pairs)
    if not pairs:
        return
    sums = {name: (torch.cat([down for down, _ in found]), _joined(found)) for name, found in pairs.items()}
    ranks = {f"^{re.escape(name)}": len(down) for name, (down, _) in sums.items()}
    config = LoraConfig(
        r=1, lora_alpha=1, rank_pattern=ranks, alpha_pattern=ranks, target_modules="|".join(map(re.escape, sums))
    )
    dtype = transformer.dtype
    transformer.add_adapter(config, adapter_name=_NAME)
    for name, (down, up) in sums.items():
        layer = transformer.get_submodule(name)
        layer.lora_A[_NAME].weight.data = down.to(dtype)
        layer.lora_B[_NAME].weight.data = up.to(dtype)
    transformer.requires_grad_(False)


def unfused_numel(transformer: Any, lora: LoraFile) -> int:
    """The number of weights that :func:`add_unfused` adds for a LoRA, by the headers of its file.

    Raises:
        ModelMismatchError: as :func:`check_fits_unfused`.
    """
    known, shapes = places(transformer), check_fits_unfused(transformer, lora)
    return sum(
        stored["down"].shape[0] * sum(shapes[rows.weight])
        for name, stored in lora.modules.items()
        for rows in known[name]
    )


def check_fits_unfused(transformer: Any, lora: LoraFile) -> dict[str, tuple[int, int]]:
    """Find the shapes of the transformer's matrices.

    Raises:
        ModelMismatchError: the LoRA is for another transformer, or is a DoRA.
    """
    shapes = check_fits(transformer, lora)
    if any(not stored.keys() <= {"down", "up", "alpha"} for stored in lora.modules.values()):
        raise ModelMismatchError(
            f"{lora.path} is a DoRA, which scales the matrices themselves; expected a plain LoRA, as the "
            "transformer is quantised. Use a model in bfloat16 or float8, into which it is fused."
        )
    return shapes


def _collect(transformer: Any, lora: LoraFile, strength: float, pairs: dict[str, list[_Pair]]) -> None:
    """Add a LoRA's pairs of matrices, the scale in the second, to those of each layer."""
    known, shapes = places(transformer), check_fits_unfused(transformer, lora)
    for name, stored in lora.modules.items():
        parts = read_parts(lora, name, stored)
        up, start = parts["up"].float() * (strength * lora_scale(lora, name, parts)), 0
        for rows in known[name]:
            height = rows.stop - rows.start
            whole = torch.zeros(shapes[rows.weight][0], up.shape[1])
            whole[rows.start : rows.stop] = up[start : start + height]
            pairs.setdefault(rows.weight, []).append((parts["down"].float(), whole))
            start += height


def _joined(found: Sequence[_Pair]) -> torch.Tensor:
    return torch.cat([up for _, up in found], 1)
