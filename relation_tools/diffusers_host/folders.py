"""Model folders in the form that diffusers and transformers save."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from relation_core.errors import CheckpointError


def has_config(folder: Path) -> bool:
    """Whether a folder holds a saved model."""
    return (folder / "config.json").is_file()


def open_folder(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load a model that was saved by ``save_pretrained``, from the disk alone.

    Args:
        kind: the model's class, of diffusers or transformers.
        folder: with its ``config.json`` and weights.
        dtype: what it computes in.

    Raises:
        CheckpointError: there is no such model.
    """
    if not has_config(folder):
        raise CheckpointError(
            f"{folder} has no config.json; expected a model as diffusers saves it, or the folder of a whole pipeline. "
            "Check the path, or name the model's .safetensors file."
        )
    try:
        return kind.from_pretrained(folder, dtype=dtype, local_files_only=True)
    except Exception as error:  # both libraries, and the readers below them, raise whatever they run into
        raise CheckpointError(
            f"{folder} does not contain a complete {kind.__name__} ({error}). Download the folder again."
        ) from error
