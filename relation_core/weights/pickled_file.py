"""The pickles in files that ``torch.save`` wrote: a zip with one entry a storage, or the older stream of pickles."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Mapping
from typing import Any

from ..errors import CheckpointError
from .kinds import quoted
from .opened_file import OpenedFile
from .pickled_tensors import MAX_PICKLE_BYTES, ClaimError, StorageClaim, read_claims

_LOCAL_HEADER_BYTES = 30
_ZIP_END_BYTES = (1 << 16) + 128
"""A comment of the greatest length, and the records before it."""
_STREAM = 5
"""Pickles before the values: a magic number, the version, the system, the tensors, and the names of their storages."""


def zip_claims(file: OpenedFile) -> tuple[Any, Mapping[str, int]]:
    """Read the claims of the pickle in a zip, and check them against the entries.

    Returns:
        What :func:`.read_claims` gives, and where the values of each storage begin in the file, by its key.

    Raises:
        CheckpointError: the zip is compressed.
        ClaimError: the pickle claims more than the entries have, or the zip is none of ``torch.save``.
    """
    _check_directory(file)
    with zipfile.ZipFile(file.path) as archive:
        entries = archive.infolist()
    named = {entry.filename: entry for entry in entries}
    if len(named) < len(entries):
        raise ClaimError("its zip has entries of the same name")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED:
            raise CheckpointError(
                f"{file.path} is a compressed archive ({quoted(entry.filename)} is packed), which cannot be mapped "
                "into memory. Expected a file as torch.save writes it: download the original file."
            )
        if max(entry.file_size, entry.compress_size) > file.size:
            raise ClaimError(f"{quoted(entry.filename)} in its zip would be larger than the file")
    root = entries[0].filename.partition("/")[0] if entries else ""
    pickle, prefix = named.get(f"{root}/data.pkl"), f"{root}/data/"
    if pickle is None:
        raise ClaimError("its zip has no data.pkl, where torch.save puts the tensors")
    if pickle.file_size > MAX_PICKLE_BYTES:
        raise ClaimError(f"its data.pkl has {pickle.file_size:,} bytes, more than {MAX_PICKLE_BYTES:,}")
    storages = {name.removeprefix(prefix): entry for name, entry in named.items() if name.startswith(prefix)}

    def check(storage: StorageClaim) -> None:
        entry = storages.get(storage.key)
        if entry is not None and not 0 <= _bytes_of(storage) <= entry.file_size:
            raise ClaimError(
                f"it claims more values than the file has, {storage.numel:,} in {entry.file_size:,} bytes of its zip"
            )

    claims = read_claims(io.BytesIO(_data(file, pickle)), check)
    order = named.get(f"{root}/byteorder")
    if sys.byteorder != "little" or (order is not None and _data(file, order) != b"little"):
        return claims, {}  # their bytes are swapped when they are read
    return claims, {key: _start(file, entry) for key, entry in storages.items()}


def stream_claims(file: OpenedFile) -> tuple[Any, Mapping[str, int]]:
    """Read the claims of the pickles at the beginning of a file, and check them against the file's size.

    Returns:
        What :func:`.read_claims` gives for the tensors, and no places: these files are read whole.

    Raises:
        ClaimError: they claim more than the file has. ValueError, IndexError, KeyError, TypeError: these are no
        pickles.
    """
    stream = io.BytesIO(file.read(0, min(file.size, MAX_PICKLE_BYTES)).numpy().tobytes())
    claimed: dict[str, int] = {}
    total = 0

    def check(storage: StorageClaim) -> None:
        nonlocal total
        more = _bytes_of(storage) - claimed.get(storage.key, 0)
        claimed[storage.key] = claimed.get(storage.key, 0) + max(0, more)
        total += max(0, more)
        if storage.numel < 0 or total > file.size:
            raise ClaimError(f"it claims more values than the file has, {storage.numel:,} in {file.size:,} bytes")

    return [read_claims(stream, check) for _ in range(_STREAM)][3], {}


def _check_directory(file: OpenedFile) -> None:
    """Refuse a zip whose list of entries is too long to read; its length is at the end of the file."""
    start = max(0, file.size - _ZIP_END_BYTES)
    end = file.read(start, file.size - start).numpy().tobytes()
    place = end.rfind(b"PK\x05\x06")
    wide = end.rfind(b"PK\x06\x06", 0, max(0, place))
    length = int.from_bytes(end[place + 12 : place + 16], "little")
    if wide >= 0:
        length = int.from_bytes(end[wide + 40 : wide + 48], "little")
    if length > MAX_PICKLE_BYTES:
        raise ClaimError(f"the list of entries of its zip would have {length:,} bytes")


def _bytes_of(storage: StorageClaim) -> int:
    return storage.numel * (storage.dtype.itemsize if storage.dtype is not None else 1)


def _start(file: OpenedFile, entry: zipfile.ZipInfo) -> int:
    """The start of an entry's data: after its header, its name and its padding."""
    header = file.read(entry.header_offset, _LOCAL_HEADER_BYTES).numpy().tobytes()
    name, extra = (int.from_bytes(header[place : place + 2], "little") for place in (26, 28))
    return entry.header_offset + _LOCAL_HEADER_BYTES + name + extra


def _data(file: OpenedFile, entry: zipfile.ZipInfo) -> bytes:
    return file.read(_start(file, entry), entry.file_size).numpy().tobytes()
