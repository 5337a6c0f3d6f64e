"""When a reused source is best computed, with the small model: ``python -m benchmarks.refresh_rules``.

The edits are those of :mod:`.recipes`, one source each. The first table is of 24 Euler steps: PSNR to the same steps
with the source computed at each, with the noise levels of the pictures themselves and with those of large pictures. The
second is of the fast recipe's steps with the source computed at all of them but one: the distance to the converged
edit, as a multiple of the authors' steps' distance.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from relation_core.flux.refreshes import REFRESH_EVERY, Refreshes
from relation_core.flux.schedule import relation_sigmas
from relation_core.scenes.landscape import SIDE
from relation_core.settings.bounds import COUNT
from relation_tools.commands.number_option import NumberOption
from relation_tools.diffusers_host.settings import FAST

from .recipes import AUTHORS, CONVERGED, distance_between, print_table, psnr
from .small_edits import SmallEdits
from .small_model import SmallModel, Way

LARGE = 1024
"""Side of large pictures, in pixels."""
_TOLERANCE = 1e-5
"""Relative difference up to which a noise level counts as the schedule's."""


class ChosenSteps:
    """Refreshes at chosen steps, in place of :class:`relation_core.flux.refreshes.Refreshes`."""

    def __init__(self, steps: Collection[int], refresh_every: int, schedule: Sequence[float]) -> None:
        """Take the place: ``steps``, from 0, are chosen; the interval is not heeded."""
        self._chosen, self._levels = steps, schedule[:-1]

    def part(self, level: float) -> int:
        """Return how many of the chosen steps have begun."""
        step = sum(other >= level * (1 - _TOLERANCE) for other in self._levels) - 1
        return sum(chosen <= step for chosen in self._chosen)


class RefreshExperiment:
    """Samples with the source computed at chosen steps."""

    def __init__(self, model: SmallModel, sources: int) -> None:
        """Encode pairs and sources."""
        self._edits = SmallEdits(model, sources)
        self._reuse = model.host.module("relation_core.flux.source_reuse")

    def pictures(self, way: Way, steps: Collection[int] | None = None) -> torch.Tensor:
        """Sample all edits in one way, with the source computed at these steps, from 0, or at each."""
        if steps is None:
            return self._edits.pictures(way)
        rule: Any = self._reuse.Refreshes
        self._reuse.Refreshes = partial(ChosenSteps, steps)
        try:
            return self._edits.pictures(replace(way, refresh_every=REFRESH_EVERY))
        finally:
            self._reuse.Refreshes = rule


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refresh_rules", description=__doc__)
    parser.add_argument("--sources", type=NumberOption(COUNT), default=1, help="sources an edit (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="refresh-rules-") as folder:
        experiment = RefreshExperiment(SmallModel(Path(folder) / "comfyui"), options.sources)
        for table in (_placements(experiment), _one_stale(experiment)):
            print_table(table)


def _placements(experiment: RefreshExperiment) -> Iterator[str]:
    yield "| noise levels of | source computed at steps | PSNR to the exact edit, dB |"
    yield "| --- | --- | --- |"
    last = AUTHORS.steps - 1
    intervals = sorted({*range(0, AUTHORS.steps, REFRESH_EVERY), last})
    for side in (SIDE, LARGE):
        way = replace(AUTHORS, schedule_of=side)
        exact = experiment.pictures(way)
        falls = [_equal_falls(side, every) for every in (REFRESH_EVERY, AUTHORS.steps)]
        for steps in (intervals, *falls, [0, last]):
            found = psnr(distance_between(experiment.pictures(way, steps), exact))
            yield f"| {side}x{side} | {', '.join(str(step + 1) for step in steps)} | {found:.1f} |"


def _one_stale(experiment: RefreshExperiment) -> Iterator[str]:
    recipe = Way(str(FAST["solver"]), int(FAST["steps"]))
    converged = experiment.pictures(CONVERGED)
    authors = distance_between(experiment.pictures(AUTHORS), converged)
    yield f"| {recipe}, source reused at step | distance |"
    yield "| --- | --- |"
    for stale in (None, *range(1, recipe.steps)):
        steps = None if stale is None else [step for step in range(recipe.steps) if step != stale]
        found = distance_between(experiment.pictures(recipe, steps), converged) / authors
        yield f"| {'none' if stale is None else stale + 1} | {found:.2f} |"


def _equal_falls(side: int, every: int) -> list[int]:
    return Refreshes(every, relation_sigmas(AUTHORS.steps, (side // 16) ** 2).tolist()).steps()


if __name__ == "__main__":
    main()
