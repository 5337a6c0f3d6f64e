"""What can be saved can be loaded: one check in both directions."""

from __future__ import annotations

import errno
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from random_weights import SMALL, random_relation, relative_error, small_adapter
from safetensors.torch import save_file

from relation_core.adapter.adapter import RelationAdapter
from relation_core.errors import CheckpointError, ExemplarError, RelationAdapterError
from relation_core.relation.learned import Learned
from relation_core.relation.limits import MAX_PAIRS
from relation_core.relation.relation import (
    Relation,
    average_relations,
    concat_relations,
    join_relations,
    relation_of_tokens,
)
from relation_core.relation.relation_file import load_relation, relation_thumbnails, save_relation


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> RelationAdapter:
    return small_adapter(tmp_path_factory.mktemp("adapter"))


def write(relation: Relation, path: Path, **changes: torch.Tensor) -> Path:
    """Write a relation past every check."""
    tensors = {
        "tokens": relation.tokens,
        "weights": torch.tensor(relation.pair_weights, dtype=torch.float64),
        "thumbnails": relation.thumbnails,
    }
    metadata = {"format": "relation_adapter.relation", "version": "1", "adapter": relation.fingerprint}
    save_file({**tensors, **changes}, path, metadata)
    return path


@pytest.mark.parametrize("pairs", [1, 2, MAX_PAIRS])
def test_as_many_pairs_as_may_be_come_back(adapter: RelationAdapter, tmp_path: Path, pairs: int) -> None:
    relation = random_relation(adapter, pairs)
    save_relation(relation, tmp_path / "relation.safetensors")
    loaded = load_relation(tmp_path / "relation.safetensors", adapter, "cpu")
    assert loaded.pairs == pairs and torch.equal(loaded.keys_values.keys, relation.keys_values.keys)


def test_more_pairs_are_refused_wherever_they_come_together(adapter: RelationAdapter, tmp_path: Path) -> None:
    says = rf"{MAX_PAIRS + 1} exemplar pairs.*expected 1 to {MAX_PAIRS}"
    with pytest.raises(ExemplarError, match=says):
        random_relation(adapter, MAX_PAIRS + 1)
    full, one = random_relation(adapter, MAX_PAIRS), random_relation(adapter)
    with pytest.raises(ExemplarError, match=says):
        join_relations([full, one])
    with pytest.raises(ExemplarError, match=says):
        concat_relations(full, one, 0.5)
    many = replace(
        full,
        tokens=torch.cat([full.tokens, one.tokens]),
        pair_weights=(1.0,) * (MAX_PAIRS + 1),
        thumbnails=torch.cat([full.thumbnails, one.thumbnails]),
    )
    with pytest.raises(ExemplarError, match="cannot be saved: its tokens are"):
        save_relation(many, tmp_path / "relation.safetensors")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "weights", [(1e-200, 1e200), (5e-324, 1.7e308), (0.0, 1e-310), (1e-30, 1.0), (3.0, 3.0), (0.0, 0.0)]
)
def test_weights_however_far_apart_come_back_and_are_used(
    adapter: RelationAdapter, tmp_path: Path, weights: tuple[float, float]
) -> None:
    relation = replace(random_relation(adapter, 2), pair_weights=weights)
    save_relation(relation, tmp_path / "relation.safetensors")
    loaded = load_relation(tmp_path / "relation.safetensors", adapter, "cpu")
    assert loaded.pair_weights == weights
    present = loaded.present()
    if present is None:
        assert weights == (0.0, 0.0)
        return
    bias = present.token_bias()
    if present.pairs == 1 or weights[0] == weights[1]:
        assert bias is None
        return
    assert bias is not None and bias.isfinite().all()
    expected = math.log(weights[0]) - math.log(weights[1])
    assert float(bias[0]) == pytest.approx(expected, rel=1e-6) and float(bias[-1]) == 0.0
    first, second = weights
    other = random_relation(adapter, 2)
    assert other.pair_weights == (1.0, 1.0)
    for ratio in (0.0, 0.3, 1.0):
        mean = average_relations(loaded, other, ratio).pair_weights
        assert mean == pytest.approx([(1 - ratio) * weight + ratio for weight in weights], rel=1e-12)
        both = concat_relations(loaded, other, ratio).pair_weights
        assert both == pytest.approx([(1 - ratio) * first, (1 - ratio) * second, ratio, ratio], rel=1e-12)


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -1e-200, -1.0])
def test_what_is_no_weight_is_refused_in_both_directions(
    adapter: RelationAdapter, tmp_path: Path, weight: float
) -> None:
    relation = replace(random_relation(adapter, 2), pair_weights=(1.0, weight))
    with pytest.raises(ExemplarError, match=f"cannot be saved: it has the weight {weight}"):
        save_relation(relation, tmp_path / "relation.safetensors")
    assert os.listdir(tmp_path) == []
    with pytest.raises(CheckpointError, match=rf"bad\.safetensors is a damaged relation: it has the weight {weight}"):
        load_relation(write(relation, tmp_path / "bad.safetensors"), adapter, "cpu")
    with pytest.raises(ExemplarError, match=f"Got weight = {weight}; expected a number of at least 0"):
        random_relation(adapter, weight=weight)


