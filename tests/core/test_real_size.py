"""The released adapter's sizes, with few blocks: 2.4 GB of projection that is never held at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from random_weights import relative_error

from relation_core.adapter.adapter import open_adapter
from relation_core.adapter.config import RelationConfig, expected_shapes
from relation_core.flux.attention import relation_attention, torch_attention
from relation_core.progress import Silent
from relation_core.relation.keys_values import compute_keys_values
from relation_core.relation.relation import encode_relation

CONFIG = RelationConfig(
    blocks=2, heads=24, head_dim=128, tokens=128, text_dim=4096, vision_dim=1152, projection_dim=2304
)
FILLED = (0, 1, 63, 64, 127)
"""Tokens whose rows of the second matrix are random; the others' are holes in the file, which read as 0."""
MOST_MEMORY = 600 << 20
STATUS = Path("/proc/self/status")


def write_sparse(path: Path) -> dict[str, torch.Tensor]:
    """Write a bfloat16 file; return what was written of every tensor (of the second matrix: the filled rows)."""
    shapes = expected_shapes(CONFIG)
    header: dict[str, object] = {}
    size = 0
    for name, shape in shapes.items():
        start, size = size, size + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, size]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    contents: dict[str, torch.Tensor] = {}
    generator = torch.Generator().manual_seed(0)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        first = file.tell()
        file.truncate(first + size)
        for (name, shape), entry in zip(shapes.items(), header.values(), strict=True):
            offset = first + entry["data_offsets"][0]  # type: ignore[index]
            parts = FILLED if name == "image_proj.proj.2.weight" else (0,)
            part_shape = (CONFIG.text_dim, shape[1]) if len(parts) > 1 else shape
            scale = shape[-1] ** -0.5 if len(shape) == 2 else 1.0
            drawn = [(torch.randn(part_shape, generator=generator) * scale).bfloat16() for _ in parts]
            for part, tensor in zip(parts, drawn, strict=True):
                file.seek(offset + part * tensor.nbytes)
                file.write(tensor.view(torch.uint8).numpy())
            contents[name] = torch.stack(drawn) if len(parts) > 1 else drawn[0]
    return contents


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, torch.Tensor]]]:
    path = tmp_path_factory.mktemp("real_size") / "adapter.safetensors"
    yield path, write_sparse(path)
    path.unlink()


@pytest.fixture(scope="module")
def pooled() -> torch.Tensor:
    return torch.randn(1, 2, CONFIG.vision_dim, generator=torch.Generator().manual_seed(1))


class Watch(Silent):
    """Progress that takes down how much memory is held besides the mapped file."""

    def __init__(self) -> None:
        self.steps = 0
        self.held: list[int] = [self._held()]

    def step(self) -> None:
        self.steps += 1
        self.held.append(self._held())

    @staticmethod
    def _held() -> int:
        if not STATUS.exists():  # elsewhere than on Linux the tests of values still run
            return 0
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) << 10


def naive_tokens(contents: dict[str, torch.Tensor], pooled: torch.Tensor) -> torch.Tensor:
    """Every token by the formulas alone, in double precision: (2 * 128, 4096)."""
    weight = {name: tensor.double() for name, tensor in contents.items() if name.startswith("image_proj.")}
    hidden = pooled[0].double() @ weight["image_proj.proj.0.weight"].T + weight["image_proj.proj.0.bias"]
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    tokens = weight["image_proj.proj.2.bias"].reshape(1, CONFIG.tokens, CONFIG.text_dim).repeat(2, 1, 1)
    for rows, token in zip(weight["image_proj.proj.2.weight"], FILLED, strict=True):
        tokens[:, token] += hidden @ rows.T
    centred = tokens - tokens.mean(-1, keepdim=True)
    tokens = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return (tokens * weight["image_proj.norm.weight"] + weight["image_proj.norm.bias"]).flatten(0, 1)


@pytest.mark.slow
def test_an_adapter_of_real_size(written: tuple[Path, dict[str, torch.Tensor]], pooled: torch.Tensor) -> None:
    path, contents = written
    assert path.stat().st_size > 2_400_000_000
    adapter = open_adapter(path)
    assert adapter.config == CONFIG
    watch = Watch()
    thumbnails = torch.zeros(1, 128, 256, 3, dtype=torch.uint8)
    relation = encode_relation(adapter, pooled, thumbnails, 1.0, "cpu", torch.float32, watch)
    assert watch.steps == CONFIG.tokens + CONFIG.blocks
    assert max(watch.held) - watch.held[0] < MOST_MEMORY
    tokens = naive_tokens(contents, pooled)
    assert relative_error(relation.tokens[0], tokens) < 1e-5
    assert relation.keys_values.keys.shape == relation.keys_values.values.shape == (2, 24, 256, 128)
    for block in range(CONFIG.blocks):
        for head in (0, 11, 23):
            rows = slice(head * 128, head * 128 + 128)
            key, value = (
                tokens @ contents[f"ip_adapter.{block}.to_{part}_ip.weight"][rows].double().T for part in "kv"
            )
            key = key / (key.square().mean(-1, keepdim=True) + 1e-5).sqrt()
            assert relative_error(relation.keys_values.keys[block, head], key) < 1e-5
            assert relative_error(relation.keys_values.values[block, head], value) < 1e-5

    half = compute_keys_values(relation.tokens[0].bfloat16(), adapter.weights(), CONFIG, "cpu", Silent())
    assert half.keys.dtype == half.values.dtype == torch.bfloat16
    assert relative_error(half.keys, relation.keys_values.keys) < 0.01
    assert relative_error(half.values, relation.keys_values.values) < 0.01
    query = torch.randn(1, 24, 2048, 128, generator=torch.Generator().manual_seed(2)).bfloat16()
    seen = relation_attention(query, half.keys[1], half.values[1], torch_attention)
    exact = relation_attention(query[:, :, ::64].float(), half.keys[1].float(), half.values[1].float(), torch_attention)
    assert seen.shape == (1, 2048, 24 * 128)
    assert relative_error(seen[:, ::64], exact) < 0.01
