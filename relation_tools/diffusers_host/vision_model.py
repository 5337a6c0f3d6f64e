"""SigLIP's vision model in transformers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.models.siglip.configuration_siglip import SiglipVisionConfig
from transformers.models.siglip.modeling_siglip import SiglipVisionModel

from relation_core.errors import CheckpointError
from relation_core.vision.vision_file import HEAD_PREFIX, VisionConfig, open_vision

_FOLDER_FILE = "model.safetensors"


@dataclass(frozen=True)
class SiglipVision:
    """A vision model with its pooling head."""

    config: VisionConfig
    model: Any
    """A ``SiglipVisionModel``, whose methods are partly untyped."""

    @torch.no_grad()
    def pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode pictures (P, 3, image_size, image_size) in [-1, 1] to features (P, hidden_size), float32."""
        output: Any = self.model(pixel_values=pixels.to(self.model.device, self.model.dtype))
        return output.pooler_output.float()


def vision_file(path: Path) -> Path:
    """The weights of a vision model that is named by its file, or by the folder that it is in."""
    return path / _FOLDER_FILE if path.is_dir() else path


def load_vision_model(path: Path, dtype: torch.dtype) -> SiglipVision:
    """Load a vision model from a file, with its ``config.json`` beside it if it is not so400m, or from a folder.

    Raises:
        CheckpointError: see :func:`relation_core.vision.open_vision`.
    """
    file = open_vision(vision_file(path))
    tensors = {**file.trunk, **{f"{HEAD_PREFIX}{name}": tensor for name, tensor in file.head.items()}}
    kind: Any = SiglipVisionModel  # whose names for the same tensors have changed with its versions
    model, found = kind.from_pretrained(
        None,
        config=SiglipVisionConfig(**vars(file.config)),
        state_dict=tensors,
        dtype=dtype,
        output_loading_info=True,
    )
    if found["missing_keys"] or found["unexpected_keys"]:
        raise CheckpointError(
            f"This version of transformers does not take {file.path} (missing {found['missing_keys']}, unexpected "
            f"{found['unexpected_keys']}). Update transformers."
        )
    return SiglipVision(file.config, model.eval().requires_grad_(False))
