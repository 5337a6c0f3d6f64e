"""The pairs that a relation is learned from, and the relations at the start and end of learning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ..adapter.adapter import RelationAdapter
from ..errors import RelationMismatchError
from ..pictures.thumbnails import pair_thumbnail
from ..progress import Progress, Silent
from ..relation.learned import Learned
from ..relation.limits import MAX_PAIRS
from ..relation.pairs import EncodedPairs, Pair
from ..relation.relation import Relation, relation_of_tokens
from ..relation.tokens import token_bias
from .flow import LatentPair
from .settings import TuningError

_SHOWN = 4
"""Pairs in a learned relation's thumbnail."""


def check_pairs(pairs: Sequence[Pair], what: str = "pair") -> None:
    """Refuse pairs that no edit can be learned from.

    Args:
        pairs: RGB pictures before and after.
        what: the name of one of them.

    Raises:
        TuningError: there are none, or the two pictures of a pair differ in size or are the same.
    """
    if not pairs:
        raise TuningError(f"There is no {what} to learn from; expected at least one. Give a picture before and after.")
    for number, (before, after) in enumerate(pairs, 1):
        if before.size != after.size:
            raise TuningError(
                f"The pictures of {what} {number} have {before.width}x{before.height} and {after.width}x{after.height} "
                "pixels; expected one size, since every place is learned from. Resize or crop one of them."
            )
        if before.tobytes() == after.tobytes():
            raise TuningError(
                f"The pictures of {what} {number} are equal, which shows no edit; expected one before and one after it."
            )


def check_latents(latents: Sequence[LatentPair]) -> None:
    """Refuse pairs whose pictures became equal when they were resized and encoded.

    Raises:
        TuningError: those of a pair did.
    """
    for number, pair in enumerate(latents, 1):
        if torch.equal(pair.source, pair.target):
            raise TuningError(
                f"The pictures of pair {number} are equal at the size that is learned from; expected an edit that is "
                "visible there. Raise the long side, or leave the pair out."
            )


def check_held_out(pairs: Sequence[Pair], held_out: Sequence[Pair]) -> None:
    """Refuse to hold out what is learned from, since the loss on it would say nothing about other pictures.

    Raises:
        TuningError: a pair that is held out is also among the others.
    """
    known = {_pixels(pair): number for number, pair in enumerate(pairs, 1)}
    for number, pair in enumerate(held_out, len(pairs) + 1):
        if (same := known.get(_pixels(pair))) is not None:
            raise TuningError(
                f"Pair {number}, which is held out, has the pictures of pair {same}, which is learned from; expected "
                "pictures that learning never sees. Give another pair, or hold out fewer."
            )


def _pixels(pair: Pair) -> tuple[object, ...]:
    return tuple(part for picture in pair for part in (picture.size, picture.tobytes()))


@dataclass(frozen=True)
class Start:
    """What learning starts from: exemplar tokens without their keys and values, which are new at every step."""

    tokens: torch.Tensor
    """(P, 2N, D), on the CPU."""
    pair_weights: tuple[float, ...]
    """One a pair, above 0."""
    thumbnails: torch.Tensor
    """(P, height, width, 3) uint8: the pairs that are learned from."""
    learned: tuple[Learned, ...] = ()
    """Earlier learnings."""

    def token_bias(self) -> torch.Tensor | None:
        """Logarithms of the tokens' weights, (P * 2N,) float32; None if all are equal."""
        return token_bias(self.pair_weights, self.tokens.shape[1])


def in_relations(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """Divide pairs into lists that one relation can hold."""
    for place in range(0, len(pairs), MAX_PAIRS):
        yield list(pairs[place : place + MAX_PAIRS])


def start_relation(*encoded: EncodedPairs | Relation) -> Start:
    """Make one set of exemplar tokens, the mean of all pairs', with a thumbnail of the first ones."""
    tokens = torch.cat([part.tokens for part in encoded])
    mean = tokens.float().mean(0, keepdim=True).to(tokens.dtype)
    return Start(mean, (1.0,), first_pairs(encoded[0].thumbnails, 1))


def check_keys_values(
    adapter: RelationAdapter, start: Start, device: torch.device | str, progress: Progress | None = None
) -> None:
    """Compute the keys and values of the tokens that learning starts from once, and refuse any that are not finite.

    Nothing is kept of them. Progress is one step a block.

    Raises:
        CheckpointError: the adapter holds values that are not finite, or changed on disk.
    """
    progress = progress or Silent()
    progress.start(adapter.config.blocks)
    relation_of_tokens(adapter, start.tokens, start.pair_weights, start.thumbnails, device, progress)


def check_start(relation: Relation, adapter: RelationAdapter) -> Relation:
    """Return the pairs of a relation that learning can start from.

    Raises:
        RelationMismatchError: it was made with another adapter.
        TuningError: all its pairs have weight 0.
    """
    if relation.fingerprint != adapter.fingerprint:
        raise RelationMismatchError(
            f"The relation to start from was made with the adapter {relation.fingerprint}; this is the adapter "
            f"{adapter.fingerprint} ({adapter.path.name}). Use the adapter that it was made with, or start without it."
        )
    present = relation.present()
    if present is None:
        raise TuningError(
            "All pairs of the relation to start from have weight 0; expected one above 0. Start without it."
        )
    return present


def learned_relation(
    adapter: RelationAdapter,
    start: Start,
    tokens: torch.Tensor,
    learned: Learned,
    device: torch.device | str,
    dtype: torch.dtype,
    progress: Progress | None = None,
) -> Relation:
    """Make a relation of learned tokens (P, 2N, D), in the model's dtype; its pictures are those of the start.

    Raises:
        CheckpointError: the adapter changed on disk.
    """
    progress = progress or Silent()
    progress.start(adapter.config.blocks)
    return relation_of_tokens(
        adapter,
        tokens.to("cpu", dtype),
        start.pair_weights,
        start.thumbnails,
        device,
        progress,
        (*start.learned, learned),
    )


def showing(relation: Relation, pairs: Sequence[Pair]) -> Start:
    """Start from a relation, with small pictures of the pairs that it is to learn from."""
    thumbnails = torch.cat([pair_thumbnail(*pair) for pair in pairs])
    return Start(relation.tokens, relation.pair_weights, first_pairs(thumbnails, relation.pairs), relation.learned)


def first_pairs(thumbnails: torch.Tensor, count: int) -> torch.Tensor:
    """Return the requested number of thumbnails (P, height, width, 3) uint8.

    A single one shows up to four pairs in a two by two grid; several show one pair each, starting over when the pairs
    run out.
    """
    if count > 1 or len(thumbnails) == 1:
        return thumbnails[[place % len(thumbnails) for place in range(count)]]
    _, height, width, _ = thumbnails.shape
    grid = Image.new("RGB", (width, height), "white")
    for place, pixels in enumerate(thumbnails[:_SHOWN]):
        small = Image.fromarray(pixels.numpy()).resize((width // 2, height // 2), Image.Resampling.LANCZOS)
        grid.paste(small, (place % 2 * (width // 2), place // 2 * (height // 2)))
    return torch.from_numpy(np.array(grid))[None]
