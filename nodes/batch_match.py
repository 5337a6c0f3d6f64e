"""Check that the latents of a run match a batch of sources or masks.

ComfyUI matches the two by position: it drops surplus sources and repeats missing ones. So a latent that was picked or
split from a batch would get another picture's source. Two things reveal a latent's place: its content (a source's own
latent) and its noise, since a picked latent keeps the noise of its old place.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..relation_core.errors import BatchMismatchError
from .source_conditioning import Conditions, SourceBatch, source_batches

MAX_DRAWS = 192
"""Rows of noise that are searched for a latent's noise: Latent From Batch picks from the first 126."""


def check_batches(
    conditions: Conditions, masks: int, latent: torch.Tensor, noise: torch.Tensor, seed: int | None
) -> None:
    """Refuse a run whose latents are not those of its sources and masks, in the same order.

    Args:
        conditions: the guider's.
        masks: number of masks, one per picture, or 1.
        latent: (B, channels, height, width), as given to the run.
        noise: likewise.
        seed: of the noise, or None.

    Raises:
        BatchMismatchError: they do not match, or it cannot be told whether they do.
    """
    sources = list(source_batches(conditions))
    counts = {batch.pictures: "source pictures" for batch in sources}
    if masks > 1:
        counts.setdefault(masks, "masks of Apply RelationAdapter")
    latents = latent.shape[0]
    for pictures, what in counts.items():
        if latents % pictures:
            raise BatchMismatchError(
                f"There are {pictures} {what} and {latents} latents in this run; expected {pictures}, or a multiple of "
                f"it. {_REMEDY}"
            )
    shown = [_shown_in_order(batch, latent) for batch in sources]
    if not counts or any(shown):
        return
    places = _noise_places(noise, seed)
    for pictures, what in counts.items():
        if places is not None and any((place - row) % pictures for row, place in enumerate(places)):
            raise BatchMismatchError(
                f"The latents of this run were picked from a batch, or reordered: by their noise they are "
                f"number {', '.join(str(place) for place in places[:8])} of it, and there are {pictures} {what}; "
                f"expected all latents in the order of the pictures. {_REMEDY}"
            )


_REMEDY = (
    "To edit some of the pictures, or one at a time, pick or rebatch the pictures before Encode Relation Source (Image "
    "From Batch, Rebatch Images), not the latents after it. Repeat Latent Batch and a single source picture work with "
    "any number."
)


def _shown_in_order(batch: SourceBatch, latent: torch.Tensor) -> bool:
    """Whether every latent belongs to its source.

    Raises:
        BatchMismatchError: one belongs to another source.
    """
    own = batch.latents.to(latent)
    if own.shape[1:] != latent.shape[1:]:
        return False
    shown = []
    for row, picture in enumerate(latent):
        found = [place for place, source in enumerate(own) if torch.equal(source, picture)]
        shown.append(row % batch.pictures in found)
        if found and not shown[-1]:
            raise BatchMismatchError(
                f"Latent {row} of this run is that of source picture {found[0]}, counted from 0; expected that of "
                f"source picture {row % batch.pictures}. {_REMEDY}"
            )
    return all(shown)


def _noise_places(noise: torch.Tensor, seed: int | None) -> list[int] | None:
    """Find the batch place of every latent's noise, as ``comfy.sample.prepare_noise`` draws it.

    None if it cannot be told: the noise is of another kind, or the same for all.
    """
    if seed is None:
        return None
    rows = list(noise)
    if len(rows) > 1 and all(torch.equal(row, rows[0]) for row in rows[1:]):
        return None
    places: dict[int, int] = {}
    for place, drawn in enumerate(_draws(noise, seed)):
        places |= {row: place for row, own in enumerate(rows) if row not in places and torch.equal(own, drawn)}
        if len(places) == len(rows):
            return [places[row] for row in range(len(rows))]
    return None


def _draws(noise: torch.Tensor, seed: int) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(noise.shape[0] + MAX_DRAWS):
        yield torch.randn(1, *noise.shape[1:], generator=generator, dtype=torch.float32).to(noise)[0]