@pytest.mark.parametrize("size", [(0, 0), (0, 8), (8, 0), (8, 1025)])
def test_pictures_that_are_none_are_refused_in_both_directions(
    adapter: RelationAdapter, tmp_path: Path, size: tuple[int, int]
) -> None:
    relation = replace(random_relation(adapter), thumbnails=torch.zeros(1, *size, 3, dtype=torch.uint8))
    with pytest.raises(ExemplarError, match="cannot be saved: its pictures are"):
        save_relation(relation, tmp_path / "relation.safetensors")
    with pytest.raises(CheckpointError, match="is a damaged relation: its pictures are"):
        relation_thumbnails(write(relation, tmp_path / "bad.safetensors"))


@pytest.mark.parametrize("size", [(1, 1), (64, 128), (200, 30), (1024, 1024)])
def test_pictures_of_other_sizes_are_joined(adapter: RelationAdapter, tmp_path: Path, size: tuple[int, int]) -> None:
    other = torch.full((2, *size, 3), 7, dtype=torch.uint8)
    path = write(random_relation(adapter, 2), tmp_path / "other.safetensors", thumbnails=other)
    loaded, own = load_relation(path, adapter, "cpu"), random_relation(adapter)
    for joined in (join_relations([own, loaded]), concat_relations(loaded, own, 0.4)):
        assert joined.thumbnails.shape == (3, 128, 256, 3)
        save_relation(joined, tmp_path / "joined.safetensors")
        assert load_relation(tmp_path / "joined.safetensors", adapter, "cpu").pairs == 3
    joined = join_relations([own, loaded]).thumbnails
    assert torch.equal(joined[0], own.thumbnails[0])
    assert int(joined[1, 64, 128, 0]) == 7  # still the picture, in the middle


