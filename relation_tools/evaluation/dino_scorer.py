"""The cosine of DINO's embeddings of result and target."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch

from relation_core.files.json_file import read_json

from ..diffusers_host.folders import open_encoder
from .errors import EvaluationError
from .model_folder import cosines, device, loading, maker_of, picture_processor
from .sample_pictures import SamplePictures
from .scorer import Values

_KINDS = {
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "dinov3_vit": "DINOv3ViTModel",
    "vit": "ViTModel",
}
"""Classes in ``transformers``, by the model type in ``config.json``; DINO itself is a ViT."""


class DinoScorer:
    """A DINO, DINOv2 or DINOv3 from a local folder, as ``transformers`` saves it.

    A picture's embedding is the last state of the class token.
    """

    name = "dino"

    def __init__(self, folder: Path) -> None:
        self._device = device()
        with loading("DINO", folder, "facebook/dinov2-base"):
            self._processor = picture_processor(folder, "AutoImageProcessor")
            self._model = open_encoder(_kind(folder), folder, torch.float32).to(self._device).eval()
            self.maker = maker_of(folder)

    def prepare(self, pictures: SamplePictures) -> torch.Tensor:
        """Result and target, (2, 3, height, width)."""
        return self._processor(images=[pictures.result, pictures.target], return_tensors="pt").pixel_values

    @torch.no_grad()
    def score(self, prepared: Sequence[torch.Tensor]) -> list[Values]:
        """Score samples."""
        seen = self._model(pixel_values=torch.cat(list(prepared)).to(self._device)).last_hidden_state[:, 0]
        seen = seen.float().cpu()
        return [{"dino": cosine} for cosine in cosines(seen[::2], seen[1::2])]


def _kind(folder: Path) -> Any:
    """Find a model's class; a ViT without the pooler, which DINO's weights lack."""
    config: Any = read_json(folder / "config.json")
    kind = str(cast("dict[str, Any]", config).get("model_type")) if isinstance(config, dict) else ""
    if kind not in _KINDS:
        raise EvaluationError(f"its config.json says model_type = {kind!r}; expected one of {', '.join(_KINDS)}.")
    transformers: Any = importlib.import_module("transformers")
    found = getattr(transformers, _KINDS[kind])
    return _Unpooled(found) if kind == "vit" else found


class _Unpooled:
    """Makes models of a class without their pooler, as the class itself makes them."""

    def __init__(self, kind: Any) -> None:
        self.config_class, self.__name__ = kind.config_class, kind.__name__
        self._kind = kind

    def __call__(self, config: Any) -> Any:
        return self._kind(config, add_pooling_layer=False)

    def from_pretrained(self, *arguments: Any, **options: Any) -> Any:
        """Load a model."""
        return self._kind.from_pretrained(*arguments, add_pooling_layer=False, **options)
