"""A relation: the edit that exemplar pairs show, ready for a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from ..adapter.adapter import RelationAdapter
from ..adapter.config import RelationConfig
from ..adapter.keys import ADAPTER_ADDRESS
from ..errors import CheckpointError, ExemplarError, RelationMismatchError
from ..pictures.thumbnails import join_thumbnails
from ..progress import Progress, Silent
from ..weights.kinds import shortened
from ..weights.stored_tensor import StoredTensor
from .keys_values import KeysValues, compute_keys_values, join_tokens, mix_tokens, select_pairs
from .learned import Learned
from .limits import check_pair_count, check_weight
from .tokens import pair_tokens, token_bias


@dataclass(frozen=True)
class Relation:
    """The edit that P exemplar pairs show: an immutable value that holds no module.

    N is the adapter's number of tokens a picture, D its text width.
    """

    config: RelationConfig
    fingerprint: str
    """Of the adapter that made it."""
    tokens: torch.Tensor
    """(P, 2N, D): before, then after, on the CPU in the dtype of the keys."""
    pair_weights: tuple[float, ...]
    """One a pair; a weight w adds log w to the pair's logits."""
    thumbnails: torch.Tensor
    """(P, height, width, 3) uint8: before and after, side by side."""
    keys_values: KeysValues
    """Of the tokens of all pairs, side by side: T = P * 2N."""
    learned: tuple[Learned, ...] = ()
    """How its tokens were learned, one entry per learning; empty if all are encoded."""

    @property
    def pairs(self) -> int:
        """Number of exemplar pairs (P)."""
        return len(self.pair_weights)

    def present(self) -> Relation | None:
        """The relation without its pairs of weight 0; None if no pair is left."""
        kept = [index for index, weight in enumerate(self.pair_weights) if weight > 0.0]
        if len(kept) == self.pairs:
            return self
        if not kept:
            return None
        return replace(
            self,
            tokens=self.tokens[kept],
            pair_weights=tuple(self.pair_weights[index] for index in kept),
            thumbnails=self.thumbnails[kept],
            keys_values=select_pairs(self.keys_values, self.pairs, kept),
        )

    def keys_values_in(self, dtype: torch.dtype, device: torch.device | str = "cpu") -> KeysValues:
        """Keys and values where a model computes, and in its dtype.

        Raises:
            ExemplarError: that dtype does not hold them.
        """
        moved = self.keys_values.to(device, dtype)
        if dtype != self.keys_values.keys.dtype and not moved.is_finite():
            raise ExemplarError(
                f"The relation's keys and values reach {float(self.keys_values.values.abs().max()):.3g}, more than "
                f"{dtype} holds; expected values of about 1. Encode the exemplar pairs again, or compute in bfloat16."
            )
        return moved

    def token_bias(self) -> torch.Tensor | None:
        """Logarithms of the tokens' weights, (T,) float32; None if all are equal, which changes nothing.

        Every weight must be above 0.
        """
        return token_bias(self.pair_weights, self.tokens.shape[1])


def encode_relation(
    adapter: RelationAdapter,
    pooled: torch.Tensor,
    thumbnails: torch.Tensor,
    weight: float,
    device: torch.device | str,
    dtype: torch.dtype,
    progress: Progress | None = None,
) -> Relation:
    """Turn pooled vision features of exemplar pairs into a relation, streaming the adapter from disk.

    Args:
        adapter: the adapter.
        pooled: (P, 2, vision_dim), of before and after.
        thumbnails: (P, height, width, 3) uint8.
        weight: of each of these pairs, at least 0.
        device: where to compute; the result is kept on the CPU.
        dtype: of tokens, keys and values: the model's compute dtype.
        progress: one step a token of the adapter, then one a block; it may raise to stop.

    Raises:
        ExemplarError: the vision model is not the adapter's, or returned NaN or infinite values; the weight is invalid,
        or there are too many pairs.
        CheckpointError: the adapter holds values that are not finite, or changed on disk.
    """
    check_pair_count(len(pooled))
    check_weight(weight)
    tokens = pair_tokens(adapter, pooled, device, dtype, progress)
    return relation_of_tokens(adapter, tokens, (weight,) * len(pooled), thumbnails, device, progress)


def relation_of_tokens(
    adapter: RelationAdapter,
    tokens: torch.Tensor,
    pair_weights: tuple[float, ...],
    thumbnails: torch.Tensor,
    device: torch.device | str,
    progress: Progress | None = None,
    learned: tuple[Learned, ...] = (),
    source: str = "these exemplar pairs",
) -> Relation:
    """Compute the keys and values of exemplar tokens, streaming the adapter from disk.

    Args:
        adapter: the adapter.
        tokens: (P, 2N, D) on the CPU, in the dtype of the keys and values.
        pair_weights: one a pair.
        thumbnails: (P, height, width, 3) uint8.
        device: where to compute; the result is kept on the CPU.
        progress: one step a block; it may raise to stop.
        learned: how they were learned.
        source: what the tokens come from, for messages.

    Raises:
        ExemplarError: the tokens are so large that keys or values are not finite.
        CheckpointError: the adapter holds values that are not finite, or changed on disk.
    """
    weights = adapter.weights()
    keys_values = compute_keys_values(tokens.flatten(0, 1), weights, adapter.config, device, progress or Silent())
    if not keys_values.is_finite():
        raise _not_finite(adapter, weights, tokens, source)
    return Relation(adapter.config, adapter.fingerprint, tokens, pair_weights, thumbnails, keys_values, learned)


