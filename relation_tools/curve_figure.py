"""The figure in which losses are drawn over steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.figure
from matplotlib.ticker import LogFormatter

from relation_core.weights.atomic import appearing

SINGLE, SMOOTH, SECOND = "#c9c9d6", "#3b4cc0", "#b40426"
"""Colours of single losses, of their smooth line, and of what is drawn beside them."""
_FRAME = (0.1, 0.12, 0.8, 0.78)
"""Left, bottom, width and height. To find them from the labels takes longer than to draw all the rest."""


class CurveFigure:
    """Axes of the loss, on a logarithmic scale, over the steps.

    Attributes:
        axes: matplotlib's.
    """

    def __init__(self) -> None:
        self._figure: Any = matplotlib.figure.Figure(figsize=(8, 4.5), dpi=120)
        self.axes: Any = self._figure.add_axes(_FRAME)
        self.axes.set_xlabel("step")
        self.axes.set_ylabel("loss")
        self.axes.set_yscale("log")
        self.axes.yaxis.set_major_formatter(LogFormatter())
        self.axes.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1, 0.4)))

    def write(self, picture: Path) -> None:
        """Write the figure with a legend above the axes, as a ``.png``."""
        self._figure.legend(loc="upper center", ncols=2)
        with appearing(picture) as unfinished:
            self._figure.savefig(unfinished, format="png")
