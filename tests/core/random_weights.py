"""Small adapters of random weights, and the ways they are written to disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from relation_core.adapter.adapter import RelationAdapter, open_adapter
from relation_core.adapter.config import RelationConfig, expected_shapes
from relation_core.relation.relation import Relation, encode_relation

SMALL = RelationConfig(blocks=3, heads=2, head_dim=16, tokens=4, text_dim=24, vision_dim=12, projection_dim=20)


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference, as a share of the expected norm."""
    assert found.shape == expected.shape
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def random_weights(
    config: RelationConfig = SMALL, seed: int = 0, dtype: torch.dtype = torch.float32
) -> dict[str, torch.Tensor]:
    """Weights by canonical name, scaled so that every stage has values of about 1."""
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, torch.Tensor] = {}
    for name, shape in expected_shapes(config).items():
        tensor = torch.randn(shape, generator=generator) / (shape[-1] ** 0.5 if len(shape) == 2 else 4.0)
        weights[name] = (tensor + 1.0 if name == "image_proj.norm.weight" else tensor).to(dtype)
    return weights


def write_bin(path: Path, weights: dict[str, Any], module: bool = False, legacy: bool = False) -> Path:
    """Write a pickle in the layout of the released file, with data-parallel prefixes if asked for."""
    content: dict[str, dict[str, Any]] = {}
    for name, tensor in weights.items():
        group, inner = name.split(".", 1)
        content.setdefault(group, {})[f"module.{inner}" if module else inner] = tensor
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def write_safetensors(path: Path, weights: dict[str, torch.Tensor], head_dim: int | None = None) -> Path:
    """Write a flat file; its metadata names the heads' width if that is given."""
    save_file(weights, path, metadata=None if head_dim is None else {"head_dim": str(head_dim)})
    return path


def small_adapter(folder: Path, config: RelationConfig = SMALL, seed: int = 0) -> RelationAdapter:
    """Write and open a random adapter."""
    path = write_safetensors(folder / f"adapter_{seed}.safetensors", random_weights(config, seed), config.head_dim)
    return open_adapter(path)


def random_relation(
    adapter: RelationAdapter, pairs: int = 1, weight: float = 1.0, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Relation:
    """The relation of random pairs of pooled features."""
    generator = torch.Generator().manual_seed(seed)
    pooled = torch.randn(pairs, 2, adapter.config.vision_dim, generator=generator)
    thumbnails = torch.randint(0, 256, (pairs, 128, 256, 3), generator=generator, dtype=torch.uint8)
    return encode_relation(adapter, pooled, thumbnails, weight, "cpu", dtype)