def join_relations(relations: list[Relation]) -> Relation:
    """Put the pairs of several relations side by side, each with its own weight.

    Raises:
        RelationMismatchError: they were made with different adapters.
        ExemplarError: together they have too many pairs.
    """
    first = relations[0]
    for other in relations[1:]:
        check_same_adapter(first, other)
    check_pair_count(sum(part.pairs for part in relations))
    dtype = first.tokens.dtype
    return replace(
        first,
        tokens=torch.cat([part.tokens.to(dtype) for part in relations]),
        pair_weights=tuple(weight for part in relations for weight in part.pair_weights),
        thumbnails=join_thumbnails([part.thumbnails for part in relations]),
        keys_values=join_tokens([part.keys_values.to("cpu", dtype) for part in relations]),
        learned=_origins(relations),
    )


def concat_relations(first: Relation, second: Relation, ratio: float) -> Relation:
    """Put the pairs of two relations side by side, with their weights times ``1 - ratio`` and ``ratio``.

    Raises:
        RelationMismatchError: they were made with different adapters.
    """
    return join_relations([_reweighted(first, 1.0 - ratio), _reweighted(second, ratio)])


def average_relations(first: Relation, second: Relation, ratio: float) -> Relation:
    """Mix the tokens of two relations: ``(1 - ratio) * first + ratio * second``.

    Raises:
        RelationMismatchError: they were made with different adapters, or have different numbers of pairs.
    """
    check_same_adapter(first, second)
    if first.pairs != second.pairs:
        raise RelationMismatchError(
            f"Averaging mixes relations pair by pair, but relation_1 has {first.pairs} exemplar pairs and relation_2 "
            f"has {second.pairs}; expected the same number in both. Add pairs to one of them, or choose the mode "
            "'concat'."
        )
    if ratio in (0.0, 1.0):
        return second if ratio else first
    return replace(
        first,
        tokens=torch.lerp(first.tokens.float(), second.tokens.float(), ratio).to(first.tokens.dtype),
        pair_weights=tuple(
            (1 - ratio) * a + ratio * b for a, b in zip(first.pair_weights, second.pair_weights, strict=True)
        ),
        thumbnails=first.thumbnails if ratio < 0.5 else second.thumbnails,
        keys_values=mix_tokens(first.keys_values, second.keys_values, ratio),
        learned=_origins([first, second]),
    )


def check_same_adapter(first: Relation, second: Relation) -> None:
    """Refuse to combine relations of two adapters: their keys mean different things."""
    if first.fingerprint != second.fingerprint:
        raise RelationMismatchError(
            f"These relations were made with different adapters ({first.fingerprint} and {second.fingerprint}); "
            "expected one. Encode both with the same adapter, or give each an Apply RelationAdapter node of its own."
        )


def _origins(relations: list[Relation]) -> tuple[Learned, ...]:
    """All learnings of some relations, without duplicates."""
    return tuple(dict.fromkeys(origin for part in relations for origin in part.learned))


def _reweighted(relation: Relation, factor: float) -> Relation:
    return replace(relation, pair_weights=tuple(factor * weight for weight in relation.pair_weights))


_LARGE_TOKEN = 100.0
"""Tokens are about 1; below this, sound weights make finite keys and values of them in every dtype."""
_ROWS = 4096
"""Rows of a matrix that are checked together."""


def _is_finite(tensor: StoredTensor) -> bool:
    return all(bool(tensor[start : start + _ROWS].isfinite().all()) for start in range(0, tensor.shape[0], _ROWS))


def _not_finite(
    adapter: RelationAdapter, weights: Mapping[str, StoredTensor], tokens: torch.Tensor, source: str
) -> CheckpointError | ExemplarError:
    """Give the error that says whether the adapter or the tokens are at fault."""
    bad = [name for name, tensor in weights.items() if not _is_finite(tensor)]
    if bad:
        return CheckpointError(
            f"{adapter.path} has NaN or infinite values in {shortened(bad)}; expected finite values only. The file is "
            f"damaged: download it again from {ADAPTER_ADDRESS}."
        )
    largest = float(tokens.abs().max())
    if largest <= _LARGE_TOKEN:
        return CheckpointError(
            f"{adapter.path} has weights that are too large for {tokens.dtype}: keys and values made of them are not "
            f"finite. Expected finite ones. The file is damaged: download it again from {ADAPTER_ADDRESS}."
        )
    return ExemplarError(
        f"The exemplar tokens of {source} reach {largest:.3g}, too large for {tokens.dtype}: keys "
        "and values made of them are not finite. Expected tokens of about 1, as the adapter makes them: encode the "
        "exemplar pairs again."
    )
