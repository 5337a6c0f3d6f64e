"""The curve of a run as a picture."""

from __future__ import annotations

from pathlib import Path

from relation_core.pictures.loss_curve import smoothed

from ..curve_figure import SECOND, SINGLE, SMOOTH, CurveFigure
from .curve import read_curve


def draw_curve(curve: Path, picture: Path) -> None:
    """Draw the loss, each row's and a smooth one, and the accuracy where it was measured, over the steps.

    Args:
        curve: the CSV file.
        picture: a ``.png``.
    """
    rows = read_curve(curve)
    figure = CurveFigure()
    steps, losses = _split(_column(rows, "loss"))
    figure.axes.plot(steps, losses, color=SINGLE, linewidth=0.8)
    figure.axes.plot(steps, smoothed(losses), color=SMOOTH, label="loss")
    accuracies = _column(rows, "accuracy")
    if accuracies:
        beside = figure.axes.twinx()
        beside.plot(*_split(accuracies), color=SECOND, marker=".", label="accuracy")
        beside.set_ylabel("accuracy")
        beside.set_ylim(0, 1)
    figure.write(picture)


def _column(rows: list[dict[str, str]], name: str) -> list[tuple[float, float]]:
    return [(float(row["step"]), float(row[name])) for row in rows if row[name]]


def _split(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [step for step, _ in points], [value for _, value in points]
