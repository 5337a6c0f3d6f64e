"""Rows of a picture cache that another set of it has: they are copied, not encoded again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .cache_arrays import RowArray
from .cache_sets import sets_beside
from .picture_plan import DONE, POOLED, Plan, latents_of, stored_sizes

_ROWS = 256
"""Rows that are copied at once."""


@dataclass(frozen=True)
class KnownSet:
    """Another set."""

    plan: Plan
    arrays: Mapping[str, RowArray]
    rows: Mapping[str, int]
    """Of the pictures that are encoded in it, by their hashes."""

    def size_of(self, digest: str) -> str:
        """The size that a picture is encoded at."""
        return self.plan.sizes[self.rows[digest]]


def known_sets(folder: Path, made_by: str, vision_dim: int) -> list[KnownSet]:
    """Open the sets beside one that are made alike."""
    found: list[KnownSet] = []
    for other, digests in sets_beside(folder, made_by):
        sizes = stored_sizes(other, len(digests))
        plan = Plan(digests, sizes or (), vision_dim)
        arrays = None if sizes is None else plan.open_arrays(other)
        if arrays is not None:
            done = arrays[DONE].read(np.arange(len(digests)))
            rows = {digest: row for row, digest in enumerate(digests) if done[row] == 1}
            found.append(KnownSet(plan, arrays, rows))
    return found


def copy_known(plan: Plan, arrays: Mapping[str, RowArray], sets: list[KnownSet]) -> None:
    """Copy the rows that are not done and that another set has.

    Args:
        plan: of the set.
        arrays: its arrays, to be written.
        sets: the others.

    Raises:
        OSError: they cannot be written.
        DatasetError: another set was cut short.
    """
    for known in sets:
        done = arrays[DONE].read(np.arange(len(plan.digests)))
        wanted = [
            row
            for row, digest in enumerate(plan.digests)
            if done[row] != 1 and digest in known.rows and known.size_of(digest) == plan.sizes[row]
        ]
        for start in range(0, len(wanted), _ROWS):
            _copy(plan, arrays, known, wanted[start : start + _ROWS])


def _copy(plan: Plan, arrays: Mapping[str, RowArray], known: KnownSet, rows: list[int]) -> None:
    places, theirs = plan.places, known.plan.places
    found = [known.rows[plan.digests[row]] for row in rows]
    arrays[POOLED].write(rows, known.arrays[POOLED].read(np.array(found)))
    for size in {plan.sizes[row] for row in rows}:
        chosen = [place for place, row in enumerate(rows) if plan.sizes[row] == size]
        values = known.arrays[latents_of(size)].read(np.array([theirs[found[place]] for place in chosen]))
        arrays[latents_of(size)].write([places[rows[place]] for place in chosen], values)
        arrays[latents_of(size)].sync()
    arrays[POOLED].sync()
    arrays[DONE].write(rows, np.ones(len(rows), np.uint8))
