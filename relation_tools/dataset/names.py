"""File and folder names that are valid on every file system."""

from __future__ import annotations

import re
import unicodedata

_FORBIDDEN = re.compile(r"[^\w.+-]+")
_LONGEST = 100
_RESERVED = {"con", "prn", "aux", "nul", *(f"{device}{number}" for device in ("com", "lpt") for number in range(10))}
"""Devices of Windows, whatever ending follows."""


def portable_name(text: str) -> str:
    """Turn text into a name of letters, digits and ``_ . + -``, at most 100 bytes long and no device of Windows."""
    name = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", text)).strip("._")
    name = name.encode()[:_LONGEST].decode(errors="ignore").rstrip(".") or "unnamed"
    stem, point, ending = name.partition(".")
    return f"{stem}_{point}{ending}" if stem.casefold() in _RESERVED else name


class UniqueNames:
    """Makes names that differ even without case; the same calls in the same order give the same names."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}
        """Of every name that was wanted: the number up to which all are taken."""

    def give(self, text: str) -> str:
        """Give ``text`` a name, with ``-2``, ``-3`` and so on after one that is taken."""
        name = wanted = portable_name(text)
        count = self._counts.get(wanted.casefold(), 0)
        while count == 0 or name.casefold() in self._taken:
            count += 1
            name = wanted if count == 1 else f"{wanted}-{count}"
        self._taken.add(name.casefold())
        self._counts[wanted.casefold()] = count
        return name


def natural_key(name: str) -> list[tuple[int, str]]:
    """Give a key that sorts "9-Depth" before "10-Rain"."""
    return [(int(number or 0), letters) for number, letters in re.findall(r"([0-9]*)([^0-9]*)", name)]
