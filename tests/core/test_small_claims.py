"""Small files that ask for gigabytes are refused before anything is allocated, and parsed in time."""

from __future__ import annotations

import collections
import io
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from code_pickles import Call, zipped
from corrupted_bytes import headed, saved
from corrupted_tensors import nested, weights

from relation_core.errors import CheckpointError
from relation_core.weights.checkpoint import read_checkpoint
from relation_core.weights.safetensors_file import MAX_HEADER_BYTES

MOST_MEMORY = 400 << 20
"""Bytes that reading may add: a fifth of what the smallest of these files asks for."""
READER = """
import resource, sys
from relation_core.errors import RelationAdapterError
from relation_core.weights.checkpoint import read_checkpoint
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        read_checkpoint(path)
    except RelationAdapterError as error:
        print("refused", str(error).encode("unicode_escape").decode())
    else:
        print("read")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)
"""
GIGABYTES = 5 << 30


class Storage:
    """Stands for a storage in a pickle."""

    def __init__(self, kind: Any, numel: int, key: str = "0") -> None:
        self.claim = ("storage", kind, key, "cpu", numel)


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> Any:
        return obj.claim if isinstance(obj, Storage) else None


def pickled(content: object) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, 2).dump(content)
    return buffer.getvalue()


LEGACY_HEAD = b"".join(
    pickled(part)
    for part in (
        0x1950A86A20F9469CFC6C,
        1001,
        {"protocol_version": 1001, "little_endian": True, "type_sizes": {}},
    )
)


