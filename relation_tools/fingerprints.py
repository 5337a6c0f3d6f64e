"""Fingerprints of files, so that a result is never taken for one made from other contents."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from relation_core.files.regular_file import open_regular
from relation_core.pictures.picture_file import MAX_BYTES

_PIECE = 1 << 24
_SHORT = 1 << 26
"""Bytes up to which :func:`weights_fingerprint` reads all of a file."""
_SAMPLES, _SAMPLE = 64, 1 << 16


def file_digest(path: Path, most: int | None = None) -> str:
    """Hash a file's bytes.

    Args:
        path: the file.
        most: bytes that it may have; None for any number.

    Raises:
        OSError: it cannot be read, or is larger.
    """
    digest = blake2b(digest_size=16)
    with open_regular(path, most) as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def picture_digest(path: Path) -> str:
    """Hash the bytes of what is called a picture.

    Raises:
        OSError: it cannot be read, or is larger than any picture that is read.
    """
    return file_digest(path, MAX_BYTES)


def contents_fingerprint(path: Path, parts: Iterable[str] = ()) -> str:
    """Hash a file with the ``config.json`` beside it, or all files of a folder with their names.

    Args:
        path: the file or folder.
        parts: of a folder, only what lies in these folders in it; all where none of them is there.

    Raises:
        OSError: something cannot be read.
    """
    digest = blake2b(digest_size=8)
    for file in _files(path, parts):
        digest.update(_name(file, path) + f" {file_digest(file)}\n".encode())
    return digest.hexdigest()


def weights_fingerprint(path: Path) -> str:
    """Hash the weights of a large model: names, lengths and samples spread over each of its files.

    Raises:
        OSError: something cannot be read.
    """
    digest = blake2b(digest_size=8)
    for file in _files(path, ()):
        size = file.stat().st_size
        digest.update(_name(file, path) + f" {size} ".encode())
        if size <= _SHORT:
            digest.update(file_digest(file).encode())
            continue
        with open_regular(file) as stream:
            for number in range(_SAMPLES):
                stream.seek(number * (size - _SAMPLE) // (_SAMPLES - 1))
                digest.update(stream.read(_SAMPLE))
    return digest.hexdigest()


def _name(file: Path, path: Path) -> bytes:
    return str(file.name if path.is_file() else file.relative_to(path)).encode(errors="surrogatepass")


def _files(path: Path, parts: Iterable[str]) -> list[Path]:
    if path.is_dir():
        folders = [path / part for part in parts if (path / part).is_dir()] or [path]
        found = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
        return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts))
    config = path.with_name("config.json")
    return [path, config] if config.is_file() and config != path else [path]
