"""Hostile weights: headers that lie, pickles that ask for too much or hold code, arrays of other forms."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch
from code_pickles import LIVE, live_pickle, zipped
from corrupted_bytes import flipped, headed, saved, with_entries, with_header, with_pickle, zip_regions
from damage import Damage, of_bytes

SHAPES: tuple[Any, ...] = ([], [0], [1], [2**40], [2**31, 2**31], [-1], [True], ["1"], None, [1.0], [1] * 70, [10**30])
DTYPES = (
    "F32",
    "F16",
    "BF16",
    "F64",
    "I64",
    "I8",
    "U8",
    "BOOL",
    "F8_E4M3",
    "F8_E5M2",
    "C64",
    "F4",
    "",
    None,
    5,
    "\ud800",
)
BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8, "F8_E4M3": 1}


def _one(header: dict[str, Any], draw: Random) -> dict[str, Any]:
    return header[draw.choice([name for name in header if name != "__metadata__"])]


def _lie(header: dict[str, Any], draw: Random) -> None:
    entry = _one(header, draw)
    key = draw.choice(["shape", "dtype", "data_offsets", "more", "less"])
    if key == "shape":
        entry[key] = draw.choice(SHAPES)
    elif key == "dtype":
        entry[key] = draw.choice(DTYPES)
    elif key == "data_offsets":
        entry[key] = draw.choice([[0, 2**40], [2**63, 2**63], [-4, 0], [0], [], None, [4, 0], [0.0, 4.0], ["0", "4"]])
    elif key == "more":
        entry["\ud800"] = entry
        del entry["\ud800"]
        entry["code"] = "import os"
    else:
        entry.pop(draw.choice(list(entry)))


def _other_shape(header: dict[str, Any], draw: Random) -> None:
    """A shape of as many values: only the model's own sizes can tell."""
    entry = _one(header, draw)
    count = math.prod(entry["shape"])
    entry["shape"] = draw.choice(
        [[count], [1, count], [count, 1], list(reversed(entry["shape"])), [*entry["shape"], 1]]
    )


def _renamed(header: dict[str, Any], draw: Random) -> None:
    name = draw.choice([name for name in header if name != "__metadata__"])
    names = ("", "x", f"{name}.more", "a." * 3000, "\x1b[2J", "../x", "\u202e", f"model.{name}", name.upper())
    header[draw.choice(names)] = header.pop(name)


def _metadata(header: dict[str, Any], draw: Random) -> None:
    values = (
        None,
        [],
        "x",
        {"a": 1},
        {"format": None},
        {"lora_adapter_metadata": "[" * 100_000},
        {"head_dim": "9" * 5000},
    )
    values += ({"lora_adapter_metadata": '{"transformer.lora_alpha": ' + "9" * 5_000 + "}"}, {"head_dim": "0"})
    values += ({"_quantization_metadata": '{"layers": 5}'}, {"_quantization_metadata": "[" * 100_000}, {"learned": "{"})
    values += (
        {"lora_adapter_metadata": '{"transformer.alpha_pattern": {"(a+)+$": 1}}'},
        {"_quantization_metadata": "{}"},
    )
    found = header.get("__metadata__")
    value = draw.choice(values)
    header["__metadata__"] = {**found, **value} if isinstance(found, dict) and isinstance(value, dict) else value


