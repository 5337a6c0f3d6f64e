"""The pictures of learning: the curve of its loss, and a sheet of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from relation_core.pictures.loss_curve import smoothed
from relation_core.pictures.sample_sheet import SheetRow, sample_sheet
from relation_core.relation.pairs import Pair
from relation_core.weights.atomic import appearing

from ..curve_figure import SECOND, SINGLE, SMOOTH, CurveFigure


def draw_losses(losses: Sequence[float], checks: Sequence[tuple[int, float]], picture: Path) -> None:
    """Draw the loss of every step, a smooth one, and that of held-out pairs, into a ``.png``."""
    figure, steps = CurveFigure(), range(1, len(losses) + 1)
    figure.axes.plot(steps, losses, color=SINGLE, linewidth=0.8)
    figure.axes.plot(steps, smoothed(losses), color=SMOOTH, label="pairs that are learned from")
    if checks:
        figure.axes.plot(*zip(*checks, strict=True), color=SECOND, marker=".", label="pairs that are held out")
    figure.write(picture)


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
