"""At which noise levels of a run a reused source is computed anew.

Of n steps one computes the source, on average, yet not every n-th: the range of noise levels is divided into equal
parts, and each is entered with a refresh. FLUX.1's schedules fall slowly at first and fast at the end, so refreshes are
far apart where little changes and close together where most does. The first and the last step always are refreshes: the
prediction of the last is the result. docs/performance.md compares this with every n-th step.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, inf, isfinite, nan

from ..settings.bounds import REFRESH_INTERVAL, check_number

REFRESH_EVERY = 4
"""Steps for each refresh, unless chosen."""
LEAST = 3
"""Refreshes of a run, if it has as many steps. With the first and the last step only, edits begin to fail."""
_TOLERANCE = 1e-5
"""Relative difference up to which a noise level counts as the schedule's."""


class Refreshes:
    """The refreshes of one run."""

    def __init__(self, refresh_every: int, schedule: Sequence[float]) -> None:
        """Divide the noise levels.

        Args:
            refresh_every: steps for each refresh, on average.
            schedule: the run's falling noise levels, the last of which ends it.

        Raises:
            RelationAdapterError: ``refresh_every`` is out of its bounds.
        """
        check_number("refresh_every", refresh_every, REFRESH_INTERVAL)
        self._levels = schedule[:-1]
        self._first, self._last = (schedule[0], schedule[-2]) if self._levels else (0.0, inf)
        self._parts = max(LEAST, ceil(len(self._levels) / refresh_every)) - 1

    def steps(self) -> list[int]:
        """Return the steps that compute the source, where the model is called once a step, from 0."""
        parts = [self.part(level) for level in self._levels]
        return [step for step, part in enumerate(parts) if part is None or part not in parts[:step]]

    def part(self, level: float) -> int | None:
        """Return which part a noise level is in: a source is reused in its own part only.

        None for the last step's level, at which and below which it is computed at every level. Where the schedule does
        not fall, as in a run from a picture to noise, or is not of finite numbers, all levels are like that.
        """
        if level <= self._last * (1 + _TOLERANCE):
            return None
        span = self._first - self._last
        fallen = (self._first - level) / span if span > 0 else nan
        return max(0, floor(fallen * self._parts + _TOLERANCE)) if isfinite(fallen) else None
