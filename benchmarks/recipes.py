"""How far fast ways to sample are from exact ones, with the small model: ``python -m benchmarks.recipes``.

Every named edit that the model was trained on is sampled with the same noise in every way. The first table is of the
authors' way, 24 Euler steps, with the source reused: PSNR to the same steps with the source computed at each, and the
share of results that are right (:mod:`.landscape_edits`). The second is of faster ways. A way's distance is the root of
the mean squared error of its decoded pictures to the converged ones, 128 Euler steps with the source computed at each.
It is shown as PSNR, and as a multiple of the authors' distance. The chart sets these against speed (:mod:`.speed`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import log10
from pathlib import Path

import torch

from relation_core.settings.bounds import COUNT, SAMPLING_STEPS
from relation_tools.commands.number_option import NumberOption

from .small_edits import SmallEdits
from .small_model import SmallModel, Way
from .speed import Distance, draw_speed, times_as_fast

CONVERGED, AUTHORS = Way("euler", 128), Way("euler", 24)
REUSED = tuple(Way(AUTHORS.sampler, AUTHORS.steps, every) for every in (2, 4, 8))
SAMPLERS = ("euler", "dpmpp_2m", "res_multistep", "heun")
STEPS = (12, 10, 8)
REFRESHES = (1, 2, 3)


def main() -> None:
    """Print the tables, and draw the chart."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=("reuse", "ways"), default=("reuse", "ways"))
    parser.add_argument("--samplers", nargs="+", default=SAMPLERS, help="names that ComfyUI knows")
    parser.add_argument("--steps", nargs="+", type=NumberOption(SAMPLING_STEPS), default=STEPS)
    parser.add_argument("--judged", type=NumberOption(COUNT), default=4, help="sources an edit, reused (%(default)s)")
    parser.add_argument("--sources", type=NumberOption(COUNT), default=1, help="sources an edit, ways (%(default)s)")
    parser.add_argument("--chart", type=Path, default=Path("build/bench/speed.png"), help="where to draw it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recipes-") as folder:
        small = SmallModel(Path(folder) / "comfyui")
        if "reuse" in options.tables:
            print_table(_reuse(small, options.judged))
        if "ways" in options.tables:
            ways = [
                Way(sampler, steps, every)
                for sampler in options.samplers
                for steps in options.steps
                for every in REFRESHES
            ]
            distances = _distances(SmallEdits(small, options.sources), ways)
            print_table(_ways(distances, ways))
            options.chart.parent.mkdir(parents=True, exist_ok=True)
            draw_speed(distances, options.chart)


def _reuse(small: SmallModel, sources: int) -> Iterator[str]:
    edits = SmallEdits(small, sources)
    exact, *found = (edits.pictures(way) for way in (AUTHORS, *REUSED, replace(REUSED[1], reuse_8bit=True)))
    names = [f"at 1 step in {way.refresh_every}" for way in REUSED]
    names.append(f"{names[1]}, kept in 8 bits")
    right = edits.right(exact, *found)
    yield f"{len(exact)} pictures"
    yield ""
    yield "| source computed | PSNR to the exact edit, dB | edits right |"
    yield "| --- | --- | --- |"
    yield f"| at each step |  | {right[0]:.3f} |"
    for name, pictures, share in zip(names, found, right[1:], strict=True):
        yield f"| {name} | {psnr(distance_between(pictures, exact)):.2f} | {share:.3f} |"


def _distances(edits: SmallEdits, ways: Sequence[Way]) -> list[Distance]:
    """Of these ways and of the authors', which is the first and whose is 1; with the source reused, too."""
    converged = edits.pictures(CONVERGED)
    found = {way: distance_between(edits.pictures(way), converged) for way in dict.fromkeys((AUTHORS, *REUSED, *ways))}
    return [Distance(way, distance, distance / found[AUTHORS]) for way, distance in found.items()]


def _ways(distances: Sequence[Distance], ways: Sequence[Way]) -> Iterator[str]:
    samplers, known = dict.fromkeys(way.sampler for way in ways), {one.way: one for one in distances}
    yield "PSNR to the converged edit in dB, in parentheses the distance as a multiple of the authors'"
    yield ""
    yield f"| steps | {' | '.join(samplers)} |"
    yield f"| --- |{' --- |' * len(samplers)}"
    for steps, every in dict.fromkeys((way.steps, way.refresh_every) for way in ways):
        shown = [known[Way(sampler, steps, every)] for sampler in samplers]
        cells = " | ".join(f"{psnr(one.distance):.1f} ({one.relative:.2f})" for one in shown)
        yield f"| {str(Way('', steps, every)).removeprefix(', ')} | {cells} |"
    yield ""
    yield "| way | times as fast | PSNR to the converged edit, dB | distance |"
    yield "| --- | --- | --- | --- |"
    for one in distances:
        if one.way in (AUTHORS, *REUSED):
            yield f"| {one.way} | {times_as_fast(one.way):.2f} | {psnr(one.distance):.1f} | {one.relative:.2f} |"


def psnr(distance: float) -> float:
    """The peak signal-to-noise ratio in dB of pictures in [0, 1] at a distance."""
    return -20 * log10(distance)


def distance_between(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The root of the mean squared error."""
    return float((found - expected).square().mean().sqrt())


def print_table(lines: Iterator[str]) -> None:
    """Print lines as they come."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
