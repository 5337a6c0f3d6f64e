"""What the authors' code computed, and their small model in diffusers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import FluxTransformer2DModel
from safetensors.torch import load_file

from relation_core.adapter.adapter import open_adapter
from relation_core.relation.relation import Relation, encode_relation

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
CASES = ("one_head", "two_heads")


@dataclass
class GoldenCase:
    folder: Path
    meta: dict[str, Any]
    tensors: dict[str, torch.Tensor]

    @classmethod
    def load(cls, name: str) -> GoldenCase:
        folder = GOLDEN / name
        return cls(folder, json.loads((folder / "meta.json").read_text()), load_file(folder / "case.safetensors"))

    def transformer(self, lora: bool = True) -> FluxTransformer2DModel:
        """The transformer in float32, its sizes as the authors' script gave them."""
        model = FluxTransformer2DModel(
            num_layers=self.meta["double"],
            num_single_layers=self.meta["single"],
            num_attention_heads=self.meta["heads"],
            joint_attention_dim=self.meta["text_dim"],
            pooled_projection_dim=self.meta["pooled_dim"],
            guidance_embeds=True,
        )
        model.load_state_dict(load_file(self.folder / "transformer.safetensors"), strict=True)
        if lora:
            model.load_lora_adapter(load_file(self.folder / "pytorch_lora_weights.safetensors"), prefix="transformer")
            model.fuse_lora()
        return model.eval().requires_grad_(False)

    def relation(self) -> Relation:
        pooled = self.tensors["vision_pooled"][None]
        adapter = open_adapter(self.folder / "ip_adapter.bin")
        return encode_relation(
            adapter, pooled, torch.zeros(1, 128, 256, 3, dtype=torch.uint8), 1.0, "cpu", torch.float32
        )

    def packed(self, latent: torch.Tensor) -> torch.Tensor:
        """Latents (B, 16, rows, columns) as tokens (B, S, 64)."""
        return latent.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

    def first_call(self) -> dict[str, torch.Tensor]:
        """What the transformer is called with at the first step."""
        latents = [self.packed(self.tensors[name]) for name in ("latent_0", "source_latent")]
        return {
            "hidden_states": torch.cat(latents, dim=1),
            "encoder_hidden_states": self.tensors["text"],
            "pooled_projections": self.tensors["pooled"],
            "timestep": self.tensors["sigmas"][:1],
            "guidance": torch.tensor([float(self.meta["guidance"])]),
            "img_ids": self.tensors["img_ids"],
            "txt_ids": torch.zeros(self.tensors["text"].shape[1], 3),
        }
