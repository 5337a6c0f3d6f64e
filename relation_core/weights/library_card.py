"""Metadata that model libraries show: texts under ModelSpec's keys, and pictures in the form of LoRA trainers.

Keys: https://github.com/Stability-AI/ModelSpec. ComfyUI's page reads ``modelspec.*`` and shows the thumbnail beside the
words, its server serves the pictures of ``ssmd_cover_images``, and both pass over a file whose header is larger than
1 MiB.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass

import torch
from PIL import Image

BASE_MODEL = "flux-1-dev"
"""The base model of adapters and relations."""
MAX_COVER_BYTES = 256 << 10
"""Length of all pictures in a header, as text."""
MAX_WORDS = 4096
"""Characters of a title or description; longer ones are cut."""
JPEG_QUALITY = 88


@dataclass(frozen=True)
class LibraryCard:
    """A person's description of a file."""

    title: str = ""
    description: str = ""
    date: str = ""
    """ISO 8601. Empty leaves it out, so that the same contents make the same file."""


def card_metadata(
    card: LibraryCard, *, kind: str, base_model: str, tags: str, usage_hint: str, pictures: torch.Tensor | None = None
) -> dict[str, str]:
    """Make the metadata of a safetensors header.

    Args:
        card: the words.
        kind: what the file is, after the base model in ``modelspec.architecture``.
        base_model: the model that it works with.
        tags: separated by commas.
        usage_hint: how to use it, in a sentence.
        pictures: (P, height, width, 3) uint8; as many of them as fit.
    """
    spec = {
        "sai_model_spec": "1.0.0",
        "architecture": f"{base_model}/{kind}",
        "base_model": base_model,
        "title": card.title.strip()[:MAX_WORDS],
        "description": card.description.strip()[:MAX_WORDS],
        "date": card.date,
        "tags": tags,
        "usage_hint": usage_hint,
    }
    metadata = {f"modelspec.{key}": value for key, value in spec.items() if value}
    if pictures is not None and (covers := _covers(pictures)):
        metadata["ssmd_cover_images"] = json.dumps(covers)
        metadata["modelspec.thumbnail"] = f"data:image/jpeg;base64,{covers[0]}"
    return metadata


def _covers(pictures: torch.Tensor) -> list[str]:
    covers: list[str] = []
    room = MAX_COVER_BYTES
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture.cpu().numpy()).save(file, "JPEG", quality=JPEG_QUALITY)
        text = base64.b64encode(file.getvalue()).decode("ascii")
        room -= len(text)
        if room < 0:
            break
        covers.append(text)
    return covers
