"""One machine's share of a folder of pictures."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from relation_core.errors import printable
from relation_core.settings.bounds import shortened_value

_Item = TypeVar("_Item")
_MOST = 1_000_000


@dataclass(frozen=True)
class Shard:
    """Share ``number`` of ``count``, from 1."""

    number: int
    count: int

    def of(self, items: Sequence[_Item]) -> list[_Item]:
        """Pick this share's items: every ``count``-th. Together the shares hold each item once."""
        return list(items[self.number - 1 :: self.count])

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def read_shard(text: str) -> Shard:
    """Read ``I/N``, for argparse.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    found = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", text, re.ASCII)
    number, count = (int(part) for part in found.groups()) if found else (0, 0)
    if not 1 <= number <= count <= _MOST:
        shown = printable(shortened_value(text))
        raise argparse.ArgumentTypeError(f"got {shown}; expected I/N with I from 1 to N, such as 2/20. Change it.")
    return Shard(number, count)