def _values(data: bytes, draw: Random) -> bytes:
    """NaN, infinities and huge numbers for weights."""
    start = 8 + int.from_bytes(data[:8], "little")
    pattern = draw.choice([b"\xff", b"\x7f", b"\x80\x7f", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f"])
    size = len(data) - start
    return data[:start] + (pattern * size)[:size]


def _giant(path: Path, draw: Random) -> None:
    """One tensor of gigabytes that the file really has, as a hole."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    last = max((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"][1])
    entry = header[last]
    begin = entry["data_offsets"][0]
    more = draw.choice([(30 << 30), (5 << 30)])
    entry["shape"] = (
        [more // BYTES.get(entry["dtype"], 4), *entry["shape"][1:]]
        if len(entry["shape"]) < 2
        else [more // BYTES.get(entry["dtype"], 4) // math.prod(entry["shape"][1:]), *entry["shape"][1:]]
    )
    end = begin + math.prod(entry["shape"]) * BYTES.get(entry["dtype"], 4)
    entry["data_offsets"] = [begin, end]
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(headed(text, data[8 + length : 8 + length + begin]))
        file.truncate(8 + len(text) + -len(text) % 8 + end)


def _all_giant(path: Path, draw: Random) -> None:
    """Every tensor a thousand times as high, in a file that is long enough."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    end = 0
    for name, entry in header.items():
        if name != "__metadata__" and entry["shape"]:
            entry["shape"][0] *= 1000
        if name != "__metadata__":
            begin, end = end, end + math.prod(entry["shape"]) * BYTES.get(entry["dtype"], 4)
            entry["data_offsets"] = [begin, end]
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(headed(text))
        file.truncate(8 + len(text) + -len(text) % 8 + end)


def safetensors_damages() -> Iterator[Damage]:
    """Headers that lie."""
    changes = {
        "a lie": (_lie, 12),
        "another shape": (_other_shape, 4),
        "another name": (_renamed, 5),
        "metadata": (_metadata, 6),
    }
    for name, (change, count) in changes.items():
        for number in range(count):
            yield of_bytes(
                f"{name} {number}", lambda data, draw, change=change: with_header(data, lambda h: change(h, draw))
            )
    for length in (0, 1, 2**24 + 1, 2**40, 2**63 - 1, 2**64 - 1):
        yield of_bytes(
            f"a header of {length} bytes", lambda data, draw, length=length: length.to_bytes(8, "little") + data[8:]
        )
    for number in range(3):
        yield of_bytes(f"strange values {number}", _values)
    yield of_bytes("a name twice", lambda data, draw: _twice(data))
    yield of_bytes("no tensors", lambda data, draw: headed(b"{}"))
    yield of_bytes("nested", lambda data, draw: headed(b'{"a":' * 100_000))
    yield of_bytes("digits", lambda data, draw: headed(b'{"a": ' + b"9" * 5000 + b"}"))
    yield of_bytes("a header of blanks", lambda data, draw: headed(b"{}" + b" " * (15 << 20)))
    yield Damage("a giant tensor", _giant)
    yield Damage("giant tensors", _all_giant)


def _twice(data: bytes) -> bytes:
    length = int.from_bytes(data[:8], "little")
    text = data[8 : 8 + length].rstrip()
    name = next(name for name in json.loads(text) if name != "__metadata__")
    twice = text[:-1] + f", {json.dumps(name)}: {json.dumps(json.loads(text)[name])}}}".encode()
    return headed(twice, data[8 + length :])


def claim(numel: int, shape: tuple[int, ...]) -> bytes:
    """A pickle of some hundred bytes that claims a storage of any size."""

    def number(value: int) -> bytes:
        data = value.to_bytes(9, "little", signed=True)
        return b"\x8a" + struct.pack("<B", len(data)) + data

    sizes = b"(" + b"".join(map(number, shape)) + b"t"
    strides = b"(" + b"".join(number(1) for _ in shape) + b"t"
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0" + b"0X\x03\0\0\0cpu" + number(numel) + b"tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(0) + sizes + strides
    tensor += b"\x89ccollections\nOrderedDict\n)RtR"
    return zipped(b"\x80\x02}X\x01\0\0\0a" + tensor + b"s.", {"archive/data/0": bytes(64)})


def pickle_damages() -> Iterator[Damage]:
    """Pickles that ask for too much, or hold code."""
    for name in sorted(LIVE):
        yield Damage(
            f"code by {name}",
            lambda path, draw, name=name: _put(path, zipped(live_pickle(name, path.with_name("marker")))),
        )
    for numel, shape in ((2**30, (2**30,)), (2**40, (2**20, 2**20)), (-1, (4,)), (4, (2**35,)), (2**62, (1,))):
        yield of_bytes(f"a claim of {numel} in {shape}", lambda data, draw, n=numel, s=shape: claim(n, s))
    for number in range(5):
        yield of_bytes(f"a flipped pickle {number}", _flip_pickle)
    for number in range(3):
        yield of_bytes(f"a flipped directory {number}", _flip_directory)
    things: dict[str, Any] = {
        "a list": [1],
        "a number": 5,
        "nothing": {},
        "numbers": {"step": "x", "trained": 5},
        "a nested list": {"a": [[[[1]]]]},
        "a tensor": torch.zeros(3),
        "a sparse tensor": {"a": torch.zeros(3, 3).to_sparse()},
        "an expanded tensor": {"a": torch.zeros(1).expand(2**31)},
    }
    for name, thing in things.items():
        yield of_bytes(f"holds {name}", lambda data, draw, thing=thing: saved(thing))
    yield of_bytes("packed", lambda data, draw: with_entries(data, lambda name, part: part, 8))
    yield of_bytes(
        "without storages", lambda data, draw: with_entries(data, lambda n, part: None if "/data/" in n else part)
    )
    for number in range(8):
        yield of_bytes(f"an entry less, or another {number}", _without)


def _put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _flip_pickle(data: bytes, draw: Random) -> bytes:
    return with_pickle(data, lambda part: flipped(part, (0, len(part)), draw.randrange(10**6)))


def _flip_directory(data: bytes, draw: Random) -> bytes:
    return flipped(data, zip_regions(data)["directory"], draw.randrange(10**6))


def _without(data: bytes, draw: Random) -> bytes:
    """The same dictionary without one of its entries, or with another value there."""
    import io

    content = torch.load(io.BytesIO(data), weights_only=True)
    holder = content
    while True:
        key = draw.choice(list(holder))
        if not isinstance(holder[key], dict) or not holder[key] or draw.random() < 0.4:
            break
        holder = holder[key]
    if draw.random() < 0.5:
        del holder[key]
    else:
        holder[key] = draw.choice([None, -1, 2**70, "x", float("nan"), [], {}, torch.zeros(2), torch.zeros(0), True])
    return saved(content)


def npy_damages() -> Iterator[Damage]:
    """NumPy's arrays of other forms."""

    def header(text: str, version: bytes = b"\x01\0") -> bytes:
        data = text.encode("latin-1")
        size = struct.pack("<H", len(data)) if version[0] == 1 else struct.pack("<I", len(data))
        return b"\x93NUMPY" + version + size + data

    heads = {
        "a giant": "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }",
        "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "columns first": "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }",
        "a negative shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        "records": "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
        "code": "__import__('os').system('touch marker')",
        "nesting": "(" * 5000,
        "digits": "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",), }",
        "another key": "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        "nothing": "",
    }
    for name, text in heads.items():
        yield of_bytes(f"a header of {name}", lambda data, draw, text=text: header(text) + data[128:])
        yield of_bytes(f"a second header of {name}", lambda data, draw, text=text: header(text, b"\x02\0") + data[128:])
    yield of_bytes("another version", lambda data, draw: header("{}", b"\x09\0") + data)
    yield of_bytes("a header of 4 GB", lambda data, draw: b"\x93NUMPY\x02\0\xff\xff\xff\xff" + data)
    for number in range(4):
        yield of_bytes(f"other numbers {number}", lambda data, draw: data[:128] + draw.randbytes(len(data) - 128))
