"""The pictures of learning: the curve of its loss, and a sheet of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.figure
from PIL import Image

from relation_core.pictures.loss_curve import smoothed
from relation_core.pictures.sample_sheet import SheetRow, sample_sheet
from relation_core.relation.pairs import Pair
from relation_core.weights.atomic import appearing


def draw_losses(losses: Sequence[float], checks: Sequence[tuple[int, float]], picture: Path) -> None:
    """Draw the loss of every step, a smooth one, and that of held-out pairs, into a ``.png``."""
    figure: Any = matplotlib.figure.Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    steps = range(1, len(losses) + 1)
    axes.plot(steps, losses, color="#c9c9d6", linewidth=0.8)
    axes.plot(steps, smoothed(losses), color="#3b4cc0", label="pairs that are learned from")
    if checks:
        axes.plot(*zip(*checks, strict=True), color="#b40426", marker=".", label="pairs that are held out")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_yscale("log")
    figure.legend(loc="outside upper center", ncols=2)
    with appearing(picture) as unfinished:
        figure.savefig(unfinished, format="png")


def draw_sheet(first: Pair, rows: Sequence[tuple[str, Pair, Image.Image]], picture: Path) -> None:
    """Draw A : A' :: B : B' beside the target.

    Args:
        first: the pair that stands for what was learned from.
        rows: a name, a pair, and the result for its picture before.
        picture: a ``.png``.
    """
    sheet: list[SheetRow] = [(name, (*first, before, result, after)) for name, (before, after), result in rows]
    with appearing(picture) as unfinished:
        sample_sheet(sheet).save(unfinished, format="png")