def legacy(content: object) -> bytes:
    """The stream of pickles of older versions of PyTorch, with storages that are not there."""
    return LEGACY_HEAD + pickled(content) + pickled(["0"]) + (GIGABYTES // 4).to_bytes(8, "little")


def tensor(storage: Storage, shape: tuple[int, ...], stride: tuple[int, ...]) -> Call:
    return Call(torch._utils._rebuild_tensor_v2, storage, 0, shape, stride, False, collections.OrderedDict())


def quantized(side: int) -> Call:
    parameters = (torch.per_tensor_affine, 0.1, 0)
    storage = Storage(torch.QInt8Storage, 4)
    return Call(torch._utils._rebuild_qtensor, storage, 0, (side, side), (0, 0), parameters, False, {})


BINS: dict[str, bytes] = {
    "bytearray.bin": zipped(pickled({"x": Call(bytearray, GIGABYTES)})),
    "bytearray_by_a_rebuild.bin": zipped(
        pickled({"x": Call(torch._tensor._rebuild_from_type_v2, bytearray, torch.Tensor, (GIGABYTES,), {})})
    ),
    "bytearray_legacy.bin": legacy({"x": Call(bytearray, GIGABYTES)}),
    "storage_legacy.bin": legacy({"x": tensor(Storage(torch.FloatStorage, GIGABYTES // 4), (GIGABYTES // 4,), (1,))}),
    "storages_legacy.bin": legacy(
        {str(n): tensor(Storage(torch.HalfStorage, 5000, str(n)), (5000,), (1,)) for n in range(300)}
    ),
    "untyped_storage.bin": zipped(pickled({"x": Call(torch.UntypedStorage, GIGABYTES)})),
    "float_tensor.bin": zipped(pickled({"x": Call(torch.FloatTensor, GIGABYTES // 4)})),
    "tensor.bin": zipped(pickled({"x": Call(torch.Tensor, GIGABYTES // 4)})),
    "quantized.bin": zipped(pickled({"x": quantized(70_000)}), {"archive/data/0": bytes(64)}),
    "expanded.bin": zipped(
        pickled({"x": tensor(Storage(torch.FloatStorage, 16), (40_000, 40_000), (0, 0))}), {"archive/data/0": bytes(64)}
    ),
    "record_too_short.bin": zipped(
        pickled({"x": tensor(Storage(torch.FloatStorage, 1 << 28), (1 << 28,), (1,))}), {"archive/data/0": bytes(64)}
    ),
}


def nested_tuple(depth: int) -> tuple[Any, ...]:
    inner: tuple[Any, ...] = ()
    for _ in range(depth):
        inner = (inner, inner)
    return inner


def sparse(path: Path, head: bytes, size: int, tail: bytes = b"") -> Path:
    with path.open("wb") as file:
        file.write(head)
        file.seek(size - len(tail))
        file.write(tail)
        file.truncate(size)
    return path


def vast_files(folder: Path) -> list[Path]:
    """Sparse files of 100 GB."""
    size = 100 << 30
    directory = b"PK\x05\x06" + bytes(8) + (0xF0000000).to_bytes(4, "little") + bytes(6)
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    return [
        sparse(folder / "zeros.safetensors", b"", size),
        sparse(folder / "header.safetensors", (100_000_000).to_bytes(8, "little"), size),
        sparse(folder / "zeros.bin", b"", size),
        sparse(folder / "magic.bin", magic, size),
        sparse(folder / "text.bin", magic * 3 + b"\x80\x02X\xff\xff\xff\x7f", size),
        sparse(folder / "name.bin", b"\x80\x02c", size),
        sparse(folder / "directory.bin", b"PK\x03\x04", size, directory),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="memory is looked up by resource")
def test_small_pickles_and_vast_files_allocate_nothing(tmp_path: Path) -> None:
    for name, content in BINS.items():
        assert len(content) < 30_000
        (tmp_path / name).write_bytes(content)
    paths = [*(tmp_path / name for name in BINS), *vast_files(tmp_path)]
    command = [sys.executable, "-c", READER, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    *lines, memory = done.stdout.splitlines()
    for path, line in zip(paths, lines, strict=True):
        assert line.startswith("refused") and path.name in line, line
        small = path.name in BINS
        assert not small or "claims more values than the file has" in line or "it asks for" in line, line
    assert int(memory) < MOST_MEMORY


@pytest.mark.parametrize("wrap", [zipped, lambda data: LEGACY_HEAD + data + pickled([])], ids=["zip", "legacy"])
def test_a_name_that_takes_for_ever_to_hash(tmp_path: Path, wrap: Callable[[bytes], bytes]) -> None:
    name = pickled(nested_tuple(60))
    (tmp_path / "weights.bin").write_bytes(wrap(b"\x80\x02}" + name[2:-1] + b"K\x01s."))
    start = time.monotonic()
    with pytest.raises(CheckpointError, match="a tuple for a name"):
        read_checkpoint(tmp_path / "weights.bin")
    assert time.monotonic() - start < 5


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


HEADERS: dict[str, tuple[bytes, str]] = {
    "overlapping": (
        headed(json.dumps({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}).encode(), bytes(12)),
        r"'b' begins at byte 4 of the values; the one before ends at 8",
    ),
    "with a gap": (
        headed(json.dumps({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 8, 12)}).encode(), bytes(12)),
        r"'b' begins at byte 8 of the values; the one before ends at 4",
    ),
    "too short": (
        headed(json.dumps({"a": entry("F32", [9], 0, 36)}).encode(), bytes(35)),
        r"it would have .* and it has",
    ),
    "too long": (
        headed(json.dumps({"a": entry("F32", [9], 0, 36)}).encode(), bytes(37)),
        r"it would have .* and it has",
    ),
    "of another size": (
        headed(json.dumps({"a": entry("F32", [9], 0, 35)}).encode(), bytes(35)),
        r"35 bytes are set aside",
    ),
    "named twice": (
        headed(
            b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
        ),
        r"'a' appears twice",
    ),
    "numbers of 5000 digits": (
        headed(b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}', bytes(4)),
        r"its header is not JSON",
    ),
    "numbers of 300 digits": (
        headed(b'{"a":{"dtype":"F32","shape":[' + b"9" * 300 + b'],"data_offsets":[0,4]}}', bytes(4)),
        r"a shape or a place in the file that is none",
    ),
    "infinite": (
        headed(b'{"a":{"dtype":"F32","shape":[Infinity],"data_offsets":[0,4]}}', bytes(4)),
        r"a shape or a place",
    ),
    "true": (headed(b'{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}', bytes(4)), r"a shape or a place"),
    "nested deeply": (headed(b'{"a":' * 100_000), r"nested too deeply"),
    "longer than is read": (headed(b" " * (MAX_HEADER_BYTES + 8) + b"{}"), r"more than the 16,777,216 that are read"),
    "of metadata in lists": (headed(b'{"__metadata__":["a"]}'), r"its metadata are not texts by name"),
    "of escapes": (headed(b'{"\\u001b[2J\\u202e\\ud800":1}'), r"'\\x1b\[2J\\u202e\\ud800' in its header"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is(tmp_path: Path, name: str) -> None:
    content, says = HEADERS[name]
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=rf"is not a complete \.safetensors file: .*{says}.*download the file again"
    ) as caught:
        read_checkpoint(path)
    assert str(caught.value).isprintable()


def test_tensors_of_no_size_and_of_no_axis_are_read(tmp_path: Path) -> None:
    header = {"a": entry("F32", [0, 7], 0, 0), "b": entry("BF16", [], 0, 2), "c": entry("I64", [0], 2, 2)}
    path = tmp_path / "weights.sft"
    path.write_bytes(headed(json.dumps(header).encode(), b"\x80\x3f"))
    read = read_checkpoint(path)
    assert read.stored["a"].read().shape == (0, 7) and read.tensors["a"].shape == (0, 7)
    assert float(read.stored["b"].read()) == float(read.tensors["b"]) == 1.0
    assert read.stored["c"].read().dtype == torch.int64


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"link{suffix}").symlink_to(tmp_path / f"pipe{suffix}")
    (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
    for name, kind in (("pipe", "a pipe"), ("link", "a pipe"), ("zero", "a device")):
        with pytest.raises(CheckpointError, match=rf"{name}{suffix} cannot be read \(it is {kind}\); expected a file"):
            read_checkpoint(tmp_path / f"{name}{suffix}")


def test_the_released_layout_is_read_where_it_lies(tmp_path: Path) -> None:
    """Not held, and with the values that PyTorch reads."""
    path = tmp_path / "adapter.bin"
    path.write_bytes(saved(nested(weights())))
    read = read_checkpoint(path).stored
    for name, value in weights().items():
        assert read[name].held is None
        assert torch.equal(read[name].read(), value) and torch.equal(read[name].mapped(), value)