@pytest.mark.parametrize("value", [3e38, -3e38, 1e37, 1e20, 65_505.0])
def test_huge_tokens_are_refused_in_both_directions(adapter: RelationAdapter, tmp_path: Path, value: float) -> None:
    """The squares of 1e20 overflow in float32, which makes keys of 0 without an error."""
    tokens = torch.full((1, 2 * SMALL.tokens, SMALL.text_dim), value)
    path = write(random_relation(adapter), tmp_path / "huge.safetensors", tokens=tokens)
    with pytest.raises(CheckpointError, match=r"huge\.safetensors is a damaged relation: its tokens reach .*about 1"):
        load_relation(path, adapter, "cpu")
    with pytest.raises(ExemplarError, match=r"cannot be saved: its tokens reach .*about 1, and at most 65504"):
        save_relation(replace(random_relation(adapter), tokens=tokens), tmp_path / "other.safetensors")
    assert os.listdir(tmp_path) == ["huge.safetensors"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_tokens_of_no_number_are_refused_in_both_directions(
    adapter: RelationAdapter, tmp_path: Path, value: float
) -> None:
    tokens = torch.ones(1, 2 * SMALL.tokens, SMALL.text_dim)
    tokens[0, -1, -1] = value
    path = write(random_relation(adapter), tmp_path / "bad.safetensors", tokens=tokens)
    with pytest.raises(CheckpointError, match=r"bad\.safetensors is a damaged relation: its tokens are not all finite"):
        load_relation(path, adapter, "cpu")
    with pytest.raises(ExemplarError, match="cannot be saved: its tokens are not all finite"):
        save_relation(replace(random_relation(adapter), tokens=tokens), tmp_path / "other.safetensors")
    assert os.listdir(tmp_path) == ["bad.safetensors"]


@pytest.mark.parametrize("value", [3e38, 1e20])
def test_keys_that_overflow_blame_the_tokens(adapter: RelationAdapter, value: float) -> None:
    tokens = torch.full((1, 2 * SMALL.tokens, SMALL.text_dim), value)
    with pytest.raises(ExemplarError, match="The exemplar tokens of these exemplar pairs reach "):
        relation_of_tokens(adapter, tokens, (1.0,), random_relation(adapter).thumbnails, "cpu")


def test_values_that_a_models_dtype_does_not_hold_are_refused(adapter: RelationAdapter) -> None:
    tokens = random_relation(adapter).tokens.clone()
    tokens[0, 0] = 60_000.0 * adapter.weights()["ip_adapter.0.to_v_ip.weight"].read()[0].sign()  # its largest value
    relation = relation_of_tokens(adapter, tokens, (1.0,), random_relation(adapter).thumbnails, "cpu")
    assert relation.keys_values.values.abs().max() > 65_504
    assert relation.keys_values_in(torch.bfloat16).keys.dtype == torch.bfloat16
    with pytest.raises(ExemplarError, match=r"keys and values reach .*, more than torch\.float16 holds; expected"):
        relation.keys_values_in(torch.float16)


@pytest.mark.parametrize("count", [256, 257])
def test_as_many_learnings_as_may_be_come_back(adapter: RelationAdapter, tmp_path: Path, count: int) -> None:
    learned = tuple(Learned(1, step, "\ud800" * 3000, "m") for step in range(count))
    relation = replace(random_relation(adapter), learned=learned)
    path = tmp_path / "relation.safetensors"
    if count > 256:
        with pytest.raises(ExemplarError, match="cannot be saved: its record of how it was learned"):
            save_relation(relation, path)
        assert os.listdir(tmp_path) == []
        return
    save_relation(relation, path)
    loaded = load_relation(path, adapter, "cpu")
    assert len(loaded.learned) == count and loaded.learned[-1].prompt == "\ud800" * 2000


@pytest.mark.parametrize("name", ["x" * 300, "\ud800", "null\0byte", "no\udcffutf8.safetensors"])
def test_a_name_that_cannot_be_is_a_clear_error(adapter: RelationAdapter, tmp_path: Path, name: str) -> None:
    try:
        save_relation(random_relation(adapter), tmp_path / name)
    except RelationAdapterError as error:
        assert "could not be written" in str(error) and "choose another name" in str(error)
        assert str(error).isprintable()
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    else:
        assert relation_thumbnails(tmp_path / name).shape[0] == 1


def test_a_full_disk_leaves_nothing(adapter: RelationAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "relation.safetensors"
    save_relation(random_relation(adapter), path)
    before = path.read_bytes()
    whole = Path.write_bytes

    def fail(self: Path, data: bytes) -> int:
        whole(self, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(CheckpointError, match=r"relation\.safetensors \(No space left on device\).*make room"):
        save_relation(random_relation(adapter, 3), path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["relation.safetensors"]


def test_averages_are_those_of_the_files(adapter: RelationAdapter, tmp_path: Path) -> None:
    first, second = random_relation(adapter, seed=1), random_relation(adapter, seed=2)
    blended = average_relations(first, second, 0.25)
    save_relation(blended, tmp_path / "blended.safetensors")
    loaded = load_relation(tmp_path / "blended.safetensors", adapter, "cpu")
    assert relative_error(loaded.keys_values.keys, blended.keys_values.keys) < 1e-5
