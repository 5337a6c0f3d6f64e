"""Export the trained weights as files for the nodes and the headless engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import torch

from ..weights.conversion import FORMAT, VERSION
from .flow import RelationFlow
from .weights_file import write_weights

_PEFT: Any = peft  # partly untyped
ADAPTER, LORA, TRANSFORMER = "relation_adapter.safetensors", "lora.safetensors", "transformer.safetensors"


def export(flow: RelationFlow, folder: Path, trained: str, dtype: torch.dtype) -> list[Path]:
    """Write the adapter, and the LoRA or the whole transformer if it was trained.

    The transformer has diffusers' names, which ComfyUI's loader reads too.

    Args:
        flow: the trained models.
        folder: made if need be.
        trained: as in the settings.
        dtype: of the weights in the files.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {"format": FORMAT, "version": VERSION, "head_dim": str(flow.adapter.config.head_dim)}
    files = [write_weights(folder / ADAPTER, flow.adapter.state_dict(), dtype, metadata)]
    if trained == "adapter and lora":
        layers = _PEFT.get_peft_model_state_dict(flow.transformer)
        named = {f"transformer.{name}": tensor for name, tensor in layers.items()}
        files.append(write_weights(folder / LORA, named, dtype, {"format": "pt"}))
    if trained == "everything":
        files.append(write_weights(folder / TRANSFORMER, flow.transformer.state_dict(), dtype, {"format": "pt"}))
    return files
