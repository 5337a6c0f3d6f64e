"""Models on a card that is too small for them: each model, or each of the transformer's blocks, comes there to compute.

Editing uses what diffusers has. Learning has a way of its own for the blocks: diffusers' group offloading takes each
away at the end of its call, which a backward pass that recomputes activations does not reach, so that all of them stay;
and it takes weights away that are trained.
"""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import Any, Literal

import torch
from diffusers.hooks.group_offloading import apply_group_offloading
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from torch import nn

from relation_core.errors import RelationAdapterError

from .quantisation import is_quantised

Offload = Literal["models", "blocks"]
"""What comes to the device to compute, and else waits in the machine's memory."""


def place(flux: FluxPipeline, device: torch.device, offload: Offload | None, learns: bool) -> None:
    """Put a pipeline's models on a device, or have them come there to compute.

    Args:
        flux: the pipeline, on the CPU.
        device: where it computes.
        offload: what waits elsewhere; None keeps all of it there.
        learns: whether gradients flow through the transformer.

    Raises:
        RelationAdapterError: as :func:`keep_blocks_away`.
    """
    pipeline: Any = flux
    if offload is None:
        pipeline.to(device)
    elif offload == "models":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.vae.to(device)  # a hundredth of the transformer's size, and called by other names than a hook sees
        for encoder in filter(None, (pipeline.text_encoder, pipeline.text_encoder_2)):
            apply_group_offloading(encoder, device, offload_type="block_level", num_blocks_per_group=1)
        if learns:
            keep_blocks_away(pipeline.transformer, pipeline.transformer, device)
        else:
            # With a stream, a block comes while the one before it computes.
            pipeline.transformer.enable_group_offload(
                device, offload_type="block_level", num_blocks_per_group=1, use_stream=device.type == "cuda"
            )


def keep_blocks_away(model: nn.Module, transformer: Any, device: torch.device) -> None:
    """Move a model to a device, but for the frozen weights of its transformer's blocks: there is one block's at a time.

    A block comes when it is called, and leaves when another is. In a backward pass the blocks are called again, the
    last one first, so gradient checkpointing has to be on, and each block's weights stay until it has its gradients.

    Args:
        model: the transformer, or what it is a part of; on the CPU.
        transformer: a ``FluxTransformer2DModel``.
        device: where they compute.

    Raises:
        RelationAdapterError: the transformer is quantised.
    """
    if is_quantised(transformer):
        raise RelationAdapterError(
            "The transformer is quantised, and its blocks were to wait in the machine's memory; to learn, expected "
            "weights in floating-point numbers there. Leave one of the two out."
        )
    transformer.enable_gradient_checkpointing()
    blocks = [_Block(one, device) for one in (*transformer.transformer_blocks, *transformer.single_transformer_blocks)]
    waiting = {id(weight) for block in blocks for weight in block.weights}
    for tensor in chain(model.parameters(), model.buffers()):
        if id(tensor) not in waiting:
            tensor.data = tensor.data.to(device)
    here: list[_Block] = []

    def come(block: _Block, *called: Any) -> None:
        if block in here:
            return
        for other in here:
            other.leave()
        here[:] = [block]
        block.come()

    for block in blocks:
        block.module.register_forward_pre_hook(partial(come, block))


class _Block:
    """A block, and the place of its frozen weights in the machine's memory."""

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.module, self._device = module, device
        self.weights = [weight for weight in module.parameters() if not weight.requires_grad]
        pinned = device.type == "cuda"  # from there the card fetches them by itself
        self._kept = [weight.data.pin_memory() if pinned else weight.data for weight in self.weights]
        self.leave()

    def come(self) -> None:
        for weight, kept in zip(self.weights, self._kept, strict=True):
            weight.data = kept.to(self._device, non_blocking=True)

    def leave(self) -> None:
        for weight, kept in zip(self.weights, self._kept, strict=True):
            weight.data = kept
