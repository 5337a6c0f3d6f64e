"""Check what a sampling run is given, before anything is sampled."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from ..relation_core.errors import SamplingInputError
from ..relation_core.flux.sizes import LATENT_CHANNELS
from .crops import Entry
from .source_conditioning import Conditions

_METHOD = "index_timestep_zero"
"""Of reference latents: gives clean ones a noise level of their own. FLUX.1's blocks are modulated by one for all."""
_NUMBERS = ("guidance", "strength", "mask_strength")
"""Conditioning keys whose values are numbers."""


def check_run(guider: Any, latent: torch.Tensor, noise: torch.Tensor, denoise_mask: torch.Tensor | None) -> None:
    """Refuse a run of a FLUX.1 that would fail inside of ComfyUI, or give a black or empty picture.

    Args:
        guider: the host's, with the model and its conditioning.
        latent: (B, channels, height, width), as given to the run.
        noise: likewise.
        denoise_mask: of the latent, or None.

    Raises:
        SamplingInputError: something is of another model, is empty, or has NaN or infinite values.
    """
    _check_latent("latent", latent)
    given = {"latent": latent, "noise": noise, "noise mask": denoise_mask}
    for what, tensor in given.items():
        if tensor is not None and not bool(tensor.isfinite().all()):
            raise SamplingInputError(
                f"The {what} of this run has NaN or infinite values; expected finite values, since the picture would "
                "be black. Check the node that makes it."
            )
    used = guider.conds if _uses_negative(guider) else _without_negative(guider.conds)
    check_prompts(used, guider.model_patcher.model.model_config.unet_config)
    for name, entries in used.items():
        for entry in entries or ():
            if entry.get("reference_latents"):
                check_reference_method(name, entry, guider.model_patcher)


def check_prompts(conditions: Conditions, sizes: dict[str, Any]) -> None:
    """Refuse prompts that FLUX.1 cannot read.

    Args:
        conditions: the guider's, of which every list is used.
        sizes: the model's, under ComfyUI's names.

    Raises:
        SamplingInputError: one is empty, of another text encoder, or has NaN or infinite values.
    """
    for name, entries in conditions.items():
        if entries is not None and not entries:
            raise SamplingInputError(
                f"The {name} conditioning is empty; expected at least one prompt. Connect a text encoder's output."
            )
        for entry in entries or ():
            _check_widths(name, entry, sizes)
            for what, value in _values(entry):
                if not (bool(value.isfinite().all()) if isinstance(value, torch.Tensor) else math.isfinite(value)):
                    raise SamplingInputError(
                        f"The {name} conditioning has NaN or infinite values in its {what}; expected finite values, "
                        "since the picture would be black. Check the node that makes it; if it is a text encoder, "
                        "start ComfyUI with --fp32-text-enc."
                    )
            for reference in entry.get("reference_latents") or ():
                _check_latent(f"reference latent of the {name} conditioning", reference)


def check_reference_method(name: str, entry: Entry, model: Any) -> None:
    """Refuse a method of reference latents that FLUX.1 lacks.

    Args:
        name: of the conditioning.
        entry: a prompt of it, with a reference latent.
        model: a ``ModelPatcher``, whose patches may set the method of prompts that name none.

    Raises:
        SamplingInputError: it gives clean latents a noise level of their own.
    """
    own = entry.get("reference_latents_method")
    if (own or model.object_patches.get("diffusion_model.params.default_ref_method")) != _METHOD:
        return
    by = "Edit Model Reference Method sets it" if own else "Flux KV Cache sets it for the model"
    remedy = "choose offset, index or uxo/uno there" if own else "take that node out"
    raise SamplingInputError(
        f"The {name} conditioning has reference latents by the method {_METHOD} ({by}), which ComfyUI can do with "
        f"FLUX.2 only; expected a method of FLUX.1: {remedy}. Reuse Relation Source saves the time of the relation's "
        "source."
    )


def check_latent_axes(latent: torch.Tensor) -> None:
    """Refuse a latent that is not of pictures.

    Raises:
        SamplingInputError: it is not (B, channels, height, width), or it is empty.
    """
    if latent.ndim != 4 or 0 in latent.shape:
        raise _unfit_latent("latent", latent)


def _check_latent(what: str, latent: torch.Tensor) -> None:
    if latent.ndim != 4 or 0 in latent.shape or latent.shape[1] != LATENT_CHANNELS:
        raise _unfit_latent(what, latent)


def _unfit_latent(what: str, latent: torch.Tensor) -> SamplingInputError:
    return SamplingInputError(
        f"The {what} has the shape {tuple(latent.shape)}; FLUX.1 expects (batch, {LATENT_CHANNELS}, height, width), "
        "none of them 0. Connect the latent of Encode Relation Source, or one that FLUX.1's autoencoder made."
    )


def _uses_negative(guider: Any) -> bool:
    """Whether a guider computes its negative prompt; the host's leave it out where its weight is 1."""
    if not set(guider.conds) <= {"positive", "middle", "negative"}:
        return True
    weight = getattr(guider, "cfg2", getattr(guider, "cfg", 1.0))  # cfg2 is of DualCFGGuider
    return not math.isclose(weight, 1.0) or bool(guider.model_options.get("disable_cfg1_optimization", False))


def _without_negative(conditions: Conditions) -> Conditions:
    return {name: entries for name, entries in conditions.items() if "negative" not in name}


def _check_widths(name: str, entry: Entry, sizes: dict[str, Any]) -> None:
    text, pooled = entry.get("cross_attn"), entry.get("pooled_output")
    if text is None or text.ndim != 3 or 0 in text.shape or text.shape[-1] != sizes["context_in_dim"]:
        found, expected = "text", f"(batch, tokens, {sizes['context_in_dim']})"
        shape = None if text is None else tuple(text.shape)
    elif pooled is not None and (pooled.ndim != 2 or pooled.shape[-1] < (sizes["vec_in_dim"] or 0)):
        found, expected, shape = "pooled text", f"(batch, {sizes['vec_in_dim']})", tuple(pooled.shape)
    else:
        return
    raise SamplingInputError(
        f"The {name} conditioning has {found} of the shape {shape}; this Flux expects {expected}. Encode the prompt "
        "with FLUX.1's text encoders: CLIP-L and T5-XXL in DualCLIPLoader, with the type flux."
    )


def _values(entry: Entry) -> Iterator[tuple[str, Any]]:
    named = {"text": "cross_attn", "pooled text": "pooled_output", "mask": "mask"}
    named |= {key.replace("_", " "): key for key in _NUMBERS}
    yield from ((what, entry[key]) for what, key in named.items() if entry.get(key) is not None)
    yield from (("reference latents", latent) for latent in entry.get("reference_latents") or ())
