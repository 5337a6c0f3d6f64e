"""A contact sheet of samples, for a person to judge a dataset by."""

from __future__ import annotations

import heapq
import textwrap
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from PIL import Image

from relation_core.errors import DatasetError, PictureError
from relation_core.pictures.comparison import SIGNS
from relation_core.pictures.layout import Look, Tile, TileRow, lay_out
from relation_core.pictures.picture_file import read_picture
from relation_core.samples.samples import Sample, TaskTable, read_samples

LABELS = ("A", "A'", "B", "B' (target)")
_LOOK = Look(cell=(192, 192), gap=36, margin=24, font=13, line=18, signs=SIGNS)
_LETTERS = 100
"""In a line of text."""


def choose_samples(file: Path, count: int, seed: int, task: str | None = None) -> list[tuple[str, Sample]]:
    """Draw samples at random, but the same ones each time, with the names of their tasks; sorted as in the file.

    Raises:
        DatasetError: the file is broken, or has no samples (of this task).
    """
    tasks = TaskTable(file)
    named = ((tasks.task(sample).name, sample) for sample in read_samples(file))
    chosen = heapq.nsmallest(
        count,
        (pair for pair in named if task in (None, pair[0])),
        key=lambda pair: blake2b(f"{seed} {pair[1].index}".encode(), digest_size=16).digest(),
    )
    if not chosen:
        raise DatasetError(
            f"'{file}' has no samples" + (f" of the task '{task}'. `dataset stats` lists the tasks." if task else ".")
        )
    return sorted(chosen, key=lambda pair: pair[1].index)


def draw_sheet(folder: Path, samples: Sequence[tuple[str, Sample]]) -> Image.Image:
    """Draw samples below each other, A : A' :: B : B', each with its task and instruction.

    Raises:
        DatasetError: a picture cannot be read.
    """
    rows = [_row(folder, task, sample, LABELS if place == 0 else None) for place, (task, sample) in enumerate(samples)]
    return lay_out(rows, _LOOK)


def _row(folder: Path, task: str, sample: Sample, labels: Sequence[str] | None) -> TileRow:
    lines = textwrap.wrap(sample.text, _LETTERS, max_lines=3, placeholder=" ...") or [""]
    pictures = [_open(folder / name) for name in sample.pictures]
    tiles = [Tile(*pair) for pair in zip(pictures, labels or [""] * len(pictures), strict=True)]
    return TileRow(tiles, [f"#{sample.index}  {task}", *lines])


def _open(path: Path) -> Image.Image:
    try:
        return read_picture(path)
    except PictureError as error:
        raise DatasetError(f"{error} `dataset validate` lists all of them.") from error
