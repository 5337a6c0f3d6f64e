"""The source picture as a reference latent in ComfyUI's conditioning, told apart from others."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import torch

_SOURCES = "relation_sources"
"""Conditioning key: places in ``reference_latents`` that hold a source of ours."""


def with_source(conditioning: list[Any], latent: torch.Tensor) -> list[Any]:
    """Add a source latent to every entry of a conditioning, marked as ours among other reference latents."""
    marked = []
    for embedding, values in conditioning:
        references = [*values.get("reference_latents", ()), latent]
        sources = (*values.get(_SOURCES, ()), len(references) - 1)
        marked.append([embedding, {**values, "reference_latents": references, _SOURCES: sources}])
    return marked


@dataclass
class Prompts:
    """What a guider's conditioning says about its entries, by the ids that ComfyUI gives them."""

    negative: set[uuid.UUID] = field(default_factory=set)
    sources: dict[uuid.UUID, tuple[int, ...]] = field(default_factory=dict)

    def is_negative(self, entry: uuid.UUID | None, place: int) -> bool:
        """Whether an entry is negative; without an id, only the first place in the host's list is positive."""
        return place != 0 if entry is None else entry in self.negative

    def sources_of(self, entry: uuid.UUID | None, references: int) -> tuple[int, ...]:
        """Places of our sources among the reference latents; where nothing is marked, every reference is a source."""
        if not self.sources:
            return tuple(range(references))
        return () if entry is None else self.sources.get(entry, ())


def read_prompts(conditions: dict[str, list[dict[str, Any]] | None]) -> Prompts:
    """Read a guider's conditioning, which has a list of entries for every name, such as ``positive``."""
    prompts = Prompts()
    for name, entries in conditions.items():
        for entry in entries or ():
            if "negative" in name:
                prompts.negative.add(entry["uuid"])
            if _SOURCES in entry:
                prompts.sources[entry["uuid"]] = entry[_SOURCES]
    return prompts
