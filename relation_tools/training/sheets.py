"""A sheet of samples: what the model makes of test samples while it is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from relation_core.pictures.sample_sheet import SheetRow, sample_sheet
from relation_core.pictures.tensors import preview_pil

from .accuracy import Edit, Question
from .picture_cache import PictureCache


def one_of_each_task(questions: Sequence[Question], count: int) -> list[Question]:
    """The first question of every task, at most ``count``, sorted by task."""
    first: dict[str, Question] = {}
    for question in questions:
        first.setdefault(question.task, question)
    return [first[task] for task in sorted(first)][:count]


def draw_results(questions: Sequence[Question], cache: PictureCache, edit: Edit) -> Image.Image:
    """Draw a row for each question: exemplars, source, the model's result, and the true target."""
    rows: list[SheetRow] = []
    for question in questions:
        result = edit([question], cache.latents(np.array([question.source])))
        before, after, source, target = map(cache.picture, (*question.exemplar, question.source, question.target))
        rows.append((question.task, (before, after, source, preview_pil(result)[0], target)))
    return sample_sheet(rows)
