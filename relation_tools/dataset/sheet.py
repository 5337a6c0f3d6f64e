"""A contact sheet of samples, for a person to judge a dataset by."""

from __future__ import annotations

import heapq
import textwrap
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from relation_core.errors import DatasetError, PictureError
from relation_core.pictures.contained import contained
from relation_core.pictures.opaque import WHITE
from relation_core.pictures.picture_file import read_picture
from relation_core.samples.samples import Sample, TaskTable, read_samples

LABELS = ("A", "A'", "B", "B' (target)")
SIGNS = (":", "::", ":")
_SIDE, _GAP, _MARGIN, _LINE = 192, 36, 24, 18
_INK, _QUIET = (30, 30, 36), (120, 120, 130)
_COLUMNS = 100
"""Letters in a line of text."""


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
    rows = [_row(folder, task, sample) for task, sample in samples]
    width = 2 * _MARGIN + 4 * _SIDE + 3 * _GAP
    sheet = Image.new("RGB", (width, 2 * _MARGIN + _LINE + sum(row.height for row in rows)), WHITE)
    draw = ImageDraw.Draw(sheet)
    for column, label in enumerate(LABELS):
        centre = _MARGIN + column * (_SIDE + _GAP) + _SIDE / 2
        draw.text((centre, _MARGIN - 4), label, _INK, ImageFont.load_default(size=14), anchor="ma")
    top = _MARGIN + _LINE
    for row in rows:
        sheet.paste(row, (_MARGIN, top))
        top += row.height
    return sheet


def _row(folder: Path, task: str, sample: Sample) -> Image.Image:
    lines = textwrap.wrap(sample.text, _COLUMNS, max_lines=3, placeholder=" ...") or [""]
    row = Image.new("RGB", (4 * _SIDE + 3 * _GAP, _SIDE + (len(lines) + 2) * _LINE + _GAP // 2), WHITE)
    draw = ImageDraw.Draw(row)
    sign, text = ImageFont.load_default(size=20), ImageFont.load_default(size=13)
    for column, name in enumerate(sample.pictures):
        small = contained(_open(folder / name), (_SIDE, _SIDE))
        left = column * (_SIDE + _GAP)
        row.paste(small, (left + (_SIDE - small.width) // 2, (_SIDE - small.height) // 2))
        if column < len(SIGNS):
            draw.text((left + _SIDE + _GAP / 2, _SIDE / 2), SIGNS[column], _INK, sign, anchor="mm")
    draw.text((0, _SIDE + 6), f"#{sample.index}  {task}", _QUIET, text)
    for number, line in enumerate(lines):
        draw.text((0, _SIDE + 6 + (number + 1) * _LINE), line, _INK, text)
    return row


def _open(path: Path) -> Image.Image:
    try:
        return read_picture(path)
    except PictureError as error:
        raise DatasetError(f"{error} `dataset validate` lists all of them.") from error
