"""The plain way, as the authors' code goes about it: what the project is measured against.

The adapter is loaded whole into modules, these stay beside the model, and every block projects the
exemplar tokens to keys and values anew at every step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from relation_core.adapter.config import RelationConfig
from relation_core.adapter.keys import block_keys
from relation_core.relation.keys_values import KEY_EPS


class NaiveBlocks(torch.nn.Module):
    """Key and value projections of every attention block, resident."""

    def __init__(self, blocks: int, text_dim: int, hidden_size: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.keys, self.values = (
            torch.nn.ModuleList(torch.nn.Linear(text_dim, hidden_size, bias=False, dtype=dtype) for _ in range(blocks))
            for _ in range(2)
        )

    def attend(self, query: torch.Tensor, tokens: torch.Tensor, block: int) -> torch.Tensor:
        """Project (1, T, text_dim) tokens and let (B, H, L, d) queries look at them; (B, L, H * d)."""
        heads = query.shape[1]
        keys = self.keys[block](tokens).unflatten(-1, (heads, -1)).transpose(1, 2)
        values = self.values[block](tokens).unflatten(-1, (heads, -1)).transpose(1, 2)
        keys = F.rms_norm(keys, keys.shape[-1:], eps=KEY_EPS)
        return F.scaled_dot_product_attention(query, keys, values).transpose(1, 2).flatten(2)


def patch_naively(model: Any, blocks: NaiveBlocks, tokens: torch.Tensor, first_single: int) -> Any:
    """Clone a ComfyUI model and let every block recompute and add the relation."""

    def look(q: torch.Tensor, *_: Any, extra_options: dict[str, Any], **__: Any) -> dict[str, Any]:
        single = extra_options["block_type"] == "single"
        first = 0 if single else extra_options["img_slice"][0]
        block = extra_options["block_index"] + (first_single if single else 0)
        extra_options["naive_relation"] = (first, blocks.attend(q[:, :, first:], tokens, block))
        return {}

    def add(attn: torch.Tensor, extra_options: dict[str, Any]) -> torch.Tensor:
        first, relation = extra_options.pop("naive_relation")
        attn[:, first:] += relation
        return attn

    patched = model.clone()
    patched.set_model_attn1_patch(look)
    patched.set_model_attn1_output_patch(add)
    return patched


class NaiveAdapter(torch.nn.Module):
    """A whole adapter in memory."""

    def __init__(self, config: RelationConfig, dtype: torch.dtype) -> None:
        super().__init__()
        self.config = config
        wide = config.tokens * config.text_dim
        self.projection = torch.nn.Sequential(
            torch.nn.Linear(config.vision_dim, config.projection_dim, dtype=dtype),
            torch.nn.GELU(),
            torch.nn.Linear(config.projection_dim, wide, dtype=dtype),
        )
        self.norm = torch.nn.LayerNorm(config.text_dim, dtype=dtype)
        self.blocks = NaiveBlocks(config.blocks, config.text_dim, config.hidden_size, dtype)

    def forward(self, pooled: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Turn (pictures, vision_dim) features into every block's keys and values."""
        tokens = self.norm(self.projection(pooled).unflatten(-1, (self.config.tokens, -1))).flatten(0, 1)
        return [(key(tokens), value(tokens)) for key, value in zip(self.blocks.keys, self.blocks.values, strict=True)]


def load_naively(path: Path, config: RelationConfig, dtype: torch.dtype) -> NaiveAdapter:
    """Load all of a ``.bin`` file into memory, and from there into modules."""
    state = torch.load(path, weights_only=True)
    with torch.device("meta"):  # no time is spent on random first values
        adapter = NaiveAdapter(config, dtype)
    adapter = adapter.to_empty(device="cpu")
    projection = state["image_proj"]
    adapter.projection.load_state_dict(
        {name.removeprefix("proj."): tensor for name, tensor in projection.items() if name.startswith("proj.")}
    )
    adapter.norm.load_state_dict({name: projection[f"norm.{name}"] for name in ("weight", "bias")})
    for index in range(config.blocks):
        for modules, name in zip((adapter.blocks.keys, adapter.blocks.values), block_keys(index), strict=True):
            modules[index].load_state_dict({"weight": state["ip_adapter"][name.removeprefix("ip_adapter.")]})
    return adapter
