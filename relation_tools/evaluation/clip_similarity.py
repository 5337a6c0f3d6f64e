"""CLIP-I: the cosine of CLIP's image embeddings of result and target (paper, section 4.4)."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..diffusers_host.folders import check_files, check_numbers, first_words, open_encoder
from .errors import EvaluationError

_MOST_PIXELS = 4096
"""Of a side that pictures are brought to."""


class ClipSimilarity:
    """A CLIP model from a local folder, as ``transformers`` saves it; nothing is downloaded.

    The paper does not name its CLIP; ``openai/clip-vit-base-patch32`` and ``-large-patch14`` are the usual ones.
    """

    def __init__(self, folder: Path) -> None:
        from transformers.models.clip.modeling_clip import CLIPModel  # noqa: PLC0415 - optional

        # Its class depends on what is installed. Untyped: for one name of it, pyright reads 2,600 files.
        transformers: Any = importlib.import_module("transformers")
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            check_files(folder)
            check_numbers(folder / "preprocessor_config.json", _MOST_PIXELS)
            processor = transformers.CLIPImageProcessor.from_pretrained(folder, local_files_only=True)
            model = open_encoder(CLIPModel, folder, torch.float32)
            processor(images=[Image.new("RGB", (32, 32))], return_tensors="pt")
        except Exception as error:  # the library, and the readers below it, raise whatever they run into
            raise EvaluationError(
                f"Cannot load CLIP from '{folder}': {first_words(error)} Expected a folder with config.json, "
                "preprocessor_config.json and model.safetensors, such as a download of openai/clip-vit-large-patch14."
            ) from error
        self._processor = processor
        self._model = model.to(self._device).eval()

    @torch.no_grad()
    def embed(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """Embed RGB pictures: (B, D) float32 of length 1."""
        pixels = self._processor(images=list(pictures), return_tensors="pt").pixel_values
        seen = self._model.vision_model(pixel_values=pixels.to(self._device)).pooler_output
        embeddings = self._model.visual_projection(seen)
        return torch.nn.functional.normalize(embeddings.float(), dim=-1).cpu()

    def similarity(self, result: Image.Image, target: Image.Image) -> float:
        """Give the cosine, in [-1, 1]."""
        first, second = self.embed([result, target])
        return float(first @ second)
