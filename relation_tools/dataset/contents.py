"""Decode the pictures of a run-ready dataset, each once, several at a time."""

from __future__ import annotations

import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from relation_core.errors import PictureError
from relation_core.pictures.picture_file import read_picture
from relation_core.progress import Progress

_AT_ONCE = 4096
"""Pictures that wait for a thread: a waiting one takes more memory than what is found in it."""


@dataclass(frozen=True, slots=True)
class Content:
    """A picture's size and a digest of its pixels, or why it cannot be read."""

    width: int = 0
    height: int = 0
    digest: bytes = b""
    error: str = ""


def look_into(folder: Path, names: Collection[str], progress: Progress) -> dict[str, Content]:
    """Decode pictures given by their paths relative to ``folder``."""
    progress.start(len(names))
    found: dict[str, Content] = {}
    left = iter(names)
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        while some := list(islice(left, _AT_ONCE)):
            for name, content in zip(some, pool.map(_look, (folder / name for name in some)), strict=True):
                found[name] = content
                progress.step()
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt does not wait for all of them
    return found


def _look(path: Path) -> Content:
    try:
        pixels = read_picture(path)
    except PictureError as error:
        return Content(error=error.reason)
    return Content(
        pixels.width, pixels.height, blake2b(repr(pixels.size).encode() + pixels.tobytes(), digest_size=16).digest()
    )
