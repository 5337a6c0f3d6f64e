"""The models of a run, trained and frozen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from torch import nn

from relation_core.adapter.adapter import open_adapter
from relation_core.adapter.config import RelationConfig
from relation_core.flux.sizes import HEAD_DIM, TOKEN_CHANNELS
from relation_core.weights.checkpoint import read_checkpoint

from ..diffusers_host.attention import add_relation_attention
from ..diffusers_host.autoencoder import Autoencoder, decode, encode, load_autoencoder
from ..diffusers_host.lora_file import LoraFile, fuse_lora, read_lora
from ..diffusers_host.quantisation import is_quantised, quantise
from ..diffusers_host.transformer_file import load_transformer
from ..diffusers_host.unfused_lora import add_unfused
from ..diffusers_host.vision_model import load_vision_model
from ..fingerprints import contents_fingerprint
from .adapter_module import AdapterModule
from .flow import RelationFlow
from .lora import add_lora
from .settings import WITH_LORA, NewTransformer, RunSettings, TrainingSettings
from .thin_autoencoder import ThinAutoencoder, thin_autoencoder


def build_flow(settings: RunSettings, vision_dim: int) -> RelationFlow:
    """Make or load the transformer and the adapter, and set which of their weights are trained.

    Trained weights are in the settings' dtype; frozen ones are bfloat16 where the run computes in that, or quantised.
    All of them are on the CPU, so that a card has room for the text encoders first.

    Raises:
        CheckpointError: a file is not what it should be.
        ModelMismatchError: it is another kind of model.
    """
    training, models = settings.training, settings.models
    whole = training.trained == "everything"
    low = torch.bfloat16 if training.precision == "bf16" and not whole else torch.float32
    if models.new_transformer is not None:
        transformer: Any = new_transformer(models.new_transformer)
    else:
        assert models.transformer is not None  # noqa: S101 - the settings have one or the other
        transformer = load_transformer(models.transformer, low)
    if not is_quantised(transformer):
        transformer.to(low)
    transformer.train().requires_grad_(whole)
    if training.gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
    adapter = AdapterModule(adapter_config(settings, transformer, vision_dim), silent=not whole)
    if models.adapter is not None:
        adapter.load(open_adapter(models.adapter))
    choose_trained(adapter, training, low)
    if models.lora is not None and training.trained not in WITH_LORA:
        _make_part(transformer, read_lora(models.lora))
    if models.quantize is not None:
        quantise(transformer, models.quantize, "cpu")
        if training.trained == "lora":  # otherwise the adapter is exported
            quantise(adapter, models.quantize, "cpu")
    if training.trained in WITH_LORA:
        add_lora(transformer, training.lora_rank, models.lora, getattr(torch, training.weights))
    add_relation_attention(transformer)
    return RelationFlow(transformer, adapter, training.guidance)


def adapter_config(settings: RunSettings, transformer: Any, vision_dim: int) -> RelationConfig:
    """The sizes of a run's adapter, for a transformer and a vision model."""
    return RelationConfig(
        blocks=transformer.config["num_layers"] + transformer.config["num_single_layers"],
        heads=transformer.config["num_attention_heads"],
        head_dim=transformer.config["attention_head_dim"],
        tokens=settings.adapter.tokens,
        text_dim=transformer.config["joint_attention_dim"],
        vision_dim=vision_dim,
        projection_dim=settings.adapter.projection_dim,
    )


def choose_trained(adapter: AdapterModule, training: TrainingSettings, low: torch.dtype) -> None:
    """Set which of an adapter's weights are trained, and the dtypes of these and of the others."""
    adapter.image_proj.requires_grad_(training.trained not in ("lora", "keys and values"))
    adapter.ip_adapter.requires_grad_(training.trained not in ("lora", "projection"))
    for name, parameter in adapter.named_parameters():
        frozen = torch.float32 if ".norm." in name else low  # a norm may follow a quantised matrix, which gives float32
        parameter.data = parameter.data.to(getattr(torch, training.weights) if parameter.requires_grad else frozen)


def _make_part(transformer: Any, lora: LoraFile) -> None:
    """Make a LoRA a part of a frozen transformer."""
    if is_quantised(transformer):
        add_unfused(transformer, [lora], 1.0)
    else:
        fuse_lora(transformer, lora, 1.0)


def new_transformer(sizes: NewTransformer) -> FluxTransformer2DModel:
    """Make a Flux with random weights.

    Modulations and output start at zero, which trains better than the library's own start (arXiv 2212.09748, section
    3.2).
    """
    transformer: Any = FluxTransformer2DModel(
        in_channels=TOKEN_CHANNELS,
        num_layers=sizes.double_blocks,
        num_single_layers=sizes.single_blocks,
        attention_head_dim=HEAD_DIM,
        num_attention_heads=sizes.heads,
        joint_attention_dim=sizes.text_dim,
        pooled_projection_dim=sizes.pooled_text_dim,
        guidance_embeds=True,
    )
    silent = [transformer.norm_out.linear, transformer.proj_out]
    for block in transformer.transformer_blocks:
        silent += [block.norm1.linear, block.norm1_context.linear]
    silent += [block.norm.linear for block in transformer.single_transformer_blocks]
    for layer in silent:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return transformer


@dataclass
class FrozenEncoders:
    """The autoencoder and the vision model of a run."""

    autoencoder: Autoencoder | ThinAutoencoder
    vision: Any
    fingerprint: str

    @property
    def vision_dim(self) -> int:
        """Width of the vision model's pooled output."""
        return self.vision.config.hidden_size

    @property
    def image_size(self) -> int:
        """Side of what the vision model looks at."""
        return self.vision.config.image_size

    @torch.no_grad()
    def latents(self, image: torch.Tensor) -> torch.Tensor:
        """Encode pictures (B, height, width, 3) in [0, 1] to latents, float32 on the CPU."""
        if isinstance(self.autoencoder, ThinAutoencoder):
            return self.autoencoder.encode(image.movedim(-1, 1))
        return encode(self.autoencoder, image).cpu()

    @torch.no_grad()
    def pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode pictures (B, 3, side, side) in [-1, 1] to (B, vision_dim), float32 on the CPU."""
        return self.vision.pooled(pixels).clone().cpu()

    @torch.no_grad()
    def pictures(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents to pictures (B, height, width, 3) in [0, 1], float32 on the CPU."""
        if isinstance(self.autoencoder, ThinAutoencoder):
            return self.autoencoder.decode(latents).movedim(1, -1).clamp(0, 1)
        return decode(self.autoencoder, latents)


def load_encoders(vae: Path, vision: Path, device: torch.device | str) -> FrozenEncoders:
    """Load the autoencoder and the vision model, in float32.

    Raises:
        CheckpointError: a file is not what it should be.
    """
    thin = _load_thin(vae) if torch.device(device).type == "cpu" else None
    autoencoder: Any = load_autoencoder(vae, torch.float32) if thin is None else thin
    autoencoder.to(device)
    tower = load_vision_model(vision, torch.float32)
    tower.model.to(device)
    return FrozenEncoders(autoencoder, tower, f"{contents_fingerprint(vae, ('vae',))} {contents_fingerprint(vision)}")


def _load_thin(file: Path) -> ThinAutoencoder | None:
    """Load a TAESD as the thin autoencoder that it was trained as, which is faster; None where it is another."""
    if file.suffix != ".safetensors":
        return None
    checkpoint = read_checkpoint(file)
    return thin_autoencoder(checkpoint.tensors) if "taesd_decoder.1.weight" in checkpoint.stored else None
