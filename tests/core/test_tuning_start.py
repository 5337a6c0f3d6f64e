"""What learning starts from: the mean of all pairs' tokens, and nothing else of the pairs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from random_weights import SMALL, random_relation, random_weights, small_adapter, write_safetensors

from relation_core.adapter.adapter import open_adapter
from relation_core.adapter.keys import block_keys
from relation_core.errors import CheckpointError
from relation_core.relation.pairs import Pair, encode_pairs, encode_tokens
from relation_core.tuning.pairs import Start, check_keys_values, showing, start_relation
from relation_core.vision.vision_file import SO400M, VisionConfig


class MeanColours:
    """A vision model whose features are a picture's mean colours, repeated."""

    config: VisionConfig = SO400M

    def pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean((2, 3)).repeat(1, SMALL.vision_dim // 3)


def pairs_of(count: int) -> list[Pair]:
    return [
        (Image.new("RGB", (8, 8), (place, 0, 0)), Image.new("RGB", (8, 8), (place, 9, 0))) for place in range(count)
    ]


def bytes_of(start: Start) -> int:
    return sum(part.untyped_storage().nbytes() for part in vars(start).values() if isinstance(part, torch.Tensor))


def test_tokens_are_those_of_the_encoded_relation(tmp_path: Path) -> None:
    adapter, vision = small_adapter(tmp_path), MeanColours()
    relation = encode_pairs(adapter, vision, pairs_of(3), "pad", 1.0, "cpu", torch.float32)
    encoded = encode_tokens(adapter, vision, pairs_of(3), "pad", "cpu", torch.float32)
    assert torch.equal(encoded.tokens, relation.tokens) and torch.equal(encoded.thumbnails, relation.thumbnails)


def test_what_learning_starts_from_does_not_grow_with_the_pairs(tmp_path: Path) -> None:
    adapter = small_adapter(tmp_path)
    few, many = (
        start_relation(encode_tokens(adapter, MeanColours(), pairs_of(count), "pad", "cpu", torch.float32))
        for count in (2, 40)
    )
    assert bytes_of(few) == bytes_of(many)
    assert bytes_of(showing(random_relation(adapter), pairs_of(40))) == bytes_of(few)


@pytest.mark.parametrize("kind", [0, 1], ids=["keys", "values"])
def test_an_adapter_that_is_not_finite_is_named_before_learning(tmp_path: Path, kind: int) -> None:
    weights = random_weights()
    weights[block_keys(1)[kind]][0, 0] = float("nan")
    adapter = open_adapter(write_safetensors(tmp_path / "damaged.safetensors", weights, SMALL.head_dim))
    start = start_relation(encode_tokens(adapter, MeanColours(), pairs_of(2), "pad", "cpu", torch.float32))
    with pytest.raises(CheckpointError, match=r"damaged\.safetensors has NaN or infinite values"):
        check_keys_values(adapter, start, "cpu")
