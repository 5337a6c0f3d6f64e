"""Choose test pictures, so that none of them is trained on under any name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from .rotation import shuffled

FEWEST = 2
"""Pictures that make an ordered pair, for training and for testing."""


@dataclass(frozen=True, slots=True)
class Contents:
    """A picture's place in the dataset, and digests of its halves' pixels."""

    number: int
    task: str
    name: str
    before: bytes
    after: bytes


def hold_out(pictures: Sequence[Contents], per_task: int, seed: int, unseen: Collection[str] = frozenset()) -> set[int]:
    """Choose up to ``per_task`` pictures of every task; return their numbers.

    Pictures that share a half, in one task or several, stay on the same side. A task gets fewer if it would keep too
    few for training, or if its pictures cannot be separated this way.

    Args:
        pictures: all of them.
        per_task: how many to choose of a task.
        seed: of the choice.
        unseen: tasks that are not trained on, of which none have to be kept.
    """
    groups = _groups(pictures)
    members: dict[int, list[Contents]] = defaultdict(list)
    by_task: dict[str, list[Contents]] = defaultdict(list)
    for picture in pictures:
        members[groups[picture.number]].append(picture)
        by_task[picture.task].append(picture)
    room = {
        task: _room(len(own) + (FEWEST if task in unseen else 0), min(per_task, len(own)))
        for task, own in by_task.items()
    }
    held: set[int] = set()
    for task in sorted(by_task, key=lambda task: (task not in unseen, task)):
        for picture in shuffled(by_task[task], lambda picture: picture.name, seed, "hold out"):
            if room[task] == 0:
                break
            group = members[groups[picture.number]]
            needed = Counter(member.task for member in group)
            if picture.number not in held and all(room[other] >= count for other, count in needed.items()):
                held.update(member.number for member in group)
                for other, count in needed.items():
                    room[other] -= count
    return held


def _room(pictures: int, per_task: int) -> int:
    room = min(per_task, pictures - FEWEST)
    return room if room >= FEWEST else 0


def _groups(pictures: Iterable[Contents]) -> dict[int, int]:
    """Map every picture to the lowest number among those it shares a half with, directly or through others."""
    parents: dict[int, int] = {}

    def find(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    first: dict[bytes, int] = {}
    for picture in pictures:
        parents[picture.number] = picture.number
        for half in (picture.before, picture.after):
            ends = sorted((find(picture.number), find(first.setdefault(half, picture.number))))
            parents[ends[1]] = ends[0]
    return {number: find(number) for number in parents}
