"""Products with mapped matrices: the same values as at once, and neither the matrix nor the file is held."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from random_weights import SMALL, random_relation, random_weights, relative_error, write_bin, write_safetensors

from relation_core.adapter.adapter import RelationAdapter, open_adapter
from relation_core.adapter.config import RelationConfig
from relation_core.errors import CheckpointError
from relation_core.progress import Silent
from relation_core.relation import streaming
from relation_core.relation.keys_values import KeysValues
from relation_core.relation.relation import encode_relation
from relation_core.relation.streaming import streamed_linear

MAPS, STATUS, OPEN = Path("/proc/self/maps"), Path("/proc/self/status"), Path("/proc/self/fd")
WIDE = RelationConfig(blocks=2, heads=1, head_dim=128, tokens=16, text_dim=4096, vision_dim=16, projection_dim=512)
"""Its projection has 67 MB in bfloat16 and 134 MB in float32."""
MOST_MEMORY = 32 << 20


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("computed", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("block_bytes", [1, 1000, 1 << 20], ids=["a row", "some rows", "all rows"])
@pytest.mark.parametrize("with_bias", [False, True], ids=["plain", "bias"])
def test_values(
    monkeypatch: pytest.MonkeyPatch, stored: torch.dtype, computed: torch.dtype, block_bytes: int, with_bias: bool
) -> None:
    monkeypatch.setattr(streaming, "BLOCK_BYTES", block_bytes)
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(37, 23, generator=generator).to(stored)  # 37 rows: the last block is a shorter one
    inputs = torch.randn(5, 23, generator=generator).to(computed)
    bias = torch.randn(37, generator=generator).to(computed) if with_bias else None
    found = streamed_linear(inputs, matrix, bias)
    assert found.dtype == computed
    expected = F.linear(inputs.double(), matrix.to(computed).double(), None if bias is None else bias.double())
    assert relative_error(found, expected) < (1e-6 if computed == torch.float32 else 4e-3)


@pytest.mark.parametrize("block_bytes", [1, 1000, 1 << 20])
def test_blocks_are_no_larger_than_they_may_be(monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    monkeypatch.setattr(streaming, "BLOCK_BYTES", block_bytes)
    sizes = []
    linear = F.linear

    def watched(inputs: torch.Tensor, block: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        sizes.append(block.nbytes)
        return linear(inputs, block, bias)

    monkeypatch.setattr(F, "linear", watched)
    matrix = torch.ones(37, 23, dtype=torch.bfloat16)
    streamed_linear(torch.ones(5, 23), matrix)
    assert max(sizes) <= max(block_bytes, 4 * 23)
    assert sum(sizes) == 4 * matrix.numel()


@pytest.mark.parametrize("block_bytes", [1, 200, 1 << 20])
def test_the_relation_does_not_depend_on_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    adapter = open_adapter(write_safetensors(tmp_path / "adapter.safetensors", random_weights(), SMALL.head_dim))
    expected = random_relation(adapter)
    monkeypatch.setattr(streaming, "BLOCK_BYTES", block_bytes)
    found = random_relation(adapter)
    assert relative_error(found.tokens, expected.tokens) < 1e-6
    assert relative_error(found.keys_values.keys, expected.keys_values.keys) < 1e-6
    assert relative_error(found.keys_values.values, expected.keys_values.values) < 1e-6


class Watch(Silent):
    """Progress that takes down how much memory the process has beside mapped files, and may stop the work."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.held = [self._held()]
        self._stop_at = stop_at

    def step(self) -> None:
        self.held.append(self._held())
        if len(self.held) - 1 == self._stop_at:
            raise KeyboardInterrupt

    @staticmethod
    def _held() -> int:
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) << 10


def is_open(path: Path) -> bool:
    """Whether this process has a file open, or mapped."""
    targets = (os.path.realpath(entry) for entry in OPEN.iterdir())
    return str(path) in {*targets} or str(path) in MAPS.read_text()


def encode(adapter: RelationAdapter, watch: Silent) -> None:
    pooled = torch.randn(1, 2, adapter.config.vision_dim, generator=torch.Generator().manual_seed(0))
    encode_relation(adapter, pooled, torch.zeros(1, 8, 16, 3, dtype=torch.uint8), 1.0, "cpu", torch.float32, watch)


