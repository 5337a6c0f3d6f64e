"""The sizes of an adapter, read from its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import CheckpointError
from ..flux.sizes import HEAD_DIM
from ..weights.stored_tensor import StoredTensor
from .keys import ADAPTER_ADDRESS, block_keys

_MOST_IN_A_VECTOR = 1 << 26
"""The released adapter's longest has 2^19. Vectors are read whole."""
FLOAT_DTYPES = (torch.bfloat16, torch.float16, torch.float32)


@dataclass(frozen=True)
class RelationConfig:
    """Sizes of an adapter. The released one: 57 blocks, 24 heads of 128, 128 tokens of 4096, SigLIP width 1152."""

    blocks: int
    """Attention blocks: the double-stream blocks first, then the single-stream ones."""
    heads: int
    head_dim: int
    tokens: int
    """Exemplar tokens a picture (N)."""
    text_dim: int
    """Width of a token (D), the model's text width."""
    vision_dim: int
    """Width of SigLIP's pooled output."""
    projection_dim: int
    """Hidden width of the projection."""

    @property
    def hidden_size(self) -> int:
        """Width of the model that the adapter was trained for."""
        return self.heads * self.head_dim


def infer_config(tensors: Mapping[str, StoredTensor], path: Path, head_dim: int = HEAD_DIM) -> RelationConfig:
    """Read the sizes from the tensors (canonical names) and check every tensor against them.

    Args:
        tensors: of the adapter, by canonical name.
        path: of the file, for messages.
        head_dim: width of an attention head. The released file does not record it; a converted file may, as
            ``head_dim`` in its metadata.

    Raises:
        CheckpointError: a tensor's dtype is not a float of 16 or 32 bits, or its shape fits no adapter.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOAT_DTYPES:
            raise CheckpointError(
                f"'{name}' in {path} is stored as {tensor.dtype}; expected bfloat16, float16 or float32. "
                "Use the released file."
            )
    first, second = tensors["image_proj.proj.0.weight"], tensors["image_proj.proj.2.weight"]
    norm, key = tensors["image_proj.norm.weight"], tensors[block_keys(0)[0]]
    ranks = [tensor.ndim for tensor in (first, second, norm, key)]
    if ranks != [2, 2, 1, 2] or any(0 in tensor.shape for tensor in tensors.values()):
        raise CheckpointError(
            f"{path} has no adapter's shapes: image_proj.proj.0.weight {first.shape}, proj.2.weight "
            f"{second.shape}, norm.weight {norm.shape}, {block_keys(0)[0]} {key.shape}; "
            "expected two matrices, a vector and a matrix, and nothing of size 0. Download the file again."
        )
    _check_vectors(tensors, path)
    config = RelationConfig(
        blocks=sum(1 for name in tensors if name.startswith("ip_adapter.")) // 2,
        heads=max(1, key.shape[0] // head_dim),
        head_dim=head_dim,
        tokens=max(1, second.shape[0] // norm.shape[0]),
        text_dim=norm.shape[0],
        vision_dim=first.shape[1],
        projection_dim=first.shape[0],
    )
    for name, shape in expected_shapes(config).items():
        if tensors[name].shape != shape:
            raise CheckpointError(
                f"'{name}' in {path} has shape {tensors[name].shape}; expected {shape}, to fit its other "
                f"tensors and heads of {head_dim}. The file is damaged or made for another kind of model: download it "
                f"again from {ADAPTER_ADDRESS}."
            )
    return config


def _check_vectors(tensors: Mapping[str, StoredTensor], path: Path) -> None:
    vast = [name for name, tensor in tensors.items() if tensor.ndim == 1 and tensor.numel() > _MOST_IN_A_VECTOR]
    if vast:
        raise CheckpointError(
            f"'{vast[0]}' in {path} has {tensors[vast[0]].numel():,} values; expected at most {_MOST_IN_A_VECTOR:,}. "
            f"Download the file again from {ADAPTER_ADDRESS}."
        )


def expected_shapes(config: RelationConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of an adapter of these sizes, by canonical name."""
    shapes: dict[str, tuple[int, ...]] = {
        "image_proj.proj.0.weight": (config.projection_dim, config.vision_dim),
        "image_proj.proj.0.bias": (config.projection_dim,),
        "image_proj.proj.2.weight": (config.tokens * config.text_dim, config.projection_dim),
        "image_proj.proj.2.bias": (config.tokens * config.text_dim,),
        "image_proj.norm.weight": (config.text_dim,),
        "image_proj.norm.bias": (config.text_dim,),
    }
    for index in range(config.blocks):
        for name in block_keys(index):
            shapes[name] = (config.hidden_size, config.text_dim)
    return shapes
