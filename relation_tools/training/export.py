"""Export the trained weights as files for the nodes and the headless engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import torch

from ..weights.conversion import FORMAT, VERSION
from .flow import RelationFlow
from .settings import WITH_LORA
from .sharding import whole
from .weights_file import write_weights

_PEFT: Any = peft  # partly untyped
ADAPTER, LORA, TRANSFORMER = "relation_adapter.safetensors", "lora.safetensors", "transformer.safetensors"


def export(flow: RelationFlow, folder: Path, trained: str, dtype: torch.dtype, main: bool = True) -> None:
    """Write the adapter unless the LoRA alone was trained, and the LoRA or the whole transformer if that was trained.

    The transformer has diffusers' names, which ComfyUI's loader reads too. Where the models are divided, all processes
    call it.

    Args:
        flow: the trained models.
        folder: made if need be.
        trained: as in the settings.
        dtype: of the weights in the files.
        main: whether this process writes them.
    """

    def write(name: str, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        gathered = whole(tensors, main)
        if main:
            folder.mkdir(parents=True, exist_ok=True)
            write_weights(folder / name, gathered, dtype, metadata)

    metadata = {"format": FORMAT, "version": VERSION, "head_dim": str(flow.adapter.config.head_dim)}
    if trained != "lora":
        write(ADAPTER, flow.adapter.state_dict(), metadata)
    if trained in WITH_LORA:
        layers = _PEFT.get_peft_model_state_dict(flow.transformer)
        write(LORA, {f"transformer.{name}": tensor for name, tensor in layers.items()}, {"format": "pt"})
    if trained == "everything":
        write(TRANSFORMER, flow.transformer.state_dict(), {"format": "pt"})