@pytest.fixture(scope="module")
def wide_weights() -> dict[str, torch.Tensor]:
    return random_weights(WIDE, dtype=torch.bfloat16)


@pytest.mark.skipif(not MAPS.exists(), reason="memory is looked up in /proc")
@pytest.mark.parametrize(("write", "name"), [(write_bin, "adapter.bin"), (write_safetensors, "adapter.safetensors")])
@pytest.mark.parametrize("stop_at", [None, 1, WIDE.tokens + 1], ids=["whole", "stopped at once", "stopped late"])
def test_nothing_of_the_adapter_is_held(
    tmp_path: Path,
    wide_weights: dict[str, torch.Tensor],
    write: Callable[[Path, dict[str, torch.Tensor]], Path],
    name: str,
    stop_at: int | None,
) -> None:
    adapter = open_adapter(write(tmp_path / name, wide_weights))
    assert not is_open(adapter.path)
    watch = Watch(stop_at)
    if stop_at is None:
        encode(adapter, watch)
    else:
        with pytest.raises(KeyboardInterrupt):
            encode(adapter, watch)
    assert len(watch.held) - 1 == (stop_at or WIDE.tokens + WIDE.blocks)
    assert max(watch.held) - watch.held[0] < MOST_MEMORY
    assert not is_open(adapter.path)
    weights = adapter.weights()  # that it would have been seen
    assert is_open(adapter.path)
    del weights
    assert not is_open(adapter.path)


class Cut(Silent):
    """Progress that changes the adapter's file in the middle of the work."""

    def __init__(self, change: Callable[[], object], step: int) -> None:
        self._change, self._left = change, step

    def step(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._change()


@pytest.mark.parametrize("step", [1, WIDE.tokens - 1, WIDE.tokens + 1])
@pytest.mark.parametrize("length", [0, 5000, 40 << 20])
@pytest.mark.parametrize(("write", "name"), [(write_bin, "adapter.bin"), (write_safetensors, "adapter.safetensors")])
def test_a_file_that_is_cut_short_meanwhile_is_an_error(
    tmp_path: Path,
    wide_weights: dict[str, torch.Tensor],
    write: Callable[[Path, dict[str, torch.Tensor]], Path],
    name: str,
    length: int,
    step: int,
) -> None:
    """And not the end of the process, which a mapped page that is gone would be."""
    path = write(tmp_path / name, wide_weights)
    cut = Cut(lambda: os.truncate(path, length), step)
    with pytest.raises(CheckpointError, match=rf"{name} was changed while it was read.*run the loader again"):
        encode(open_adapter(path), cut)


def test_a_file_that_is_written_over_meanwhile_is_an_error(
    tmp_path: Path, wide_weights: dict[str, torch.Tensor]
) -> None:
    path = write_bin(tmp_path / "adapter.bin", wide_weights)

    def write_over() -> None:
        with path.open("r+b") as file:
            file.seek(-4096, os.SEEK_END)
            file.write(bytes(8))

    with pytest.raises(CheckpointError, match=r"adapter\.bin was changed while it was read"):
        encode(open_adapter(path), Cut(write_over, 2))


def test_a_file_that_is_replaced_meanwhile_is_read_to_its_end(
    tmp_path: Path, wide_weights: dict[str, torch.Tensor]
) -> None:
    path = write_bin(tmp_path / "adapter.bin", wide_weights)
    (tmp_path / "other").write_bytes(b"other")
    encode(open_adapter(path), Cut(lambda: (tmp_path / "other").replace(path), WIDE.tokens + 1))
    assert path.read_bytes() == b"other"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["keys", "values"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_values_that_are_not_finite_are_found(bad: float, where: str, dtype: torch.dtype) -> None:
    parts = {name: torch.full((3, 2, 8, 16), 60000.0).to(dtype) for name in ("keys", "values")}  # sums beyond float16
    scale = torch.ones(3, 2, 8, 1)
    assert KeysValues(**parts, key_scale=scale).is_finite()
    parts[where][2, 1, 7, 3] = bad
    assert not KeysValues(**parts, key_scale=scale).is_finite()
