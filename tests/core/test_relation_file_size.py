"""A relation of the released adapter's sizes is small enough to share as a LoRA is shared."""

from __future__ import annotations

from pathlib import Path

import torch

from relation_core.adapter.config import RelationConfig
from relation_core.relation.keys_values import KeysValues
from relation_core.relation.relation import Relation
from relation_core.relation.relation_file import relation_thumbnails, save_relation

RELEASED = RelationConfig(
    blocks=57, heads=24, head_dim=128, tokens=128, text_dim=4096, vision_dim=1152, projection_dim=2304
)


def test_about_two_megabytes_a_pair(tmp_path: Path) -> None:
    pairs = 3
    nothing = torch.zeros(0)
    relation = Relation(
        RELEASED,
        fingerprint="0123456789abcdef",
        tokens=torch.randn(pairs, 2 * RELEASED.tokens, RELEASED.text_dim).to(torch.bfloat16),
        pair_weights=(1.0,) * pairs,
        thumbnails=torch.randint(0, 256, (pairs, 128, 256, 3), dtype=torch.uint8),
        keys_values=KeysValues(nothing, nothing, nothing),
    )
    file = tmp_path / "relation.safetensors"
    save_relation(relation, file)
    assert 2.0e6 < file.stat().st_size / pairs < 2.25e6
    assert torch.equal(relation_thumbnails(file), relation.thumbnails)
