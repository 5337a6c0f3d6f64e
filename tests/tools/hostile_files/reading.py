"""What a reader is: a good folder, the file in it that is made hostile, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from damage import Damage


@dataclass(frozen=True)
class Reader:
    """One reader of the project, with one of the files that it reads."""

    name: str
    file: str
    """In the folder."""
    make: Callable[[Path], object]
    """Makes the folder, with nothing wrong."""
    read: Callable[[Path], object]
    """Given the folder. It raises what the reader raises, and AssertionError where something wrong was read."""
    damages: Callable[[], Iterable[Damage]]
    """Those of the file's format, beside those of bytes and places."""
