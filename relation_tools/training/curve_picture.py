"""The curve of a run as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.figure
from matplotlib.ticker import LogFormatter

from relation_core.pictures.loss_curve import smoothed
from relation_core.weights.atomic import appearing

from .curve import read_curve

_FRAME = (0.1, 0.12, 0.8, 0.78)
"""Left, bottom, width and height in the picture. To find them from the labels takes longer than all the drawing."""


def draw_curve(curve: Path, picture: Path) -> None:
    """Draw the loss, each row's and a smooth one, and the accuracy where it was measured, over the steps.

    Args:
        curve: the CSV file.
        picture: a ``.png``.
    """
    rows = read_curve(curve)
    losses = _column(rows, "loss")
    figure: Any = matplotlib.figure.Figure(figsize=(8, 4.5), dpi=120)
    axes = figure.add_axes(_FRAME)
    steps, values = _split(losses)
    axes.plot(steps, values, color="#c9c9d6", linewidth=0.8)
    axes.plot(steps, smoothed(values), color="#3b4cc0", label="loss")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(LogFormatter())
    axes.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1, 0.4)))
    accuracies = _column(rows, "accuracy")
    if accuracies:
        beside = axes.twinx()
        beside.plot(*_split(accuracies), color="#b40426", marker=".", label="accuracy")
        beside.set_ylabel("accuracy")
        beside.set_ylim(0, 1)
    figure.legend(loc="upper center", ncols=2)
    with appearing(picture) as unfinished:
        figure.savefig(unfinished, format="png")


def _column(rows: list[dict[str, str]], name: str) -> list[tuple[float, float]]:
    return [(float(row["step"]), float(row[name])) for row in rows if row[name]]


def _split(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [step for step, _ in points], [value for _, value in points]
