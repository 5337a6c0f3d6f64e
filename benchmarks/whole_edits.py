"""How long a whole edit takes in three ways, side by side.

The authors' 24 Euler steps, the same with the source computed at every 4th step only, and the fast recipe, on a Flux of
FLUX.1-dev's width with few blocks; and what Watch Relation takes of a step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from relation_core.flux.refreshes import REFRESH_EVERY
from relation_core.flux.schedule import relation_sigmas
from relation_tools.diffusers_host.settings import FAST, EditSettings

from .sizes import Sizes
from .step import Run, StepModels, summary

AUTHORS, REUSED, RECIPE = "authors' steps", "source reused", "fast recipe"
WAYS: dict[str, dict[str, Any]] = {AUTHORS: {}, REUSED: {"refresh_every": REFRESH_EVERY}, RECIPE: dict(FAST)}
AT_LEAST = {(512, REUSED): 1.35, (1024, REUSED): 1.5, (512, RECIPE): 2.0, (1024, RECIPE): 2.3}
"""How many times as fast as the authors' steps, by the picture's side and the way."""
WATCHED_STEPS = 4


def measure_edits(host: Any, sizes: Sizes, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Edit a picture of each size in each way, with one pair, in the last of the dtypes; one table row each.

    The ways take turns, forwards and backwards: a machine's speed drifts.
    """
    dtype = sizes.dtypes[-1]
    models = StepModels(host, sizes, getattr(torch, dtype))
    model = models.variants["1 pair"]
    rows: list[dict[str, Any]] = []
    for side, rounds in sizes.edits.items():
        models.step("1 pair", side)  # warms up
        runs: dict[str, list[Run]] = {name: [] for name in WAYS}
        for number in range(rounds):
            for name in list(WAYS)[:: 1 if number % 2 == 0 else -1]:
                runs[name].append(_edit(host, models, model, side, EditSettings(**WAYS[name])))
                say(f"edit of {side}x{side}, {name}: {runs[name][-1].seconds:.1f} s")
        for name in WAYS:
            pairs = list(zip(runs[name], runs[AUTHORS], strict=True))
            rows.append({"dtype": dtype, "side": side, "way": name, **summary(pairs)})
        rows[-len(WAYS)]["watching"] = _watching(host, models, model, side)
    return rows


def _edit(host: Any, models: StepModels, model: Any, side: int, settings: EditSettings) -> Run:
    reusing = host.node_classes["RelationSourceReuse"].execute(model, settings.refresh_every)[0]
    return models.sample(reusing, side, settings.solver, relation_sigmas(settings.steps, (side // 16) ** 2))[0]


def _watching(host: Any, models: StepModels, model: Any, side: int) -> float:
    """The time inside what watching adds, over the rest of the run."""
    watched = host.node_classes["RelationWatch"].execute(model)[0]
    forward = host.module("nodes.watch").WatchedForward
    recorder, clock = host.module("relation_core.watching.shares").ShareRecorder, [0.0]

    def timed(call: Any) -> Any:
        def run(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            result = call(*arguments, **named)
            clock[0] += time.perf_counter() - start
            return result

        return run

    note, add = forward.note, recorder.add
    forward.note, recorder.add = timed(note), timed(add)
    try:
        run, _ = models.sample(watched, side, "euler", relation_sigmas(WATCHED_STEPS, (side // 16) ** 2))
    finally:
        forward.note, recorder.add = note, add
    return clock[0] / (run.seconds - clock[0])
