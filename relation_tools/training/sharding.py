"""A model divided among processes by FSDP2: each holds a part of every tensor, and only they together the whole.

Every function takes whole tensors too, and then does what a run of one process, or of whole models, needs.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import distributed, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from .flow import RelationFlow


def divide(flow: RelationFlow, mesh: Any) -> None:
    """Divide a model's weights among the processes of a mesh, in place: its parameters are others afterwards.

    Each block is put together while it computes and taken apart again. What is computed stays in the weights' own
    dtypes, and gradients are averaged in theirs.

    Args:
        flow: the model, the same in every process, on any device.
        mesh: of the processes' devices.
    """
    # Torch warns of blocks that return views, since what changes a view in place loses gradients. Nothing here does.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view", UserWarning)
    transformer, adapter = flow.transformer, flow.adapter
    for block in (*transformer.transformer_blocks, *transformer.single_transformer_blocks):
        fully_shard(block, mesh=mesh)
    for layer in adapter.image_proj.proj:
        if isinstance(layer, nn.Linear):
            fully_shard(layer, mesh=mesh)
    for block in adapter.blocks():
        fully_shard([block.to_k_ip, block.to_v_ip], mesh=mesh)
    fully_shard(flow, mesh=mesh)


@contextmanager
def usable_in_parts(flow: nn.Module) -> Generator[None]:
    """Let a model's parts be called in the block, and not the model alone, by all processes alike."""
    if isinstance(flow, FSDPModule):
        flow.unshard()
    try:
        yield
    finally:
        if isinstance(flow, FSDPModule):
            flow.reshard()


def part(tensor: torch.Tensor) -> torch.Tensor:
    """What this process holds of a tensor; it is changed where that is changed."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def weights_here(flow: nn.Module) -> tuple[int, int]:
    """How many weights this process holds, and how many the model has."""
    weights = list(flow.parameters())
    return sum(part(tensor).numel() for tensor in weights), sum(tensor.numel() for tensor in weights)


def whole(values: Any, main: bool) -> Any:
    """Put the tensors in nested dictionaries and lists together, in the processor's memory where they were divided.

    All processes call it alike.

    Args:
        values: what holds them.
        main: whether this process wants them; the others get None for each that is divided.
    """
    if isinstance(values, dict):
        return {key: whole(value, main) for key, value in cast("dict[Any, Any]", values).items()}
    if isinstance(values, list):
        return [whole(value, main) for value in cast("list[Any]", values)]
    if isinstance(values, DTensor):
        with torch.no_grad():
            gathered = values.full_tensor()
        return gathered.cpu() if main else None
    return values


def outline(values: Any) -> Any:
    """Nested dictionaries and lists with tensors that have shapes and dtypes, and no values."""
    if isinstance(values, dict):
        return {key: outline(value) for key, value in cast("dict[Any, Any]", values).items()}
    if isinstance(values, list):
        return [outline(value) for value in cast("list[Any]", values)]
    return values.to("meta") if isinstance(values, torch.Tensor) else values


@torch.no_grad()
def give(target: torch.Tensor, found: torch.Tensor) -> None:
    """Give a tensor the values that the first process has found; all processes call it alike.

    Args:
        target: whole or divided.
        found: the whole tensor, anywhere; in processes but the first, its outline.
    """
    if not distributed.is_initialized():
        target.copy_(found)
        return
    values = torch.empty_like(found, dtype=target.dtype, device=target.device)
    if not found.is_meta:
        values.copy_(found)
    distributed.broadcast(values, 0)
    if isinstance(target, DTensor):  # every process has all values now, and keeps its part
        values = distribute_tensor(values, target.device_mesh, target.placements, src_data_rank=None).to_local()
    part(target).copy_(values)
