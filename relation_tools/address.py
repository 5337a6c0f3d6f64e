"""Places of pictures: paths, and addresses such as ``s3://bucket/photos``, which fsspec reads and writes."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from relation_core.errors import RelationAdapterError, printable
from relation_core.weights.atomic import write_whole

_WHOLE = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory")
"""Kinds of stores in which a file appears when it is whole."""

_WEB = ("http", "https")


class AddressError(RelationAdapterError):
    """What lies at an address cannot be reached."""


@dataclass(frozen=True)
class Address:
    """A file or folder that fsspec reaches."""

    text: str

    @property
    def name(self) -> str:
        """The last part; only on the web does it end at ``?`` or ``#``."""
        kind, _, place = self.text.partition("://")
        return PurePosixPath(urlsplit(self.text).path if kind in _WEB else place.partition("/")[2]).name

    @property
    def suffix(self) -> str:
        """The ending of the name."""
        return PurePosixPath(self.name).suffix

    def within(self, name: str) -> Address:
        """What has a name in this folder."""
        return Address(f"{self.text.rstrip('/')}/{name}")

    def __str__(self) -> str:
        return self.text

    def files(self) -> list[str]:
        """The names of the files in this folder, sorted; none if this is a file.

        Raises:
            AddressError: it cannot be read.
        """
        with _reached(self) as (store, path):
            if not store.isdir(path):
                return []
            found = store.ls(path, detail=True)
        return sorted(PurePosixPath(one["name"]).name for one in found if one["type"] == "file")

    def is_file(self) -> bool:
        """Whether a file is there.

        Raises:
            AddressError: it cannot be told.
        """
        with _reached(self) as (store, path):
            return bool(store.isfile(path))

    def bring(self, file: Path, most: int) -> bool:
        """Copy it into a file of the disk; False if nothing is there.

        Raises:
            AddressError: it cannot be read, or has more bytes than ``most``.
        """
        try:
            with _reached(self) as (store, path):
                size = store.size(path)
                if size is None:  # a web server need not say
                    with store.open(path) as stream:
                        data = stream.read(most + 1)
                    size = len(data)
                else:
                    data = b"" if size > most else store.cat_file(path)
        except FileNotFoundError:
            return False
        if size > most:
            raise AddressError(
                f"'{printable(self.text)}' has at least {size:,} bytes; expected at most {most:,}. Shrink it."
            )
        write_whole(file, data, synced=False)
        return True

    def put(self, data: bytes) -> None:
        """Write it, whole or not at all.

        Raises:
            AddressError: it cannot be written.
        """
        with _reached(self) as (store, path):
            if any(kind in _WHOLE for kind in _kinds(store)):
                store.pipe_file(path, data)
                return
            parent, _, name = path.rpartition("/")
            store.makedirs(parent, exist_ok=True)
            part = f"{parent}/.{name}.{secrets.token_hex(8)}.part"
            try:
                store.pipe_file(part, data)
                store.mv(part, path)
            except BaseException:
                with suppress(Exception):
                    store.rm_file(part)
                raise


Place = Path | Address


def read_place(text: str) -> Place:
    """Read a path, or an address: what has ``://`` in it. Those of ``file://`` are paths."""
    if "://" not in text:
        return Path(text)
    return Path(url2pathname(urlsplit(text).path)) if text.startswith("file://") else Address(text)


def _kinds(store: Any) -> tuple[str, ...]:
    return (store.protocol,) if isinstance(store.protocol, str) else tuple(store.protocol)


@contextmanager
def _reached(address: Address) -> Generator[tuple[Any, str]]:
    """Find an address's store, and the path in it.

    Raises:
        AddressError: it cannot be reached. That there is nothing is left as a FileNotFoundError.
    """
    shown = printable(address.text)
    try:
        import fsspec.core  # noqa: PLC0415 - only addresses need it

        yield fsspec.core.url_to_fs(address.text)
    except FileNotFoundError:
        raise
    except (ImportError, ValueError) as error:  # what it lacks for such addresses is in its message
        raise AddressError(f"Cannot reach '{shown}': {printable(str(error))}. Install what it names.") from error
    except Exception as error:  # every store has errors of its own
        reason = printable(" ".join(str(error).split()))[:300] or type(error).__name__
        raise AddressError(f"Cannot reach '{shown}' ({reason}). Check the address and your rights.") from error
