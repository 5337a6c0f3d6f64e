"""A sheet of samples: what the model makes of test samples while it is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..opaque import WHITE
from ..pictures import to_pil
from .accuracy import Edit, Question
from .picture_cache import PictureCache

LABELS = ("A", "A'", "B", "B'", "target")
_SIDE, _GAP, _LINE = 128, 10, 18
_INK = (30, 30, 36)


def one_of_each_task(questions: Sequence[Question], count: int) -> list[Question]:
    """The first question of every task, at most ``count``, sorted by task."""
    first: dict[str, Question] = {}
    for question in questions:
        first.setdefault(question.task, question)
    return [first[task] for task in sorted(first)][:count]


def draw_results(questions: Sequence[Question], cache: PictureCache, edit: Edit) -> Image.Image:
    """Draw a row for each question: exemplars, source, the model's result, and the true target."""
    row = _SIDE + _LINE + _GAP
    sheet = Image.new("RGB", (_GAP + len(LABELS) * (_SIDE + _GAP), _LINE + _GAP + row * len(questions)), WHITE)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for column, label in enumerate(LABELS):
        draw.text((_GAP + column * (_SIDE + _GAP) + _SIDE / 2, _GAP / 2), label, _INK, font, anchor="ma")
    for number, question in enumerate(questions):
        result = edit([question], cache.latents(np.array([question.source])))[0]
        shown = [cache.picture(index) for index in (*question.exemplar, question.source, question.target)]
        shown.insert(3, _picture(result))
        top = _LINE + _GAP + number * row
        for column, picture in enumerate(shown):
            sheet.paste(_enlarged(picture), (_GAP + column * (_SIDE + _GAP), top))
        draw.text((_GAP, top + _SIDE + 1), question.task, _INK, font)
    return sheet


def _picture(result: torch.Tensor) -> Image.Image:
    return to_pil(result[None])[0]


def _enlarged(picture: Image.Image) -> Image.Image:
    scale = _SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)
