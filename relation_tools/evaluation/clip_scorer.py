"""Scores from CLIP's embeddings: CLIP-I (paper, section 4.4), the direction of the edit, and captions."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..diffusers_host.folders import open_encoder
from .model_folder import cosines, device, loading, maker_of, picture_processor
from .sample_pictures import SamplePictures
from .scorer import Values

_LEAST_CHANGE = 1e-4
"""Length of a difference of embeddings, which are of length 1; a shorter one is rounding, and has no direction."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Prepared:
    pixels: torch.Tensor
    """(5, 3, height, width): A, A', B, B' and the target."""
    captions: tuple[str, str] | None
    """Of source and target."""


class ClipScorer:
    """A CLIP model from a local folder, as ``transformers`` saves it.

    The paper does not name its CLIP; ``openai/clip-vit-base-patch32`` and ``-large-patch14`` are the usual ones.
    """

    name = "clip"

    def __init__(self, folder: Path) -> None:
        from transformers.models.clip.modeling_clip import CLIPModel  # noqa: PLC0415 - optional

        self._device = device()
        with loading("CLIP", folder, "openai/clip-vit-large-patch14"):
            self._processor = picture_processor(folder, "CLIPImageProcessor")
            self._model = open_encoder(CLIPModel, folder, torch.float32).to(self._device).eval()
            self._tokenizer = _tokenizer(folder)
            self.maker = maker_of(folder)

    def prepare(self, pictures: SamplePictures) -> _Prepared:
        """Bring a sample's pictures to CLIP's size."""
        five = [pictures.before, pictures.after, pictures.source, pictures.result, pictures.target]
        captions = pictures.sample.source_caption, pictures.sample.target_caption
        return _Prepared(self._pixels(five), captions if all(captions) else None)

    def score(self, prepared: Sequence[_Prepared]) -> list[Values]:
        """Score samples."""
        seen = self._embed_pixels(torch.cat([one.pixels for one in prepared]))
        before, after, source, result, target = (seen[place::5] for place in range(5))
        similar, along = cosines(result, target), directions(after - before, result - source)
        found: list[Values] = []
        for index, one in enumerate(prepared):
            texts = self._by_captions(one.captions, source[index], result[index])
            found.append({"clip_i": similar[index], "clip_direction": along[index], **texts})
        return found

    @torch.no_grad()
    def _embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Embed texts: (B, D) float32 of length 1; long ones are cut."""
        most = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(list(texts), padding=True, truncation=True, max_length=most, return_tensors="pt")
        read = self._model.text_model(**tokens.to(self._device)).pooler_output
        return torch.nn.functional.normalize(self._model.text_projection(read).float(), dim=-1).cpu()

    def _pixels(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        return self._processor(images=list(pictures), return_tensors="pt").pixel_values

    @torch.no_grad()
    def _embed_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        seen = self._model.vision_model(pixel_values=pixels.to(self._device)).pooler_output
        return torch.nn.functional.normalize(self._model.visual_projection(seen).float(), dim=-1).cpu()

    def _by_captions(self, captions: tuple[str, str] | None, source: torch.Tensor, result: torch.Tensor) -> Values:
        if captions is None or self._tokenizer is None:
            return {"clip_text_direction": None, "clip_t": None}
        old, new = self._embed_texts([captions[0]]), self._embed_texts([captions[1]])
        (along,) = directions(new - old, (result - source)[None])
        return {"clip_text_direction": along, "clip_t": cosines(new, result[None])[0]}


def directions(wanted: torch.Tensor, made: torch.Tensor) -> list[float | None]:
    """Give the cosine of two changes (B, D); 0 where none was made, None where none is wanted."""
    along = zip(_changes(wanted), _changes(made), cosines(wanted, made), strict=True)
    return [(cosine if changed else 0.0) if asked else None for asked, changed, cosine in along]


def _changes(differences: torch.Tensor) -> list[bool]:
    return [float(difference.square().sum()) > _LEAST_CHANGE**2 for difference in differences]


def _tokenizer(folder: Path) -> Any:
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        _LOG.info("'%s' has no tokenizer.json: results are not compared with captions.", folder)
        return None
    transformers: Any = importlib.import_module("transformers")
    return transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)
