"""The paper's figures (arXiv 2506.02528), for comparison."""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "RelationAdapter, arXiv 2506.02528"


@dataclass(frozen=True)
class Figure:
    """A published figure; the deviation is None where the paper gives none."""

    mean: float
    deviation: float | None = None


@dataclass(frozen=True)
class PublishedRow:
    """A row of a table of the paper."""

    name: str
    table: str
    tasks: int | None
    figures: dict[str, Figure]
    """By our name of the metric: GPT-C is ``consistency``, GPT-A is ``accuracy``."""


_METRICS = ("mse", "clip_i", "consistency", "accuracy")


def _row(name: str, table: str, tasks: int | None, *figures: float | tuple[float, float]) -> PublishedRow:
    made = [Figure(*figure) if isinstance(figure, tuple) else Figure(figure) for figure in figures]
    return PublishedRow(name, table, tasks, dict(zip(_METRICS, made, strict=True)))


OVERALL = (
    _row("seen tasks", "table 2", None, 0.044, 0.852, 4.079, 4.106),
    _row("unseen tasks", "table 2", None, 0.053, 0.812, 4.187, 4.173),
)
CATEGORIES = (
    _row("Low-Level", "table 3", 32, (0.028, 0.038), (0.885, 0.067), (3.943, 0.383), (3.822, 0.406)),
    _row("Style Transfer", "table 3", 84, (0.051, 0.032), (0.846, 0.036), (4.077, 0.198), (4.246, 0.285)),
    _row("Image Editing", "table 3", 63, (0.031, 0.023), (0.861, 0.055), (4.173, 0.229), (4.100, 0.400)),
    _row("Customized Generation", "table 3", 39, (0.065, 0.048), (0.816, 0.073), (4.071, 0.224), (4.064, 0.313)),
)
"""Mean and deviation over the tasks of a category: weighted with the numbers of tasks, they make table 2's."""

_OTHER_NAMES = {"lowlevelimageprocessing": "lowlevel", "imagestyletransfer": "styletransfer"}
"""Names of the categories in section 3.4."""


def published_category(name: str) -> PublishedRow | None:
    """Find the paper's row of a category by its name."""
    return next((row for row in CATEGORIES if _plain(row.name) == _plain(name)), None)


def _plain(name: str) -> str:
    letters = "".join(filter(str.isalnum, name.casefold()))
    return _OTHER_NAMES.get(letters, letters)
