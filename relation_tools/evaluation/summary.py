"""Means and deviations of scores: over the samples of a task, and over the tasks of a category as in the paper."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..dataset.names import natural_key
from .metric_table import METRICS
from .scores import SampleScores


@dataclass(frozen=True)
class Spread:
    """A mean, and the sample standard deviation, which is None for a single value."""

    mean: float
    deviation: float | None
    count: int


@dataclass(frozen=True)
class SummaryRow:
    """The scores of a task, of a category, or of all tasks."""

    name: str
    tasks: int
    samples: int
    spreads: dict[str, Spread]
    """By metric; metrics that no sample has are left out."""


@dataclass(frozen=True)
class CategoryRows:
    """A category and its tasks."""

    total: SummaryRow
    tasks: tuple[SummaryRow, ...]


@dataclass(frozen=True)
class Summary:
    """All rows of a report."""

    overall: SummaryRow
    """Over all tasks."""
    categories: tuple[CategoryRows, ...]
    seen: SummaryRow | None = None
    """Over the tasks that were trained on; None where no task is known not to have been."""
    unseen: SummaryRow | None = None


def spread(values: Sequence[float]) -> Spread:
    """Return the mean and the standard deviation (with n - 1) of at least one value."""
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Spread(mean, None, 1)
    return Spread(mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)), len(values))


def summarise(scores: Iterable[SampleScores]) -> Summary:
    """Summarise scores by task, and the tasks' means by category and over all."""
    tasks: dict[str, dict[str, list[SampleScores]]] = defaultdict(lambda: defaultdict(list))
    for one in scores:
        tasks[one.category][one.task].append(one)
    categories: list[CategoryRows] = []
    sides: dict[bool, list[SummaryRow]] = {False: [], True: []}
    for category, by_task in sorted(tasks.items()):
        rows = tuple(_task_row(name, own) for name, own in sorted(by_task.items(), key=_natural))
        categories.append(CategoryRows(_total(category or "(no category)", rows), rows))
        for row in rows:
            sides[by_task[row.name][0].unseen].append(row)
    seen, unseen = (_total(name, sides[side]) for side, name in ((False, "seen tasks"), (True, "unseen tasks")))
    overall = _total("all tasks", [*sides[False], *sides[True]])
    return Summary(overall, tuple(categories), *((seen, unseen) if unseen.tasks else (None, None)))


def _natural(item: tuple[str, object]) -> list[tuple[int, str]]:
    return natural_key(item[0])


def _task_row(name: str, scores: Sequence[SampleScores]) -> SummaryRow:
    spreads: dict[str, Spread] = {}
    for metric in METRICS:
        values = [value for one in scores if (value := one.value(metric)) is not None]
        if values:
            spreads[metric] = spread(values)
    return SummaryRow(name, 1, len(scores), spreads)


def _total(name: str, rows: Sequence[SummaryRow]) -> SummaryRow:
    spreads = {
        metric: spread([row.spreads[metric].mean for row in rows if metric in row.spreads])
        for metric in METRICS
        if any(metric in row.spreads for row in rows)
    }
    return SummaryRow(name, len(rows), sum(row.samples for row in rows), spreads)


def extremes(
    scores: Iterable[SampleScores], metric: str, count: int, source: Callable[[SampleScores], str]
) -> tuple[list[SampleScores], list[SampleScores]]:
    """Return the best and the worst samples by a metric, the extremes first.

    Of the samples that ``source`` gives one name, only the best is among the best, and only the worst among the worst;
    no sample is among both.
    """
    known = [one for one in scores if one.value(metric) is not None]
    ordered = sorted(known, key=lambda one: (one.value(metric) or 0.0, one.index), reverse=METRICS[metric].higher)
    middle = (len(ordered) + 1) // 2
    return _first_of_each(ordered[:middle], source)[:count], _first_of_each(ordered[: middle - 1 : -1], source)[:count]


def _first_of_each(scores: Iterable[SampleScores], source: Callable[[SampleScores], str]) -> list[SampleScores]:
    first: dict[str, SampleScores] = {}
    for one in scores:
        first.setdefault(source(one), one)
    return list(first.values())
