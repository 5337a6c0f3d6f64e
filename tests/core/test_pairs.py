"""Exemplar pairs become a relation, and say how far that is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from random_weights import SMALL, random_relation, small_adapter

from relation_core.adapter.adapter import RelationAdapter
from relation_core.relation.pairs import encode_pairs
from relation_core.relation.relation_file import load_relation, save_relation
from relation_core.vision.vision_file import SO400M, VisionConfig
from tests.counted_progress import CountedProgress


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> RelationAdapter:
    return small_adapter(tmp_path_factory.mktemp("adapter"))


class MeanColours:
    """A vision model whose features are a picture's mean colours, repeated."""

    config: VisionConfig = SO400M

    def pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        assert pixels.shape == (2, 3, SO400M.image_size, SO400M.image_size)
        return pixels.mean((2, 3)).repeat(1, SMALL.vision_dim // 3)


def test_pairs_are_seen_before_then_after_and_counted(adapter: RelationAdapter) -> None:
    red, blue = (Image.new("RGB", (20, 20), colour) for colour in ("red", "blue"))
    progress = CountedProgress()
    relation = encode_pairs(
        adapter, MeanColours(), [(red, blue), (blue, red)], "pad", 0.5, "cpu", torch.float32, progress
    )
    assert progress.complete and progress.total == 2 + SMALL.tokens + SMALL.blocks
    assert relation.pair_weights == (0.5, 0.5)
    before, after = relation.tokens[0].chunk(2)
    assert torch.equal(relation.tokens[1], torch.cat([after, before])) and not torch.equal(before, after)


def test_a_loaded_relation_is_counted(adapter: RelationAdapter, tmp_path: Path) -> None:
    save_relation(random_relation(adapter, pairs=2), tmp_path / "two.safetensors")
    progress = CountedProgress()
    load_relation(tmp_path / "two.safetensors", adapter, "cpu", progress)
    assert progress.complete and progress.total == SMALL.blocks
