"""What relations mean: weights, joins and blends against their definitions, computed openly in double precision."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from random_weights import SMALL, random_relation, relative_error, small_adapter

from relation_core.adapter.adapter import RelationAdapter
from relation_core.errors import RelationAdapterError, RelationMismatchError
from relation_core.flux.attention import relation_attention, torch_attention
from relation_core.progress import Silent
from relation_core.relation.keys_values import KeysValues, compute_keys_values
from relation_core.relation.relation import (
    Relation,
    average_relations,
    concat_relations,
    encode_relation,
    join_relations,
)

BOUND = 1e-5
WEIGHTS = [(1.0, 1.0, 1.0), (0.25, 1.0, 3.0), (10.0, 0.05, 1.0), (2.5, 2.5, 0.5), (1e-30, 1.0, 1e-3)]


@pytest.fixture
def adapter(tmp_path: Path) -> RelationAdapter:
    return small_adapter(tmp_path)


def query(seed: int = 7, batch: int = 2, length: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(batch, SMALL.heads, length, SMALL.head_dim, generator=generator)


def attended(relation: Relation) -> torch.Tensor:
    """What every block takes from a relation, as the nodes compute it: (blocks, B, L, H * d)."""
    present = relation.present()
    assert present is not None
    bias, keys, values = present.token_bias(), present.keys_values.keys, present.keys_values.values
    return torch.stack(
        [relation_attention(query(), keys[block], values[block], torch_attention, bias) for block in range(len(keys))]
    )


def defined(parts: list[KeysValues], weights: tuple[float, ...]) -> torch.Tensor:
    """The same by definition: a softmax over the tokens of all pairs, a pair's weight w adding log w."""
    keys, values = (torch.cat([getattr(part, name).double() for part in parts], dim=2) for name in ("keys", "values"))
    logs = torch.tensor([math.log(weight) if weight else -math.inf for weight in weights], dtype=torch.float64)
    logits = query().double() @ keys[:, None].mT / SMALL.head_dim**0.5  # (blocks, B, H, L, T)
    share = (logits + logs.repeat_interleave(2 * SMALL.tokens)).softmax(-1)
    return (share @ values[:, None]).transpose(2, 3).flatten(3)


def joined(adapter: RelationAdapter, weights: tuple[float, ...]) -> tuple[Relation, list[KeysValues]]:
    parts = [random_relation(adapter, weight=weight, seed=seed) for seed, weight in enumerate(weights)]
    return join_relations(parts), [part.keys_values for part in parts]


@pytest.mark.parametrize("weights", WEIGHTS)
def test_weights_add_their_logarithms(adapter: RelationAdapter, weights: tuple[float, ...]) -> None:
    relation, parts = joined(adapter, weights)
    assert relation.pair_weights == weights
    assert relative_error(attended(relation), defined(parts, weights)) < BOUND


@pytest.mark.parametrize("absent", range(3))
def test_weight_0_equals_leaving_out(adapter: RelationAdapter, absent: int) -> None:
    weights = tuple(0.0 if index == absent else 0.5 + index for index in range(3))
    relation, parts = joined(adapter, weights)
    assert relative_error(attended(relation), defined(parts, weights)) < BOUND
    others = [random_relation(adapter, weight=weights[index], seed=index) for index in range(3) if index != absent]
    assert torch.equal(attended(relation), attended(join_relations(others)))


def test_nothing_but_weight_0_is_no_relation(adapter: RelationAdapter) -> None:
    assert joined(adapter, (0.0, 0.0))[0].present() is None


def test_one_common_weight_changes_nothing(adapter: RelationAdapter) -> None:
    assert torch.equal(attended(joined(adapter, (0.2, 0.2))[0]), attended(joined(adapter, (7.0, 7.0))[0]))


@pytest.mark.parametrize("weight", [0.3, 1.0, 4.0])
def test_a_pair_twice_equals_it_once(adapter: RelationAdapter, weight: float) -> None:
    once = random_relation(adapter, weight=weight)
    assert relative_error(attended(join_relations([once, once])), attended(once)) < BOUND


def test_a_pair_twice_counts_twice_beside_another(adapter: RelationAdapter) -> None:
    first, other = random_relation(adapter, seed=1), random_relation(adapter, seed=2)
    doubled = join_relations([replace(first, pair_weights=(2.0,)), other])
    assert relative_error(attended(join_relations([first, first, other])), attended(doubled)) < BOUND


def test_order_does_not_matter(adapter: RelationAdapter) -> None:
    parts = [random_relation(adapter, weight=0.5 + seed, seed=seed) for seed in range(3)]
    there, back = join_relations(parts), join_relations(parts[::-1])
    assert there.pair_weights == back.pair_weights[::-1]
    assert relative_error(attended(back), attended(there)) < BOUND


