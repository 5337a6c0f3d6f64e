"""Chooses whole tasks that nothing is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from relation_core.errors import DatasetError, printable

from .hold_out import FEWEST
from .names import natural_key
from .rotation import shuffled

HeldOutTasks = int | tuple[str, ...]
"""How many tasks, or which."""


def choose_tasks(pictures: Mapping[str, int], wanted: HeldOutTasks, per_task: int, seed: int) -> tuple[str, ...]:
    """Choose the tasks that are held out; a number of them is drawn, first of those with enough pictures.

    Args:
        pictures: how many each task has.
        wanted: how many tasks, or their names.
        per_task: pictures that are wanted of each.
        seed: of the drawing.

    Raises:
        DatasetError: there is no such task, or none would be left to train on.
    """
    names = _drawn(pictures, wanted, per_task, seed) if isinstance(wanted, int) else wanted
    unknown = [name for name in names if name not in pictures]
    if unknown:
        near = get_close_matches(unknown[0], pictures, 3, 0.5) or sorted(pictures, key=natural_key)[:3]
        shown = ", ".join(f"'{printable(name)}'" for name in near)
        raise DatasetError(
            f"There is no task '{printable(unknown[0])}' to hold out; expected names of tasks, such as {shown}. "
            "Separate them by commas."
        )
    if names and len(set(names)) == len(pictures):
        raise DatasetError(
            f"All {len(pictures)} tasks would be held out; expected at least one to train on. Hold out fewer."
        )
    return tuple(sorted(set(names), key=natural_key))


def _drawn(pictures: Mapping[str, int], count: int, per_task: int, seed: int) -> tuple[str, ...]:
    usable = [name for name in pictures if pictures[name] >= FEWEST]
    if count > len(usable):
        raise DatasetError(
            f"Got {count} tasks to hold out; expected at most {len(usable)}, which have the pictures for a sample. "
            "Hold out fewer."
        )
    drawn = shuffled(usable, str, seed, "hold out tasks")
    return tuple(sorted(drawn, key=lambda name: pictures[name] < per_task)[:count])
