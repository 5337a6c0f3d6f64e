"""The interface of a vision model, whichever library runs it."""

from __future__ import annotations

from typing import Protocol

import torch

from .vision_file import VisionConfig


class VisionModel(Protocol):
    """A SigLIP vision model with its pooling head."""

    @property
    def config(self) -> VisionConfig:
        """Its sizes."""
        ...

    def pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode pictures (P, 3, image_size, image_size) in [-1, 1] to features (P, hidden_size), float32."""
        ...
