"""Pickles that would run code, in many disguises.

The code in every one of them writes a marker file. :data:`LIVE` names those that Python's own unpickler
carries out, which proves that the marker shows it.
"""

from __future__ import annotations

import builtins
import collections
import io
import os
import pickle
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


class State:
    """Pickles as an object whose state is set by a call (the BUILD opcode)."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __reduce__(self) -> tuple[Any, ...]:
        return collections.OrderedDict, (), {"state": self.inner}


def touch(marker: Path) -> str:
    return f"touch {marker}"


def calls(marker: Path) -> dict[str, Any]:
    """Objects whose unpickling writes the marker."""
    shell, source = touch(marker), f"open({str(marker)!r}, 'w').close()"
    inner = pickle.dumps(Call(os.system, shell))
    return {
        "os.system": Call(os.system, shell),
        "subprocess": Call(subprocess.check_call, ["touch", str(marker)]),
        "eval": Call(builtins.eval, source),
        "exec": Call(builtins.exec, source),
        "open": Call(builtins.open, str(marker), "w"),
        "write_text": Call(Path.write_text, marker, "ran"),
        "pickle in a pickle": Call(pickle.loads, inner),
        "torch storage in a pickle": Call(torch.storage._load_from_bytes, inner),
        "numpy array": np.array([Call(os.system, shell)], dtype=object),
        "state": State(Call(os.system, shell)),
        "list": [[], [Call(os.system, shell)]],
        "tuple": (1, (Call(os.system, shell),)),
        "set argument": collections.Counter({"a": Call(os.system, shell)}),
    }


def opcodes(marker: Path) -> dict[str, bytes]:
    """The same written by hand, opcode by opcode."""
    text = touch(marker).encode()
    short = b"\x8c" + bytes([len(text)]) + text
    known = b"\x8c\x05posix\x8c\x06system\x93"  # STACK_GLOBAL
    return {
        "protocol 0": b"cposix\nsystem\n(S'" + text + b"'\ntR.",
        "INST": b"(S'" + text + b"'\niposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\nS'" + text + b"'\no.",
        "STACK_GLOBAL": b"\x80\x04" + known + short + b"\x85R.",
        "framed": b"\x80\x04\x95" + struct.pack("<Q", len(known + short) + 3) + known + short + b"\x85R.",
        "memoised": b"\x80\x02cposix\nsystem\nq\x000h\x00X" + struct.pack("<I", len(text)) + text + b"\x85R.",
        "dotted name": b"\x80\x04\x8c\x08builtins\x8c\x0a__import__\x93\x94\x8c\x02os\x85R0h\x00\x8c\x05posix\x85R0"
        + known
        + short
        + b"\x85R.",
        "before the answer": known.join([b"\x80\x04", short + b"\x85R0}."]),
        "in a dictionary's key": b"\x80\x04}" + known + short + b"\x85RK\x01s.",
    }


LIVE = (*calls(Path("marker")), *opcodes(Path("marker")))


def live_pickle(name: str, marker: Path, protocol: int = 2) -> bytes:
    """A pickle by its name in :data:`LIVE`."""
    made = opcodes(marker)
    return made[name] if name in made else pickle.dumps(calls(marker)[name], protocol)


def zipped(data: bytes, entries: dict[str, bytes] | None = None) -> bytes:
    """A file as torch.save writes it, with this for its pickle and further entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
        for name, content in (entries or {}).items():
            archive.writestr(name, content)
    return buffer.getvalue()


def legacy_parts() -> list[bytes]:
    """The five pickles of PyTorch's old format: magic number, protocol, system, content, storages."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts: list[Any] = [0x1950A86A20F9469CFC6C, 1001, system, {"image_proj": {}, "ip_adapter": {}}, []]
    return [pickle.dumps(part, 2) for part in parts]


def disguised(marker: Path) -> dict[str, bytes]:
    """Whole files with code in them, where a reader may come upon it."""
    evil = pickle.dumps(Call(os.system, touch(marker)), 2)
    files: dict[str, bytes] = {}
    for place, part in enumerate(("magic number", "protocol", "system", "content", "storages")):
        parts = legacy_parts()
        parts[place] = evil
        files[f"legacy {part}"] = b"".join(parts)
    harmless = pickle.dumps({"image_proj": {}, "ip_adapter": {}}, 2)
    files |= {
        "zip": zipped(evil),
        "second data.pkl": zipped(harmless, {"archive/sub/data.pkl": evil, "archive/.data/data.pkl": evil}),
        "TorchScript": zipped(
            harmless, {"archive/constants.pkl": evil, "archive/code/__torch__.py": b"import os; os.system('id')"}
        ),
        "storage": zipped(_storage_pickle(), {"archive/data/0": evil}),
        "persistent id": zipped(b"\x80\x02(X\x07\x00\x00\x00storage" + evil[2:-1] + b"X\x01\x00\x00\x000tQ."),
        "zip in a zip": zipped(zipped(evil)),
        "zip after a pickle": evil + zipped(harmless),
        "tar": _tarred(evil),
        "subclass of a tensor": zipped(_rebuilt(marker)),
    }
    return files


def _storage_pickle() -> bytes:
    """A tensor whose storage is entry 0."""
    buffer = io.BytesIO()
    torch.save(torch.zeros(4), buffer)
    with zipfile.ZipFile(buffer) as archive:
        return archive.read(archive.namelist()[0])


def _rebuilt(marker: Path) -> bytes:
    """A tensor that PyTorch would rebuild by a function of the file's choice."""
    text = touch(marker).encode()
    return (
        b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cposix\nsystem\ncposix\nsystem\n(X"
        + struct.pack("<I", len(text))
        + text
        + b"t}tR."
    )


def _tarred(evil: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            entry = tarfile.TarInfo(name)
            entry.size = len(evil)
            archive.addfile(entry, io.BytesIO(evil))
    return buffer.getvalue()
