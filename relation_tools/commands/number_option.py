"""Numbers on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from relation_core.errors import printable
from relation_core.settings.bounds import Bounds, bounds_of, shortened_value


@dataclass(frozen=True)
class NumberOption:
    """An option's ``type`` for argparse, which ends the command with status 2 where the number is out of its bounds."""

    bounds: Bounds

    def __call__(self, text: str) -> float:
        """Read a number.

        Raises:
            argparse.ArgumentTypeError: it is none, or out of its bounds.
        """
        number = self._read(text)
        if number is None or not self.bounds.hold(number):
            found = printable(shortened_value(text))
            raise argparse.ArgumentTypeError(f"got {found}; expected {self.bounds}. Change it.")
        return number

    def _read(self, text: str) -> float | None:
        if not text.isascii() or "_" in text:  # Python also reads digits of other scripts, and 1_000
            return None
        try:
            return int(text) if self.bounds.whole else float(text)
        except ValueError:
            return None


def add_numbers(group: Any, settings: Any, texts: Mapping[str, str]) -> None:
    """Add an option for every number of some settings, with its value there as the default.

    Args:
        group: of the parser.
        settings: an instance of a dataclass whose numbers have bounds in its annotations.
        texts: the help of each field.
    """
    for name, bounds in bounds_of(cast("type[Any]", type(settings))).items():
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=NumberOption(bounds),
            default=getattr(settings, name),
            metavar="NUMBER",
            help=f"{texts[name]} ({getattr(settings, name)})",
        )
