"""Random small adapters written in every form: their sizes come back, and their fingerprint names the weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from random_weights import SMALL, random_relation, random_weights, relative_error, write_bin, write_safetensors

from relation_core.adapter.adapter import open_adapter
from relation_core.adapter.config import RelationConfig, expected_shapes
from relation_core.errors import CheckpointError

DTYPES = (torch.bfloat16, torch.float16, torch.float32)


def random_config(seed: int, head_dim: int | None = None) -> RelationConfig:
    pick = np.random.default_rng(seed)

    def between(lowest: int, highest: int) -> int:
        return int(pick.integers(lowest, highest + 1))

    return RelationConfig(
        blocks=between(1, 12),
        heads=between(1, 4),
        head_dim=head_dim or 8 * between(1, 8),
        tokens=between(1, 9),
        text_dim=between(3, 40),
        vision_dim=between(1, 40),
        projection_dim=between(1, 50),
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("module", [False, True], ids=["plain", "module."])
@pytest.mark.parametrize("seed", range(5))
def test_bin(tmp_path: Path, seed: int, module: bool, dtype: torch.dtype) -> None:
    config = random_config(seed, head_dim=128)
    weights = random_weights(config, seed, dtype)
    adapter = open_adapter(write_bin(tmp_path / "adapter.bin", weights, module, legacy=seed == 4))
    assert adapter.config == config
    read = adapter.weights()
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name].read(), tensor) and read[name].dtype == dtype for name, tensor in weights.items())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_safetensors(tmp_path: Path, seed: int, dtype: torch.dtype) -> None:
    config = random_config(seed)
    weights = random_weights(config, seed, dtype)
    adapter = open_adapter(write_safetensors(tmp_path / "adapter.safetensors", weights, config.head_dim))
    assert adapter.config == config
    read = adapter.weights()
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name].read(), tensor) and read[name].dtype == dtype for name, tensor in weights.items())


@pytest.mark.parametrize("seed", range(3))
def test_the_fingerprint_does_not_know_the_format(tmp_path: Path, seed: int) -> None:
    weights = random_weights(random_config(seed, head_dim=128), seed, torch.bfloat16)
    paths = (
        write_bin(tmp_path / "plain.bin", weights),
        write_bin(tmp_path / "module.pt", weights, module=True),
        write_bin(tmp_path / "legacy.pth", weights, legacy=True),
        write_bin(tmp_path / "reversed.ckpt", dict(reversed(weights.items()))),
        write_safetensors(tmp_path / "flat.safetensors", weights),
        write_safetensors(tmp_path / "flat.sft", weights),
    )
    assert len({open_adapter(path).fingerprint for path in paths}) == 1


@pytest.mark.parametrize("name", expected_shapes(SMALL))
def test_the_fingerprint_knows_every_tensor(tmp_path: Path, name: str) -> None:
    weights = random_weights()
    before = open_adapter(write_safetensors(tmp_path / "before.safetensors", weights, SMALL.head_dim))
    weights[name] = weights[name] + 0.01
    after = open_adapter(write_safetensors(tmp_path / "after.safetensors", weights, SMALL.head_dim))
    assert before.fingerprint != after.fingerprint


def test_the_fingerprint_knows_the_dtype(tmp_path: Path) -> None:
    half = random_weights(dtype=torch.float16)
    full = {name: tensor.float() for name, tensor in half.items()}
    paths = [
        write_safetensors(tmp_path / f"{name}.safetensors", weights, SMALL.head_dim)
        for name, weights in (("half", half), ("full", full))
    ]
    assert open_adapter(paths[0]).fingerprint != open_adapter(paths[1]).fingerprint


def test_tensors_stored_transposed_are_read_as_they_are(tmp_path: Path) -> None:
    config = random_config(0, head_dim=128)
    weights = random_weights(config)
    strided = {name: tensor.t().contiguous().t() if tensor.ndim == 2 else tensor for name, tensor in weights.items()}
    plain = open_adapter(write_bin(tmp_path / "plain.bin", weights))
    other = open_adapter(write_bin(tmp_path / "strided.bin", strided))
    assert other.fingerprint == plain.fingerprint
    found, expected = (random_relation(adapter).keys_values.keys for adapter in (other, plain))
    assert relative_error(found, expected) < 1e-6


def test_a_file_replaced_after_opening_is_noticed(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "adapter.safetensors", random_weights(seed=1), SMALL.head_dim)
    adapter = open_adapter(path)
    write_safetensors(path, random_weights(seed=2), SMALL.head_dim)
    with pytest.raises(CheckpointError, match=r"adapter\.safetensors was replaced while it was in use"):
        random_relation(adapter)


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_a_big_file_is_mapped_and_not_copied(tmp_path: Path, suffix: str) -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs /proc to tell copied memory from mapped memory")

    def copied() -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) << 10

    config = RelationConfig(
        blocks=1, heads=1, head_dim=128, tokens=64, text_dim=512, vision_dim=8, projection_dim=2048
    )  # the second matrix has 128 MB
    path = tmp_path / f"adapter{suffix}"
    (write_bin if suffix == ".bin" else write_safetensors)(path, random_weights(config, dtype=torch.bfloat16))
    before = copied()
    adapter = open_adapter(path)
    held = adapter.weights()
    assert held["image_proj.proj.2.weight"].nbytes == 128 << 20
    assert copied() - before < 32 << 20
