"""How fast ways to sample are by arithmetic, and a chart of that against their distance to the converged edit.

Nearly all of a step's arithmetic belongs to the tokens that it computes, all of which attend to all tokens. So a step
that reuses its source takes as much of a full one as it has of its tokens: at 512 pixels (512 + 1024) of
(512 + 2 x 1024), text, target and source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relation_core.flux.refreshes import Refreshes
from relation_core.flux.schedule import relation_sigmas

from .small_model import Way

SIDE = 512
"""Pixels of the pictures that the chart is about."""
_TEXT = 512
"""Tokens of FLUX.1's prompt."""
_AUTHORS_CALLS = 24


@dataclass(frozen=True)
class Distance:
    """How far a way's pictures are from the converged ones."""

    way: Way
    distance: float
    """Root of the mean squared error."""
    relative: float
    """The same, as a multiple of the authors' way's."""


def reused_share(side: int) -> float:
    """The share of a full step's arithmetic that a step with a reused source takes."""
    picture = (side // 16) ** 2
    return (_TEXT + picture) / (_TEXT + 2 * picture)


def times_as_fast(way: Way, side: int = SIDE) -> float:
    """How many times as fast a way is as the authors' 24 steps, counted in steps."""
    calls = 2 * way.steps - 1 if way.sampler == "heun" else way.steps  # its second call ends at the next noise level
    full = calls
    if way.refresh_every > 1:
        schedule = relation_sigmas(way.steps, (side // 16) ** 2).tolist()
        full = len(Refreshes(way.refresh_every, schedule).steps())
    return _AUTHORS_CALLS / (full + reused_share(side) * (calls - full))


def draw_speed(distances: Sequence[Distance], path: Path) -> None:
    """Draw speed against distance, a line for every sampler, with the source computed at each step and reused."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(11, 5), layout="constrained")
    lines: dict[str, list[Distance]] = {}
    for one in sorted(distances, key=lambda one: times_as_fast(one.way)):
        lines.setdefault(_line_of(one.way), []).append(one)
    colours = {
        sampler: f"C{place}" for place, sampler in enumerate(dict.fromkeys(one.way.sampler for one in distances))
    }
    for label, some in lines.items():
        fast, reused = [times_as_fast(one.way) for one in some], some[0].way.refresh_every > 1
        style, colour = "s--" if reused else "o-", colours[some[0].way.sampler]
        axis.plot(fast, [one.relative for one in some], style, color=colour, label=label, alpha=0.8)
        for one, at in zip(some, fast, strict=True):
            every = f"/{one.way.refresh_every}" if reused else ""
            axis.annotate(f"{one.way.steps}{every}", (at, one.relative), (3, 4), textcoords="offset points", fontsize=7)
    axis.axhline(1.5, color="grey", linewidth=1)
    axis.set(
        title="Speed against distance (steps, / steps for each computation of the source)",
        xlabel=f"times as fast as 24 Euler steps, by arithmetic at {SIDE} pixels",
        ylabel="distance to the converged edit, 24 Euler steps = 1",
    )
    axis.grid(alpha=0.3)
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_formatter("{x:g}")
    figure.legend(loc="outside right center", fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _line_of(way: Way) -> str:
    """Names the line of the chart that a way is on: of one number of steps, or of one interval."""
    if way.refresh_every == 1:
        return way.sampler
    fixed = f"{way.steps} steps" if way.steps == _AUTHORS_CALLS else f"1 in {way.refresh_every}"
    return f"{way.sampler}, source reused, {fixed}"