def test_pairs_encoded_together_equal_pairs_encoded_alone(adapter: RelationAdapter) -> None:
    pooled = torch.randn(3, 2, SMALL.vision_dim, generator=torch.Generator().manual_seed(3))
    thumbnails = torch.zeros(3, 128, 256, 3, dtype=torch.uint8)

    def encoded(pairs: slice) -> Relation:
        return encode_relation(adapter, pooled[pairs], thumbnails[pairs], 1.0, "cpu", torch.float32)

    together, alone = encoded(slice(None)), [encoded(slice(index, index + 1)) for index in range(3)]
    assert relative_error(together.tokens, torch.cat([part.tokens for part in alone])) < BOUND
    assert relative_error(attended(together), attended(join_relations(alone))) < BOUND


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("pairs", [1, 2])
def test_average_mixes_tokens(adapter: RelationAdapter, pairs: int, ratio: float) -> None:
    first = random_relation(adapter, pairs, weight=0.5, seed=1)
    second = random_relation(adapter, pairs, weight=2.0, seed=2)
    mixed = average_relations(first, second, ratio)
    tokens = (1 - ratio) * first.tokens + ratio * second.tokens
    expected = compute_keys_values(tokens.flatten(0, 1), adapter.weights(), SMALL, "cpu", Silent())
    assert relative_error(mixed.tokens, tokens) < BOUND
    assert relative_error(mixed.keys_values.keys, expected.keys) < BOUND
    assert relative_error(mixed.keys_values.values, expected.values) < BOUND
    assert mixed.pair_weights == pytest.approx([(1 - ratio) * 0.5 + ratio * 2.0] * pairs)


def test_an_average_can_be_averaged_again(adapter: RelationAdapter) -> None:
    first, second, third = (random_relation(adapter, seed=seed) for seed in range(3))
    mixed = average_relations(average_relations(first, second, 0.5), third, 1 / 3)
    tokens = (first.tokens + second.tokens + third.tokens) / 3
    expected = compute_keys_values(tokens.flatten(0, 1), adapter.weights(), SMALL, "cpu", Silent())
    assert relative_error(mixed.keys_values.keys, expected.keys) < BOUND


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_concat_weighs_the_pairs_of_both(adapter: RelationAdapter, ratio: float) -> None:
    first, second = random_relation(adapter, weight=3.0, seed=1), random_relation(adapter, 2, seed=2)
    both = concat_relations(first, second, ratio)
    weights = ((1 - ratio) * 3.0, ratio, ratio)
    assert relative_error(attended(both), defined([first.keys_values, second.keys_values], weights)) < BOUND


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_a_blend_at_its_ends_is_one_of_the_two(adapter: RelationAdapter, ratio: float) -> None:
    first, second = random_relation(adapter, seed=1), random_relation(adapter, seed=2)
    expected = attended(second if ratio else first)
    assert torch.equal(attended(average_relations(first, second, ratio)), expected)
    assert torch.equal(attended(concat_relations(first, second, ratio)), expected)


def test_relations_of_two_adapters_do_not_mix(adapter: RelationAdapter, tmp_path: Path) -> None:
    first, other = random_relation(adapter), random_relation(small_adapter(tmp_path, seed=5))
    message = f"different adapters \\({first.fingerprint} and {other.fingerprint}\\).*Encode both with the same adapter"
    for mix in (
        lambda: join_relations([first, other]),
        lambda: average_relations(first, other, 0.5),
        lambda: concat_relations(first, other, 0.5),
    ):
        with pytest.raises(RelationMismatchError, match=message):
            mix()


def test_an_average_needs_as_many_pairs(adapter: RelationAdapter) -> None:
    with pytest.raises(
        RelationMismatchError, match=r"relation_1 has 1 .*relation_2 has 2.*the same number in both.*'concat'"
    ):
        average_relations(random_relation(adapter), random_relation(adapter, 2), 0.5)


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_a_weight_without_meaning_is_refused(adapter: RelationAdapter, weight: float) -> None:
    with pytest.raises(RelationAdapterError, match=f"weight = {weight}; expected a number of at least 0"):
        random_relation(adapter, weight=weight)


def test_another_vision_models_features_are_refused(adapter: RelationAdapter) -> None:
    pooled, thumbnails = torch.zeros(1, 2, SMALL.vision_dim + 1), torch.zeros(1, 128, 256, 3, dtype=torch.uint8)
    with pytest.raises(RelationAdapterError, match=r"\(1, 2, 13\).*expects \(pairs, 2, 12\).*Load the SigLIP"):
        encode_relation(adapter, pooled, thumbnails, 1.0, "cpu", torch.float32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near(adapter: RelationAdapter, dtype: torch.dtype) -> None:
    exact, rounded = random_relation(adapter), random_relation(adapter, dtype=dtype)
    assert rounded.tokens.dtype == rounded.keys_values.keys.dtype == rounded.keys_values.values.dtype == dtype
    bound = 4 * torch.finfo(dtype).eps
    assert relative_error(rounded.keys_values.keys, exact.keys_values.keys) < bound
    assert relative_error(rounded.keys_values.values, exact.keys_values.values) < bound


def test_progress_is_reported_as_often_as_said_and_may_stop_the_work(adapter: RelationAdapter) -> None:
    class Steps(Silent):
        def __init__(self, last: int) -> None:
            self.taken, self.last = 0, last

        def step(self) -> None:
            self.taken += 1
            if self.taken == self.last:
                raise KeyboardInterrupt

    def encode(steps: Steps) -> None:
        pooled = torch.ones(1, 2, SMALL.vision_dim)
        thumbnails = torch.zeros(1, 128, 256, 3, dtype=torch.uint8)
        encode_relation(adapter, pooled, thumbnails, 1.0, "cpu", torch.float32, steps)

    whole = Steps(last=0)
    encode(whole)
    assert whole.taken == SMALL.tokens + SMALL.blocks
    for last in range(1, whole.taken + 1):
        with pytest.raises(KeyboardInterrupt):
            encode(Steps(last))
