"""Check that the relation can act on a model."""

from __future__ import annotations

from typing import Any

import comfy.model_base
import torch

from ..relation_core.adapter.config import FLOAT_DTYPES, RelationConfig
from ..relation_core.adapter.model_fit import ModelSizes, check_sizes
from ..relation_core.errors import ModelMismatchError


def check_model(model: Any, config: RelationConfig) -> None:
    """Refuse a model (a ``ModelPatcher``) that does not fit an adapter of these sizes.

    Raises:
        ModelMismatchError: it is not a FLUX.1, or its blocks, heads or widths differ from the adapter's.
    """
    sizes = flux_sizes(model)
    found = ModelSizes(
        blocks=sizes["depth"] + sizes["depth_single_blocks"],
        heads=sizes["num_heads"],
        hidden_size=sizes["hidden_size"],
        text_dim=sizes["context_in_dim"],
    )
    check_sizes(type(model.model).__name__, found, config)


def flux_sizes(model: Any) -> dict[str, Any]:
    """Return the sizes of a FLUX.1 (a ``ModelPatcher``) under ComfyUI's names.

    Raises:
        ModelMismatchError: it is another kind of model.
    """
    if type(model.model) is not comfy.model_base.Flux:  # its subclasses are other families: FLUX.2, Chroma, LongCat
        raise ModelMismatchError(
            f"The model is a {type(model.model).__name__}; RelationAdapter works on FLUX.1 only (FLUX.1-dev, or a "
            "fine-tune of it). Load one with Load Diffusion Model."
        )
    return model.model.model_config.unet_config


def check_room(c_concat: torch.Tensor | None, references: list[torch.Tensor]) -> None:
    """Refuse reference latents in a model that takes extra channels: ComfyUI gives references none.

    Raises:
        ModelMismatchError: there are both.
    """
    if c_concat is not None and references:
        raise ModelMismatchError(
            "This Flux takes extra channels besides the latent (FLUX.1-Fill, -Canny and -Depth and their LoRAs do), "
            "and ComfyUI gives a source picture none of them. Use FLUX.1-dev, or remove Encode Relation Source."
        )


def check_whole(x: torch.Tensor, entries: int, latent: torch.Size | None, size: tuple[int, int] | None) -> None:
    """Refuse a call of the model on a part of what is sampled for an entry, since the part's place is unknown.

    Args:
        x: (entries * B, channels, rows, columns), the model's input.
        entries: of the conditioning, side by side in the batch.
        latent: (B, channels, rows, columns), the sampled latent's shape; None if it is not known.
        size: rows and columns that the entry's area takes of it; None for all.

    Raises:
        ModelMismatchError: it is a part.
    """
    if latent is None:
        return
    whole = (*latent[:-2], *(size or latent[-2:]))
    if x.shape[0] == entries * latent[0] and (*x.shape[-2:],) == whole[-2:]:
        return
    raise ModelMismatchError(
        f"The model is called on latents of shape {tuple(x.shape)} for {entries} prompts, while {whole} is sampled for "
        "each; expected all of it. Where such a part lies is not known, so the source and the mask cannot follow. "
        "Remove the node that samples tiles or windows (Tiled Diffusion, context windows), or use one that cuts the "
        "picture before sampling (Ultimate SD Upscale). Areas and masks of the conditioning work."
    )


def unreached(model: Any) -> ModelMismatchError:
    """Make the error for a model (a ``BaseModel``) that never called our hooks."""
    kind = type(model.diffusion_model)
    return ModelMismatchError(
        f"This model ({kind.__module__}.{kind.__name__}) does not call ComfyUI's attention patches, so the relation "
        "cannot act on it. Nunchaku's Flux and some compiled or replaced blocks are like that. Load FLUX.1 with Load "
        "Diffusion Model, or a GGUF of it, and remove nodes that replace its blocks."
    )


def compute_dtype(model: Any) -> torch.dtype | None:
    """Return the dtype that a model (a ``ModelPatcher``) computes in; None if it is not a plain float."""
    dtype = model.get_model_object("manual_cast_dtype") or model.model.get_dtype()
    return dtype if dtype in FLOAT_DTYPES else None
