"""The source picture as a marked reference latent in ComfyUI's conditioning."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from ..relation_core.flux.positions import Grid, Window
from .crops import aligned, size_of, window_of

_SOURCES = "relation_sources"
"""Conditioning key: the places of our sources in ``reference_latents``."""
_LATENTS = "relation_source_latents"
"""Conditioning key: for each of these places, the source at the size of the latent to be sampled."""
_ABOUT_REFERENCES = ("reference_latents", _SOURCES, _LATENTS)


@dataclass(frozen=True)
class SourceBatch:
    """Sources of one entry, with their own latents."""

    pictures: int
    latents: torch.Tensor
    """(pictures, channels, height, width), as they came from the VAE."""


def with_source(conditioning: list[Any], source: torch.Tensor, latent: torch.Tensor) -> list[Any]:
    """Add a source to every entry of a conditioning, marked as ours among other reference latents.

    Args:
        conditioning: ComfyUI's.
        source: (B, channels, height, width), what the model sees.
        latent: (B, channels, height, width), the same pictures at the sampled size.
    """
    marked = []
    for embedding, values in conditioning:
        references = [*values.get("reference_latents", ()), source]
        marks = {
            _SOURCES: (*values.get(_SOURCES, ()), len(references) - 1),
            _LATENTS: (*values.get(_LATENTS, ()), latent),
        }
        marked.append([embedding, {**values, "reference_latents": references, **marks}])
    return marked


Entry = dict[str, Any]
Conditions = dict[str, list[Entry] | None]
"""A guider's conditioning: a list of entries per name, such as ``positive``."""


@dataclass
class Prompts:
    """What a guider's conditioning says about its entries, by ComfyUI's ids."""

    known: bool = False
    """Whether a sampler wrapper read the conditioning; some guiders call none."""
    marked: bool = False
    """Whether an entry that is not negative has a marked source."""
    negative: set[uuid.UUID] = field(default_factory=set)
    sources: dict[uuid.UUID, tuple[int, ...]] = field(default_factory=dict)
    windows: dict[uuid.UUID, Window] = field(default_factory=dict)
    sizes: dict[uuid.UUID, Grid] = field(default_factory=dict)
    """Rows and columns of the latent that are sampled for an entry."""
    latent: torch.Size | None = None
    """(B, channels, rows, columns) of the sampled latent; None if the model is called outside of a sampler."""

    def is_negative(self, entry: uuid.UUID | None, place: int) -> bool:
        """Whether an entry is negative; where nothing is known, only the first in the host's list is positive."""
        return entry in self.negative if self.known and entry is not None else place != 0

    def sources_of(self, entry: uuid.UUID | None, references: int) -> tuple[int, ...]:
        """Return the places of our sources among the references: of every reference if nothing is marked.

        A mark in a negative entry says nothing about positive ones.
        """
        if entry is not None and entry in self.sources:
            return self.sources[entry]
        marked = bool(self.sources) if entry in self.negative else self.marked
        return () if marked else tuple(range(references))

    def window_of(self, entry: uuid.UUID | None) -> Window | None:
        """Return where the sampled part of a positive entry lies in the picture; None for the whole picture."""
        return None if entry is None else self.windows.get(entry)

    def size_of(self, entry: uuid.UUID | None) -> Grid | None:
        """Return how many rows and columns of the latent are sampled for a positive entry; None for all."""
        return None if entry is None else self.sizes.get(entry)


def own_entries(conditions: Conditions) -> None:
    """Give every entry of a guider's conditioning its own id and marks, once the host has resolved areas.

    For every area of one prompt, the host adds an entry to the other: it has the id and the marks of the entry with the
    area, but the references of an entry of the list that it is added to.

    Args:
        conditions: the guider's; its lists are changed, its entries are not.
    """
    known: set[uuid.UUID] = set()
    for entries in conditions.values():
        owners: dict[int, Entry] = {}  # by what the model gets of the references: the first entry, which brought them
        for index, entry in enumerate(entries or ()):
            references = entry["model_conds"].get("ref_latents")
            owner: Entry = {} if references is None else owners.setdefault(id(references), entry)
            changes: Entry = {key: owner.get(key) for key in _ABOUT_REFERENCES if entry.get(key) is not owner.get(key)}
            if entry["uuid"] in known:
                changes["uuid"] = uuid.uuid4()
            own = {**entry, **changes} if changes else entry
            known.add(own["uuid"])
            entries[index] = own  # pyright: ignore[reportOptionalSubscript] - it has this entry


def align_areas(conditions: Conditions, latent: torch.Tensor, patch: int) -> None:
    """Give the areas of positive entries whole tokens, once the host has resolved them.

    Args:
        conditions: the guider's; its lists are changed, its entries are not.
        latent: (B, channels, rows, columns), of the shape that is sampled.
        patch: side of a token in latent pixels.
    """
    for name, entries in conditions.items():
        if entries and "negative" not in name:
            entries[:] = [aligned(entry, latent, patch) for entry in entries]


def read_prompts(conditions: Conditions) -> Prompts:
    """Read which entries of a guider's conditioning are negative, and which reference latents are sources."""
    prompts = Prompts(known=True)
    for name, entries in conditions.items():
        for entry in entries or ():
            if "negative" in name:
                prompts.negative.add(entry["uuid"])
            if entry.get(_SOURCES) is not None:
                prompts.marked |= "negative" not in name
                references = len(entry.get("reference_latents") or ())  # another node may have replaced them
                prompts.sources[entry["uuid"]] = tuple(place for place in entry[_SOURCES] if place < references)
    return prompts


def read_placed_prompts(conditions: Conditions, latent: torch.Tensor, patch: int) -> Prompts:
    """Read entries with areas of whole tokens, and where in the picture each entry is sampled."""
    prompts, size = read_prompts(conditions), (latent.shape[-2], latent.shape[-1])
    prompts.latent = latent.shape
    for entry in (entry for entries in conditions.values() for entry in entries or ()):
        if entry["uuid"] not in prompts.negative and (window := window_of(entry, size, patch)) is not None:
            prompts.windows[entry["uuid"]] = window
            prompts.sizes[entry["uuid"]] = size_of(entry, size)
    return prompts


def source_batches(conditions: Conditions) -> Iterator[SourceBatch]:
    """Find every source with more than one picture; if nothing is marked, every reference is a source."""
    prompts = read_prompts(conditions)
    for entry in (entry for entries in conditions.values() for entry in entries or ()):
        references: list[torch.Tensor] = entry.get("reference_latents") or []
        marks: Any = zip(entry.get(_SOURCES) or (), entry.get(_LATENTS) or (), strict=True)
        latents: dict[int, torch.Tensor] = dict(marks)
        for place in prompts.sources_of(entry["uuid"], len(references)):
            if (pictures := references[place].shape[0]) > 1:
                yield SourceBatch(pictures, latents.get(place, references[place]))
