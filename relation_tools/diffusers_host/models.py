"""Load the models of an edit into one diffusers pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline

from relation_core.adapter.adapter import RelationAdapter, open_adapter
from relation_core.adapter.config import RelationConfig
from relation_core.adapter.model_fit import ModelSizes, check_sizes
from relation_core.errors import ExemplarError, RelationAdapterError

from .attention import add_relation_attention
from .autoencoder import load_autoencoder
from .folders import has_config
from .lora_file import LoraFile, fuse_lora, read_lora
from .quantisation import check_quantization, is_quantised, quantise
from .settings import Quantization
from .text_encoders import open_text_encoders
from .transformer_file import load_transformer
from .unfused_lora import add_unfused
from .vision_model import SiglipVision, load_vision_model


@dataclass(frozen=True)
class ModelFiles:
    """Where the models are. Folders are in diffusers' form."""

    model: Path
    """FLUX.1: a pipeline's or a transformer's folder, or a file as ComfyUI or diffusers has it."""
    adapter: Path
    vision: Path | None
    """None where no pictures are to be seen, as a relation stands for them."""
    vae: Path | None = None
    """A folder or a file; None where ``model`` is a pipeline's folder."""
    text: Path | None = None
    """A pipeline's folder, for its text encoders; None for those of ``model``, or for no text."""
    loras: tuple[Path, ...] = ()
    quantize: Quantization | None = None
    """What the transformer's matrices are quantised to, with the LoRAs in them; None leaves them as they are."""

    def text_folder(self) -> Path | None:
        """The folder of the text encoders; None if there are none."""
        if self.text is not None or not has_config(self.model / "text_encoder"):
            return self.text
        return self.model

    def vision_file(self) -> Path:
        """Where the vision model is.

        Raises:
            ExemplarError: it was not given.
        """
        if self.vision is None:
            raise no_vision_model()
        return self.vision

    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt if there is no text encoder.

        Raises:
            RelationAdapterError: there is a prompt and no text encoder.
        """
        if prompt and self.text_folder() is None:
            raise no_text_encoder(prompt)


@dataclass(frozen=True)
class Models:
    """The models of an edit, loaded."""

    flux: FluxPipeline
    """Transformer, with relation attention and LoRA; autoencoder; text encoders, if there are any."""
    adapter: RelationAdapter
    vision: SiglipVision | None
    """None where no pictures are to be seen."""


def load_models(
    files: ModelFiles, dtype: torch.dtype, lora_strength: float = 1.0, device: torch.device | str = "cpu"
) -> Models:
    """Load every model that the files name, each once, onto the CPU.

    Args:
        files: where they are.
        dtype: what they compute in.
        lora_strength: at which the LoRAs are fused into the transformer, as the authors do at 1.
        device: where matrices are quantised, and stay, if they are.

    Raises:
        CheckpointError: a file is damaged or of another kind.
        ModelMismatchError: the adapter or a LoRA is for another transformer.
        RelationAdapterError: the transformer cannot be quantised.
    """
    check_quantization(files.quantize, files.model, device)
    # Small files come first, so that their errors show before 24 GB are loaded.
    adapter = open_adapter(files.adapter)
    loras = [read_lora(path) for path in files.loras]
    vision = None if files.vision is None else load_vision_model(files.vision, dtype)
    autoencoder = load_autoencoder(files.vae or files.model, dtype)
    transformer = load_fused_transformer(files.model, loras, adapter.config, dtype, lora_strength)
    if files.quantize is not None:
        quantise(transformer, files.quantize, device)
    return Models(_pipeline(files.text_folder(), dtype, transformer=transformer, vae=autoencoder), adapter, vision)


def load_fused_transformer(
    model: Path, loras: Sequence[LoraFile], config: RelationConfig, dtype: torch.dtype, lora_strength: float = 1.0
) -> FluxTransformer2DModel:
    """Load a transformer, fuse LoRAs into it, or put them beside it if it is quantised, and give it relation attention.

    Args:
        model: its file, or the folder that it is in.
        loras: what is fused, or stands beside it.
        config: of the adapter that it is for.
        dtype: what it computes in.
        lora_strength: of each of them.

    Raises:
        CheckpointError: there is no whole FLUX.1 transformer.
        ModelMismatchError: the adapter or a LoRA is for another transformer.
    """
    transformer = load_transformer(model, dtype)
    check_transformer(transformer, model.name, config)
    if is_quantised(transformer):
        add_unfused(transformer, loras, lora_strength)
    else:
        for lora in loras:
            fuse_lora(transformer, lora, lora_strength)
    add_relation_attention(transformer)
    return transformer


def no_vision_model() -> ExemplarError:
    """Say that nothing can see exemplars."""
    return ExemplarError(
        "There are exemplar pairs but no vision model; expected SigLIP, which sees them. Give its file: --vision."
    )


def no_text_encoder(prompt: str) -> RelationAdapterError:
    """Make the error for a prompt without a text encoder."""
    return RelationAdapterError(
        f"There is a prompt ('{prompt[:80]}') but no text encoder; expected one to read it. Name the folder of a "
        "FLUX.1 pipeline that has text encoders, or remove the prompt."
    )


def check_transformer(transformer: FluxTransformer2DModel, name: str, config: RelationConfig) -> None:
    """Refuse a transformer that an adapter was not trained for.

    Raises:
        ModelMismatchError: their sizes differ.
    """
    sizes = transformer.config
    check_sizes(
        name,
        ModelSizes(
            blocks=sizes["num_layers"] + sizes["num_single_layers"],
            heads=sizes["num_attention_heads"],
            hidden_size=sizes["num_attention_heads"] * sizes["attention_head_dim"],
            text_dim=sizes["joint_attention_dim"],
        ),
        config,
    )


def _pipeline(text: Path | None, dtype: torch.dtype, **models: Any) -> FluxPipeline:
    if text is not None:
        return open_text_encoders(text, dtype, **models)
    kind: Any = FluxPipeline
    parts = ("scheduler", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    return kind(**models, **dict.fromkeys(parts))
