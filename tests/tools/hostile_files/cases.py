"""The corpus: every reader with every damage, drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

from damage import BYTES, PLACES, Damage
from light_readers import light_readers
from model_readers import model_readers
from reading import Reader

SEED = 12


@dataclass(frozen=True)
class Case:
    """One hostile file."""

    reader: Reader
    damage: Damage | None
    """None for the good file, which must be read."""

    @property
    def name(self) -> str:
        return f"{self.reader.name}: {self.damage.name if self.damage else 'good'}"

    @property
    def draw(self) -> Random:
        """Whatever is random in the case."""
        return Random(f"{SEED} {self.name}")  # noqa: S311 - a test


def readers() -> list[Reader]:
    """All readers."""
    return [*light_readers(), *model_readers()]


def every_case() -> list[Case]:
    """The whole corpus."""
    return [case for reader in readers() for case in _cases_of(reader)]


@cache
def some_cases(count: int) -> list[Case]:
    """A sample: of every reader the good file and some of its damages, in the corpus's order."""
    draw, found = Random(SEED), readers()  # noqa: S311 - a test
    chosen: list[Case] = []
    for number, reader in enumerate(found):
        own = list(_cases_of(reader))
        share = count * (number + 1) // len(found) - count * number // len(found)
        chosen += [own[0], *(own[place] for place in sorted(draw.sample(range(1, len(own)), share)))]
    return chosen


def chosen(count: str) -> list[Case]:
    """The cases that a count names: of a sample, of all, or of one reader."""
    if count.isdecimal():
        return some_cases(int(count))
    return [case for case in every_case() if count in ("all", case.reader.name)]


def _cases_of(reader: Reader) -> Iterator[Case]:
    yield Case(reader, None)
    for damage in (*PLACES, *BYTES, *reader.damages()):
        yield Case(reader, damage)
