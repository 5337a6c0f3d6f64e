"""How much may be unpacked of one file: archives of a few kilobytes can claim, and hold, terabytes."""

from __future__ import annotations

_TIMES = 100
_ALWAYS = 256 << 20
"""Bytes that any file may unpack to; pictures, which are compressed already, hardly grow."""
_MOST_FILES = 5_000_000


class BudgetError(Exception):
    """A file unpacks to more than any dataset of its size does."""


class Budget:
    """What is left of the bytes and files that one archive or table may unpack to."""

    def __init__(self, packed: int) -> None:
        """Take the packed file's size in bytes."""
        self._packed, self._most = packed, max(_TIMES * packed, _ALWAYS)
        self._bytes, self._files = self._most, _MOST_FILES

    def take_file(self) -> None:
        """Count a file.

        Raises:
            BudgetError: there are too many.
        """
        self._files -= 1
        if self._files < 0:
            raise BudgetError(f"it holds more than {_MOST_FILES:,} files; expected fewer. Split it")

    def take(self, size: int) -> None:
        """Count bytes.

        Raises:
            BudgetError: there are too many.
        """
        self._bytes -= size
        if self._bytes < 0:
            raise BudgetError(
                f"it has {self._packed / 1e6:,.1f} MB and unpacks to more than {self._most / 1e6:,.0f} MB, as "
                "archives do that are made to fill disks; expected pictures. If you trust it, unpack it yourself and "
                "give the folder"
            )
