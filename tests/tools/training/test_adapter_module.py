"""The module that is trained computes what the nodes stream from its file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from random_weights import SMALL, random_weights, write_safetensors

from relation_core.adapter.adapter import open_adapter
from relation_core.adapter.config import expected_shapes
from relation_core.errors import CheckpointError
from relation_core.relation.relation import encode_relation
from relation_tools.training.adapter_module import AdapterModule


@pytest.fixture
def pooled() -> torch.Tensor:
    return torch.randn(3, 2, SMALL.vision_dim, generator=torch.Generator().manual_seed(1))


def test_it_has_the_names_and_shapes_of_the_file() -> None:
    module = AdapterModule(SMALL, silent=False)
    assert {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()} == expected_shapes(SMALL)


def test_keys_and_values_are_those_of_the_streamed_file(tmp_path: Path, pooled: torch.Tensor) -> None:
    path = write_safetensors(tmp_path / "adapter.safetensors", random_weights(SMALL), SMALL.head_dim)
    module = AdapterModule(SMALL, silent=False)
    module.load(open_adapter(path))
    keys, values = module(pooled)
    for index in range(3):
        thumbnails = torch.zeros(1, 8, 16, 3, dtype=torch.uint8)
        relation = encode_relation(open_adapter(path), pooled[index][None], thumbnails, 1.0, "cpu", torch.float32)
        for found, expected in ((keys, relation.keys_values.keys), (values, relation.keys_values.values)):
            stacked = torch.stack([block[index] for block in found])
            torch.testing.assert_close(stacked, expected, rtol=1e-5, atol=1e-6)


def test_silent_values_start_at_zero_and_get_gradients(pooled: torch.Tensor) -> None:
    module = AdapterModule(SMALL, silent=True)
    keys, values = module(pooled)
    assert all(not value.any() for value in values)
    assert all(key.any() for key in keys)
    sum(value.square().sum() + value.sum() for value in values).backward()  # type: ignore[union-attr]
    assert all(block.to_v_ip.weight.grad.any() for block in module.blocks())  # type: ignore[union-attr]


def test_a_file_of_other_sizes_is_refused(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "adapter.safetensors", random_weights(SMALL), SMALL.head_dim)
    other = AdapterModule(SMALL.__class__(**{**vars(SMALL), "tokens": 5}), silent=False)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"the run's models and settings need RelationConfig\(.*tokens=5"):
        other.load(open_adapter(path))
    assert all(torch.equal(before[name], tensor) for name, tensor in other.state_dict().items())
