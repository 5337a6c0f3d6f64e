"""A training step at its real size, without values: how many bytes live at its peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from relation_core.adapter.adapter import open_adapter
from relation_core.flux.sizes import LATENT_CHANNELS

from ...diffusers_host.attention import add_relation_attention
from ...diffusers_host.lora_file import LoraFile, check_fits, read_lora
from ...diffusers_host.unfused_lora import unfused_numel
from ..adapter_module import AdapterModule
from ..flow import RelationFlow
from ..lora import LORA_LAYERS, add_layers, layers_of
from ..models import adapter_config, choose_trained
from ..settings import WITH_LORA, RunSettings
from .base import Base, quantised_bytes
from .live_bytes import LiveBytes


@dataclass(frozen=True)
class Batch:
    """The size of what a process computes at once."""

    samples: int
    width: int
    """Of a picture, in pixels."""
    height: int
    text_tokens: int


@dataclass(frozen=True)
class StepBytes:
    """What a step holds, in bytes."""

    trained: int
    trained_weights: int
    largest: int
    """Of the largest trained tensor."""
    frozen_beside: int
    """Of what is frozen beside the transformer: the adapter, or a LoRA that a quantised one cannot take in."""
    exported_weights: int
    activations: int
    """Most that lives beside the weights, less what all gradients take."""


def step_bytes(settings: RunSettings, base: Base, vision_dim: int, batch: Batch, all_at_once: bool) -> StepBytes:
    """Take a step without values, on tensors of the processor, whose attention keeps what a card's does.

    Args:
        settings: of the run.
        base: the transformer.
        vision_dim: width of the vision model's pooled output.
        batch: what is computed at once.
        all_at_once: gradients are all there from the start, as in later parts of a step.

    Raises:
        CheckpointError: the adapter or the LoRA to go on from is none, or the adapter has other sizes.
        ModelMismatchError: the LoRA has another rank, or is for another transformer.
    """
    training = settings.training
    low = torch.bfloat16 if training.precision == "bf16" and training.trained != "everything" else torch.float32
    lora = None if settings.models.lora is None else read_lora(settings.models.lora)
    flow, kind = _flow(settings, base, vision_dim, low, lora), settings.models.quantize
    frozen = sum(parameter.nbytes for parameter in flow.adapter.parameters() if not parameter.requires_grad)
    if kind is not None and training.trained == "lora":
        frozen = quantised_bytes(flow.adapter, kind, low.itemsize)
    if lora is not None and training.trained not in WITH_LORA and base.packed:
        frozen += unfused_numel(flow.transformer, lora) * low.itemsize
    with FakeTensorMode():
        _leave_meta(flow)
        inputs = _inputs(batch, base.config, vision_dim)
        with LiveBytes() as live:
            for _ in range(2 if all_at_once else 1):
                with torch.autocast("cpu", torch.bfloat16, enabled=training.precision == "bf16"):
                    loss = flow(*inputs)
                loss.backward()
                del loss
        trained = list(flow.trained().values())
        held = sum(parameter.nbytes for parameter in trained)
        exported = sum(one.numel() for one in flow.transformer.parameters() if one.requires_grad)
        if training.trained != "lora":
            exported += sum(parameter.numel() for parameter in flow.adapter.parameters())
    weights = sum(parameter.numel() for parameter in trained)
    largest = max(parameter.nbytes for parameter in trained)
    return StepBytes(held, weights, largest, frozen, exported, max(0, live.peak - held))


def _flow(settings: RunSettings, base: Base, vision_dim: int, low: torch.dtype, lora: LoraFile | None) -> RelationFlow:
    training = settings.training
    with torch.device("meta"):
        transformer: Any = FluxTransformer2DModel(**base.config)
        for parameter in transformer.parameters():
            parameter.data = parameter.data.to(low)
        transformer.train().requires_grad_(training.trained == "everything")
        if training.gradient_checkpointing:
            transformer.enable_gradient_checkpointing()
        adapter = AdapterModule(adapter_config(settings, transformer, vision_dim), silent=False)
        choose_trained(adapter, training, low)
        if training.trained in WITH_LORA:
            layers = LORA_LAYERS if lora is None else list(layers_of(lora, transformer, training.lora_rank))
            add_layers(transformer, training.lora_rank, layers, getattr(torch, training.weights))
        elif lora is not None:
            check_fits(transformer, lora)
    if settings.models.adapter is not None:
        adapter.check(open_adapter(settings.models.adapter))
    add_relation_attention(transformer)
    return RelationFlow(transformer, adapter, training.guidance)


def _leave_meta(flow: nn.Module) -> None:
    """Put tensors in the place of those on the meta device, which autocast passes by."""
    for module in flow.modules():
        held = cast("dict[str, nn.Parameter | None]", vars(module)["_parameters"])
        for name, one in list(held.items()):
            if one is not None:
                held[name] = nn.Parameter(torch.empty(one.shape, dtype=one.dtype), requires_grad=one.requires_grad)


def _inputs(batch: Batch, sizes: dict[str, Any], vision_dim: int) -> list[torch.Tensor]:
    latent = (batch.samples, LATENT_CHANNELS, batch.height // 8, batch.width // 8)
    return [
        torch.zeros(batch.samples, 2, vision_dim),
        *(torch.zeros(latent) for _ in range(3)),
        torch.zeros(batch.samples),
        torch.zeros(batch.samples, batch.text_tokens, sizes["joint_attention_dim"]),
        torch.zeros(batch.samples, sizes["pooled_projection_dim"]),
    ]
