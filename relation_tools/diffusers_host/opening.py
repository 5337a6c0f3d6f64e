"""Open the models that a command's options name."""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from relation_core.errors import RelationAdapterError

from .models import ModelFiles, load_models
from .offloading import Offload
from .pipeline import RelationPipeline


def open_pipeline(options: argparse.Namespace, sees_pairs: bool, learns: bool = False) -> RelationPipeline:
    """Load the models.

    Args:
        options: of the command.
        sees_pairs: whether exemplar pairs are to be seen, for which alone the vision model is loaded.
        learns: whether gradients flow through the transformer.

    Raises:
        RelationAdapterError: they cannot be loaded, or cannot read the prompt.
    """
    quiet_libraries()
    offload: Offload | None = "blocks" if options.offload_blocks else "models" if options.offload else None
    device = device_of(options.device, offload)
    files = ModelFiles(
        options.model, options.adapter, None, options.vae, options.text, tuple(options.lora), options.quantize
    )
    if sees_pairs:
        files = replace(files, vision=options.vision)
        files.vision_file()
    files.check_prompt(options.prompt)
    models = load_models(files, dtype_of(options.dtype, device), options.lora_strength, device)
    return RelationPipeline(models, device, offload, learns)


def quiet_libraries() -> None:
    """Leave the terminal to our own progress bars."""
    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()


def device_of(name: str, offload: Offload | None = None) -> torch.device:
    """Find the device to compute on; ``auto`` is the best available.

    Raises:
        RelationAdapterError: there is none of that name, or nothing to offload from it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RelationAdapterError(
            f"Cannot compute on '{name}' ({str(error).splitlines()[0]}). Expected cuda, mps or cpu: leave --device out "
            "to use the best one."
        ) from error
    if offload and device.type == "cpu":
        raise RelationAdapterError(
            "There is nothing to offload, since the models run on the CPU; expected a GPU. Remove "
            f"{'--offload' if offload == 'models' else '--offload-blocks'}."
        )
    return device


def dtype_of(name: str, device: torch.device) -> torch.dtype:
    """Find the dtype to compute in; ``auto`` is float32 on a CPU and bfloat16 elsewhere."""
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return getattr(torch, name)
