"""Random weights in the shape of the real files, written without being held."""

from __future__ import annotations

import json
import mmap
from pathlib import Path

import torch
from safetensors.torch import save_file

from relation_core.adapter.config import RelationConfig, expected_shapes
from relation_core.vision.vision_file import VisionConfig, expected_vision_shapes


def write_adapter(path: Path, config: RelationConfig) -> None:
    """Write an adapter of bfloat16 weights as its authors do: a pickle of two groups."""
    state: dict[str, dict[str, torch.Tensor]] = {}
    for name, shape in expected_shapes(config).items():
        group, _, rest = name.partition(".")
        state.setdefault(group, {})[rest] = torch.empty(shape, dtype=torch.bfloat16)
    with torch.serialization.skip_data():  # the file gets its size, and its values below, in place
        torch.save(state, path)
    del state
    with torch.serialization.set_default_mmap_options(mmap.MAP_SHARED):
        mapped = torch.load(path, mmap=True, weights_only=True)
    generator = torch.Generator().manual_seed(0)
    for group in mapped.values():
        for name, tensor in group.items():
            _fill(name, tensor, generator)


def write_vision(path: Path, config: VisionConfig) -> None:
    """Write a SigLIP vision model of float16 weights with its pooling head, and its ``config.json`` beside it."""
    generator = torch.Generator().manual_seed(1)
    state = {name: torch.empty(shape, dtype=torch.float16) for name, shape in expected_vision_shapes(config).items()}
    for name, tensor in state.items():
        _fill(name, tensor, generator)
    save_file(state, path)
    sizes = {**vars(config), "model_type": "siglip_vision_model"}
    path.with_name("config.json").write_text(json.dumps(sizes), encoding="utf-8")


def _fill(name: str, tensor: torch.Tensor, generator: torch.Generator) -> None:
    """Matrices that keep a vector's length, small biases, norms near one."""
    if tensor.ndim > 1:
        tensor.normal_(0.0, tensor[0].numel() ** -0.5, generator=generator)
    elif name.endswith("weight"):
        tensor.normal_(1.0, 0.02, generator=generator)
    else:
        tensor.normal_(0.0, 0.02, generator=generator)
