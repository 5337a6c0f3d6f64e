"""The files in a zip or tar, one after the other, without trust in what they claim."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from relation_core.files.regular_file import open_regular

ZIPS = (".zip",)
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVES = (*ZIPS, *TARS)
OTHERS = (".rar", ".7z", ".zst", ".gz", ".bz2", ".xz")
"""Endings of archives that are not read."""
_BLOCK = 512
_PIECE = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)
"""Compressions in a zip of which Python unpacks a piece at a time; of others, a few bytes may fill the memory."""
_NO_FILE = "it is a link or a device, which are not unpacked"
_SPARSE = "it is a sparse file, of which a few bytes may claim any length; pack it without holes"


def stem_of(name: str) -> str:
    """A file's name without its endings, as of ``pairs.tar.gz``."""
    stem = PurePosixPath(name).stem
    return stem[: -len(".tar")] if stem.lower().endswith(".tar") else stem


class ArchiveError(Exception):
    """An archive that cannot be read to its end. What was read before is whole."""


class DamagedWholeError(Exception):
    """An archive of which nothing tells what is damaged in it."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive that is no folder."""

    name: str
    size: int
    """In bytes, as the archive claims."""
    data: IO[bytes] | None
    """None where it cannot be read."""
    reason: str = ""
    """Why it cannot be read."""


def members(path: Path, take: Callable[[int], None]) -> Iterator[Member]:
    """Yield an archive's entries. What one yields can be read until the next is asked for.

    Args:
        path: the archive.
        take: told of the bytes that are unpacked, before they are more than a few; what it raises passes through.

    Raises:
        ArchiveError: the archive is cut short.
        DamagedWholeError: it is damaged, and what was yielded may be too.
        OSError: the file cannot be opened.
    """
    with open_regular(path) as file:
        yield from _zip_members(file, take) if path.name.lower().endswith(ZIPS) else _tar_members(file, take)


def _zip_members(file: BinaryIO, take: Callable[[int], None]) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # a reader that meets damaged data raises whatever it runs into
        raise ArchiveError(f"it is no whole zip: {_brief(error)}") from error
    with archive:
        for info in archive.infolist():
            kind = info.external_attr >> 16 & 0o170000
            if info.is_dir():
                continue
            if kind not in (0, 0o100000):
                yield Member(info.filename, 0, None, _NO_FILE)
                continue
            if info.compress_type not in _METHODS:
                yield Member(info.filename, 0, None, f"{_method(info)}; expected deflate, or none")
                continue
            try:
                data = archive.open(info)
            except Exception as error:
                yield Member(info.filename, 0, None, _brief(error))
                continue
            with data, _Counted(data, take, ()) as counted:
                yield Member(info.filename, info.file_size, cast("IO[bytes]", counted))


def _method(info: zipfile.ZipInfo) -> str:
    name = "bzip2" if info.compress_type == zipfile.ZIP_BZIP2 else f"method {info.compress_type}"
    return f"it is compressed by {name}, which is not read in a zip"


def _tar_members(file: BinaryIO, take: Callable[[int], None]) -> Iterator[Member]:
    last = "its beginning"
    plain = _Counted(_decompressed(file), take, (OSError, zlib.error, lzma.LZMAError))
    try:
        with closing(plain), tarfile.open(fileobj=cast("IO[bytes]", plain), mode="r|") as archive:
            for info in archive:
                vars(archive)["members"] = []  # which would hold every entry until the end
                if info.isdir():
                    continue
                data = archive.extractfile(info) if info.isreg() and not info.issparse() else None
                yield Member(info.name, info.size, data, "" if data else _SPARSE if info.issparse() else _NO_FILE)
                last = f"'{info.name}'"
            ended = bool(cast("BinaryIO", archive.fileobj).read(_BLOCK))
            while plain.read(_PIECE):
                pass  # the checksum stands at the end
    except (tarfile.TarError, EOFError, ValueError, LookupError, OverflowError) as error:
        raise ArchiveError(f"it is damaged or cut short after {last}: {_brief(error)}") from error
    if not ended:
        raise ArchiveError(f"it has no end mark, so that files after {last} may be missing")


def _decompressed(file: BinaryIO) -> BinaryIO:
    start = file.read(6)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))
    if start.startswith(b"BZh"):
        return cast("BinaryIO", bz2.BZ2File(file))
    if start == b"\xfd7zXZ\0":
        return cast("BinaryIO", lzma.LZMAFile(file))
    return file


class _Counted(RawIOBase):
    """A stream that tells how much is read of it, and when its checksum is wrong."""

    def __init__(self, data: IO[bytes], take: Callable[[int], None], faults: tuple[type[Exception], ...]) -> None:
        """Take the stream, what to tell, and the errors after which nothing of the archive can be trusted."""
        self._data, self._take, self._faults = data, take, faults

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            piece = self._data.read(min(size, _PIECE) if size >= 0 else _PIECE)
        except self._faults as error:
            raise DamagedWholeError(f"it is damaged: {_brief(error)}") from error
        self._take(len(piece))
        return piece


def _brief(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
