"""How long a whole edit takes in three ways, side by side: ``python -m benchmarks.whole_edits``.

The authors' 24 Euler steps, the same with the source computed at every 4th step only, and the fast recipe, on a Flux of
FLUX.1-dev's width with few blocks; and what Watch Relation takes of a step. Minutes at 512 pixels, an hour at 1024.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from relation_core.flux.schedule import relation_sigmas
from relation_core.flux.source_reuse import REFRESH_EVERY
from relation_core.settings.bounds import LONG_SIDE
from relation_tools.commands.number_option import NumberOption
from relation_tools.diffusers_host.settings import FAST, EditSettings

from .comfyui import start_comfyui
from .machine import describe_machine
from .memory import KEEP_MEMORY, restarted_with
from .report import machine_line
from .sizes import BY_NAME, Sizes
from .step import StepModels

WAYS: dict[str, dict[str, Any]] = {
    "authors' steps": {},
    "source reused": {"refresh_every": REFRESH_EVERY},
    "fast recipe": dict(FAST),
}
BOUNDS = {
    (512, "source reused"): 1.35,
    (1024, "source reused"): 1.5,
    (512, "fast recipe"): 2.0,
    (1024, "fast recipe"): 2.3,
}
"""How many times as fast a way must be at least."""
WATCHED_STEPS = 4


def main() -> None:
    """Measure and print the tables."""
    restarted_with(KEEP_MEMORY, "benchmarks.whole_edits")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole_edits", description=__doc__)
    parser.add_argument("--sizes", choices=BY_NAME, default="full")
    parser.add_argument(
        "--dtype",
        choices=("bfloat16", "float32"),
        default="bfloat16",
        help="float32 where bfloat16 is slow (%(default)s)",
    )
    parser.add_argument("--sides", nargs="+", type=NumberOption(LONG_SIDE), default=[512, 1024], help="pixels")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="edits-") as folder:
        host = start_comfyui(Path(folder) / "comfyui")
        for line in measure(host, BY_NAME[options.sizes], getattr(torch, options.dtype), options.sides):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    sys.stdout.write(f"\n{machine_line(describe_machine(options.sizes, before))}\n")


def measure(host: Any, sizes: Sizes, dtype: torch.dtype, sides: list[int]) -> Any:
    """Measure each size of picture; give the lines of the tables."""
    models = StepModels(host, sizes, dtype)
    model = models.variants["1 pair"]
    yield "| picture | way | seconds | times as fast as the authors' steps | by processor time | at least |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for side in sides:
        models.step("1 pair", side)  # warms up
        plain = None
        for name, changes in WAYS.items():
            settings = EditSettings(**changes)
            reusing = host.node_classes["RelationSourceReuse"].execute(model, settings.refresh_every)[0]
            run, _ = models.sample(reusing, side, settings.solver, relation_sigmas(settings.steps, (side // 16) ** 2))
            plain = plain or run
            faster, by_processor = plain.seconds / run.seconds, plain.cpu_seconds / run.cpu_seconds
            bound = BOUNDS.get((side, name), "")
            yield f"| {side} | {name} | {run.seconds:.1f} | {faster:.2f} | {by_processor:.2f} | {bound} |"
    yield ""
    yield "| picture | share of a step that watching takes |"
    yield "| --- | --- |"
    for side in sides:
        yield f"| {side} | {100 * _watching(host, models, model, side):.2f} % |"


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


if __name__ == "__main__":
    main()
