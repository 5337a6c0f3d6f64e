"""Ways to make a good file hostile: its bytes, or what lies in its place. Each is drawn from a generator of its own."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

GIANT = 40 << 30
"""Bytes that a sparse file claims to have."""
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 72 72\n%%EndComments\n(touch marker) run\nshowpage\n"
HEADS = {
    "PostScript": POSTSCRIPT,
    "PNG": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\x02\0\0\0",
    "JPEG": b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0",
    "a zip": b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(16),
    "a pickle": b"\x80\x02cposix\nsystem\nX\x0c\0\0\0touch marker\x85R.",
    "safetensors": (2**40).to_bytes(8, "little") + b'{"a":',
    "GGUF": b"GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(64),
    "NumPy": b"\x93NUMPY\x01\0\x76\0{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
    "a program": b"\x7fELF\x02\x01\x01" + bytes(57),
    "a page": b"<!doctype html><title>404 Not Found</title>",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "JSON": b'{"format": "relation", "version": 1}',
}


@dataclass(frozen=True)
class Damage:
    """One way."""

    name: str
    apply: Callable[[Path, Random], None]
    """Changes the good file at the path."""


def of_bytes(name: str, change: Callable[[bytes, Random], bytes]) -> Damage:
    """A damage that gives the file other bytes."""

    def apply(path: Path, draw: Random) -> None:
        path.write_bytes(change(path.read_bytes(), draw))

    return Damage(name, apply)


def _cut(data: bytes, draw: Random) -> bytes:
    return data[: draw.choice([draw.randrange(len(data)), draw.randrange(min(len(data), 64)), len(data) - 1])]


def _flip(data: bytes, draw: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        changed[draw.randrange(draw.choice([len(data), min(len(data), 256)]))] ^= draw.randint(1, 255)
    return bytes(changed)


def _stretch(data: bytes, draw: Random) -> bytes:
    start = draw.randrange(len(data))
    return data[:start] + draw.randbytes(draw.randint(1, 200)) + data[start + draw.randint(0, 200) :]


def _missing(data: bytes, draw: Random) -> bytes:
    start = draw.randrange(len(data))
    return data[:start] + data[start + draw.randint(1, max(1, len(data) // 4)) :]


def _nulls(data: bytes, draw: Random) -> bytes:
    start = draw.randrange(len(data))
    return data[:start] + bytes(draw.randint(1, 5000)) + data[start:]


def _utf16(data: bytes, draw: Random) -> bytes:
    return data.decode("utf-8", "replace").encode(draw.choice(["utf-16", "utf-16-be", "utf-32", "utf-7"]))


BYTES = (
    *(of_bytes(f"cut {number}", _cut) for number in range(3)),
    *(of_bytes(f"flipped {number}", _flip) for number in range(4)),
    of_bytes("a stretch of noise", _stretch),
    of_bytes("a stretch missing", _missing),
    of_bytes("with zeros", _nulls),
    of_bytes("empty", lambda data, draw: b""),
    of_bytes("zeros", lambda data, draw: bytes(draw.randint(1, 5000))),
    of_bytes("noise", lambda data, draw: draw.randbytes(draw.randint(1, 5000))),
    of_bytes("twice", lambda data, draw: data + data),
    of_bytes("in another encoding", _utf16),
    of_bytes("with a mark of byte order", lambda data, draw: b"\xef\xbb\xbf" + data),
    of_bytes("another format's", lambda data, draw: draw.choice(list(HEADS.values()))),
    of_bytes("a polyglot", lambda data, draw: draw.choice(list(HEADS.values())) + data),
    of_bytes("another head", lambda data, draw: (head := draw.choice(list(HEADS.values()))) + data[len(head) :]),
)


def _instead(name: str, put: Callable[[Path, Random], None]) -> Damage:
    def apply(path: Path, draw: Random) -> None:
        path.unlink()
        put(path, draw)

    return Damage(name, apply)


def _socket(path: Path, draw: Random) -> None:
    short = Path(os.path.relpath(path))  # the name of a socket has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(short) if len(str(short)) < len(str(path)) else str(path))


def _linked_pipe(path: Path, draw: Random) -> None:
    os.mkfifo(path.with_name("a-pipe"))
    path.symlink_to("a-pipe")


def _full_folder(path: Path, draw: Random) -> None:
    path.mkdir()
    (path / path.name).write_bytes(b"{}")


def _giant(path: Path, draw: Random) -> None:
    with path.open("r+b") as file:
        file.truncate(GIANT)


def _giant_zeros(path: Path, draw: Random) -> None:
    with path.open("wb") as file:
        file.truncate(draw.choice([GIANT, 2**31 + 1, 2**32, 600 << 20]))


PLACES = (
    _instead("a pipe", lambda path, draw: os.mkfifo(path)),
    _instead("a link to a pipe", _linked_pipe),
    _instead("a link to an endless device", lambda path, draw: path.symlink_to("/dev/zero")),
    _instead("a link to the terminal", lambda path, draw: path.symlink_to("/dev/stdin")),
    _instead("a socket", _socket),
    _instead("a folder", lambda path, draw: path.mkdir()),
    _instead("a folder with a file of its name", _full_folder),
    _instead("a link to nothing", lambda path, draw: path.symlink_to("nothing")),
    _instead("a link to itself", lambda path, draw: path.symlink_to(path.name)),
    _instead("nothing", lambda path, draw: None),
    Damage("unreadable", lambda path, draw: path.chmod(0)),
    Damage("followed by a hole", _giant),
    Damage("a hole", _giant_zeros),
)


def copied(source: Path, target: Path) -> None:
    """Copy a folder; large files in it are linked, and must not be changed in place."""

    def copy(one: str, other: str) -> None:
        if os.path.getsize(one) > 1 << 20:
            os.link(one, other)
        else:
            shutil.copy(one, other)

    shutil.copytree(source, target, copy_function=copy)
