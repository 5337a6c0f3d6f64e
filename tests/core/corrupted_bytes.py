"""Ways to damage the bytes of a weights file."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

FRACTIONS = tuple(index / 16 for index in range(1, 16))


def truncated(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """A file cut short at many places, and one with too much."""
    places = {0, 1, 2, 4, 7, 8, 9, 16, 64, 200, *(int(part * len(whole)) for part in FRACTIONS)}
    places |= {len(whole) - cut for cut in (1, 2, 3, 4, 8, 21, 22, 23, 64)}
    for number, place in enumerate(sorted(places)):  # not by the byte: the length of a pickle differs between processes
        yield f"cut at place {number}", whole[:place]


def flipped(whole: bytes, region: tuple[int, int], seed: int) -> bytes:
    """One to four bytes in a region with some of their bits flipped."""
    pick = np.random.default_rng(seed)
    changed = bytearray(whole)
    for _ in range(int(pick.integers(1, 5))):
        changed[int(pick.integers(*region))] ^= int(pick.integers(1, 256))
    return bytes(changed)


def zip_regions(whole: bytes) -> dict[str, tuple[int, int]]:
    """Where the directory, the first entry's header and the pickle of a torch.save file lie."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        first = archive.infolist()[0]
        start = archive.start_dir
    # A local header has 30 bytes and the name, then padding up to the data.
    data = first.header_offset + 30 + len(first.filename) + int.from_bytes(whole[28:30], "little")
    return {
        "directory": (start, len(whole)),
        "local header": (first.header_offset, data),
        "pickle": (data, data + first.file_size),
    }


def with_entries(
    whole: bytes, change: Callable[[str, bytes], bytes | None], packing: int = zipfile.ZIP_STORED
) -> bytes:
    """A zip made anew with right checksums, its entries changed or (for None) left out."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(buffer, "w", packing) as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return buffer.getvalue()


def with_second(whole: bytes, part: str) -> bytes:
    """A zip that has an entry twice."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(buffer, "w") as new, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for name in old.namelist():
            for _ in range(2 if name.endswith(part) else 1):
                new.writestr(name, old.read(name))
    return buffer.getvalue()


def with_pickle(whole: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The same file with another pickle, and a checksum that fits it."""
    return with_entries(whole, lambda name, data: change(data) if name.endswith("/data.pkl") else data)


def with_header(whole: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """A .safetensors file whose header was changed in place."""
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    change(header)
    return headed(json.dumps(header).encode(), whole[8 + length :])


def headed(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A .safetensors file of any header, which may lie about its length."""
    header += b" " * (-len(header) % 8)
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def saved(content: object, *, legacy: bool = False) -> bytes:
    """What torch.save makes of something."""
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()
