"""The models of an edit, from their files into one diffusers pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline

from relation_core.adapter.adapter import RelationAdapter, open_adapter
from relation_core.adapter.config import RelationConfig
from relation_core.adapter.model_fit import ModelSizes, check_sizes
from relation_core.errors import CheckpointError, ModelMismatchError, RelationAdapterError
from relation_core.weights.checkpoint import read_checkpoint
from relation_core.weights.kinds import FileKind, described, recognise, shortened

from .attention import add_relation_attention
from .autoencoder import load_autoencoder
from .folders import has_config
from .transformer_file import load_transformer
from .vision_model import SiglipVision, load_vision_model


@dataclass(frozen=True)
class ModelFiles:
    """Where the models are. Folders are in diffusers' form."""

    model: Path
    """FLUX.1: a pipeline's or a transformer's folder, or a file as ComfyUI or diffusers has it."""
    adapter: Path
    vision: Path
    vae: Path | None = None
    """A folder or a file; None where ``model`` is a pipeline's folder."""
    text: Path | None = None
    """A pipeline's folder, for its text encoders; None for those of ``model``, or for no text."""
    loras: tuple[Path, ...] = ()

    def text_folder(self) -> Path | None:
        """Where the text encoders are; None where there are none."""
        if self.text is not None or not has_config(self.model / "text_encoder"):
            return self.text
        return self.model

    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt that nothing could read.

        Raises:
            RelationAdapterError: there is one, and no text encoder.
        """
        if prompt and self.text_folder() is None:
            raise no_text_encoder(prompt)


@dataclass(frozen=True)
class Models:
    """The models of an edit, loaded."""

    flux: FluxPipeline
    """Transformer, with relation attention and LoRA; autoencoder; text encoders, if there are any."""
    adapter: RelationAdapter
    vision: SiglipVision


def load_models(files: ModelFiles, dtype: torch.dtype, lora_strength: float = 1.0) -> Models:
    """Load every model, onto the CPU.

    Args:
        files: where they are.
        dtype: what they compute in.
        lora_strength: at which the LoRAs are fused into the transformer, as the authors do at 1.

    Raises:
        CheckpointError: a file is not what it should be.
        ModelMismatchError: the adapter or a LoRA is for another transformer.
    """
    # What is quickly read comes first: what is wrong with it shows before 24 GB are loaded.
    adapter = open_adapter(files.adapter)
    loras = [(path, read_lora(path)) for path in files.loras]
    vision = load_vision_model(files.vision, dtype)
    autoencoder = load_autoencoder(files.vae or files.model, dtype)
    transformer = load_transformer(files.model, dtype)
    check_transformer(transformer, files.model.name, adapter.config)
    flux = _pipeline(files.text_folder(), dtype, transformer=transformer, vae=autoencoder)
    for path, tensors in loras:
        fuse_lora(transformer, tensors, path, lora_strength)
    add_relation_attention(transformer)
    return Models(flux, adapter, vision)


def no_text_encoder(prompt: str) -> RelationAdapterError:
    """Say that nothing can read a prompt."""
    return RelationAdapterError(
        f"There is a prompt ('{prompt[:80]}') but no text encoder; expected one to read it. Name the folder of a "
        "FLUX.1 pipeline that has text encoders, or leave the prompt out."
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


def read_lora(path: Path) -> dict[str, torch.Tensor]:
    """Map a LoRA into memory.

    Raises:
        CheckpointError: the file is no LoRA.
    """
    tensors = dict(read_checkpoint(path).tensors)
    found = recognise(tensors)
    if found is None or found.kind is not FileKind.LORA:
        raise CheckpointError(f"{path} holds {described(tensors)}; expected a LoRA for FLUX.1.")
    return tensors


def fuse_lora(transformer: Any, tensors: dict[str, torch.Tensor], path: Path, strength: float) -> None:
    """Add a LoRA to the transformer's weights, for good. What it has for text encoders is left out.

    Args:
        transformer: the transformer (a ``FluxTransformer2DModel``).
        tensors: from :func:`read_lora`.
        path: where they are from.
        strength: times which they are added.

    Raises:
        CheckpointError: its layout is unknown.
        ModelMismatchError: it is for another transformer.
    """
    try:
        layers, alphas = cast("Any", FluxPipeline).lora_state_dict(tensors, return_alphas=True)
    except Exception as error:  # the library raises whatever it runs into
        raise CheckpointError(f"{path} is a LoRA of no known layout ({error}). Use one for FLUX.1.") from error
    layers = {name: tensor for name, tensor in layers.items() if not name.startswith("text_encoder")}
    unplaced = _without_a_place(layers, transformer)
    if unplaced:
        raise ModelMismatchError(
            f"{path} does not fit the transformer: {len(unplaced)} of its {len(layers)} tensors have no place there, "
            f"such as {shortened(unplaced, 2)}; expected a LoRA for a model of its sizes. Use the one that the adapter "
            "was released with, pytorch_lora_weights.safetensors."
        )
    transformer.load_lora_adapter(layers, network_alphas=alphas, prefix="transformer")
    transformer.fuse_lora(lora_scale=strength)
    transformer.unload_lora()


def _without_a_place(layers: dict[str, torch.Tensor], transformer: torch.nn.Module) -> list[str]:
    """Names of LoRA tensors for which the transformer has no matrix of fitting sides."""
    weights = {f"transformer.{name}": weight for name, weight in transformer.state_dict().items()}
    unplaced: list[str] = []
    for name, tensor in layers.items():
        module, kind = name.removesuffix(".weight").rsplit(".", 1)
        weight = weights.get(f"{module}.weight")
        side = {"lora_A": 1, "lora_B": 0}.get(kind)
        if weight is None or side is None or tensor.shape[side] != weight.shape[side]:
            unplaced.append(name)
    return unplaced


def _pipeline(text: Path | None, dtype: torch.dtype, **models: Any) -> FluxPipeline:
    kind: Any = FluxPipeline
    if text is None:
        parts = ("scheduler", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
        return kind(**models, **dict.fromkeys(parts))
    try:
        return kind.from_pretrained(text, dtype=dtype, local_files_only=True, **models)
    except Exception as error:  # both libraries, and the readers below them, raise whatever they run into
        raise CheckpointError(
            f"{text} does not hold the text encoders of a FLUX.1 pipeline ({error}). Expected the folder of a whole "
            "pipeline, with model_index.json, text_encoder, text_encoder_2, tokenizer and tokenizer_2."
        ) from error
