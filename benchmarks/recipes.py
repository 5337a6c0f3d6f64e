"""How far fast ways to sample are from exact ones, with the model of drawn scenes: ``python -m benchmarks.recipes``.

Every edit of that model is sampled with the same noise in every way. The first table is of the authors' way, 24
Euler steps, with the source reused: PSNR to the same steps with the source computed at each, and the share of results
that are right (:mod:`.edits_to_learn`). The second is of faster ways. A way's distance is the root of the mean squared
error of its decoded pictures to the converged ones, 128 Euler steps with the source computed at each. It is shown as
PSNR, and as a multiple of the authors' distance.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain
from math import log10
from pathlib import Path

import torch

from relation_core.settings.bounds import SAMPLING_STEPS
from relation_tools.commands.number_option import NumberOption

from .small_edits import SmallEdits, Way

CONVERGED, AUTHORS = Way("euler", 128), Way("euler", 24)
SAMPLERS = ("euler", "dpmpp_2m", "uni_pc", "res_multistep", "heun")
STEPS = (24, 16, 13, 10, 7)
REFRESHES = (1, 3)
"""The last step is refreshed, too, where it is a multiple of this behind the first: after 16, 13, 10 and 7 steps."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("--samplers", nargs="+", default=SAMPLERS, help="names that ComfyUI knows")
    parser.add_argument("--steps", nargs="+", type=NumberOption(SAMPLING_STEPS), default=STEPS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recipes-") as folder:
        edits = SmallEdits(Path(folder) / "comfyui")
        for line in chain(_reuse(edits), [""], _ways(edits, options.samplers, options.steps)):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


def _reuse(edits: SmallEdits) -> Iterator[str]:
    exact = edits.pictures(AUTHORS)
    yield "| source computed | PSNR to the exact edit, dB | edits right |"
    yield "| --- | --- | --- |"
    yield f"| at each step |  | {edits.right(exact):.3f} |"
    for every in (2, 4, 8, AUTHORS.steps):
        found = edits.pictures(Way(AUTHORS.sampler, AUTHORS.steps, every))
        yield f"| every {every} steps | {_psnr(_distance(found, exact)):.1f} | {edits.right(found):.3f} |"


def _ways(edits: SmallEdits, samplers: Sequence[str], counts: Sequence[int]) -> Iterator[str]:
    converged = edits.pictures(CONVERGED)
    authors = _distance(edits.pictures(AUTHORS), converged)
    yield "| way | PSNR to the converged edit, dB | distance, authors' = 1 |"
    yield "| --- | --- | --- |"
    for sampler in samplers:
        for steps in counts:
            for every in REFRESHES:
                way = Way(sampler, steps, every)
                distance = _distance(edits.pictures(way), converged)
                yield f"| {way} | {_psnr(distance):.1f} | {distance / authors:.2f} |"


def _psnr(distance: float) -> float:
    return -20 * log10(distance)


def _distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).square().mean().sqrt())


if __name__ == "__main__":
    main()
