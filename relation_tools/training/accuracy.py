"""Accuracy: whether an edited picture is nearer to its own target than to every other candidate."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch

from relation_core.errors import DatasetError
from relation_core.flux.source import resize_source
from relation_core.pictures.tensors import from_pil
from relation_core.samples.samples import Sample

from .picture_cache import PictureCache

_BATCH = 64


@dataclass(frozen=True)
class Question:
    """One sample, and what else its result could be."""

    task: str
    exemplar: tuple[int, int]
    """Rows of the exemplar before and after."""
    wrong: tuple[int, int]
    """Rows of an exemplar of another task."""
    source: int
    target: int
    others: tuple[int, ...]
    """Rows of the targets that other relations have for this source."""
    text: str = ""


@dataclass(frozen=True)
class Accuracy:
    """Answers to questions."""

    asked: dict[str, int]
    """Questions of every task."""
    right: dict[str, int]
    chance: float
    """Expected share of right answers by guessing."""

    @property
    def share(self) -> float:
        """Share of questions answered right."""
        return sum(self.right.values()) / sum(self.asked.values())


Edit = Callable[[Sequence[Question], torch.Tensor], torch.Tensor]
"""Gives the pictures (B, height, width, 3) of some questions, from their sources' latents (B, 16, rows, columns)."""


def make_questions(
    samples: Sequence[Sample],
    tasks: Sequence[str],
    cache: PictureCache,
    count: int,
    seed: int,
    of_tasks: Collection[str] = (),
) -> list[Question]:
    """Draw samples, the same ones each time, and find what other relations make of their sources.

    Args:
        samples: of a run-ready file.
        tasks: of each sample.
        cache: holds their pictures.
        count: most questions.
        seed: of the drawing.
        of_tasks: ask of these tasks only; empty for all.

    Raises:
        DatasetError: nothing can be asked, or a source has one relation only, so that its target cannot be mistaken.
    """
    made: dict[int, dict[str, int]] = {}
    for sample, task in zip(samples, tasks, strict=True):
        for before, after in (sample.pictures[:2], sample.pictures[2:]):
            made.setdefault(cache.rows[before], {})[task] = cache.rows[after]
    order = sorted(range(len(samples)), key=lambda i: blake2b(f"{seed} {samples[i].index}".encode()).digest())
    asked = [index for index in order if not of_tasks or tasks[index] in of_tasks][:count]
    if not asked:
        known = ", ".join(sorted(set(tasks)))
        raise DatasetError(f"There are no samples of the tasks {', '.join(of_tasks)}. The dataset has: {known}.")
    questions: list[Question] = []
    for place, index in enumerate(asked):
        before, after, source, target = (cache.rows[name] for name in samples[index].pictures)
        others = tuple(row for task, row in made[source].items() if task != tasks[index])
        if not others:
            raise DatasetError(
                f"'{samples[index].source}' stands under one task only, so nothing can be mistaken for its target. "
                "Give a file in which every source has a target of several relations."
            )
        wrong = next(other for other in order[place:] + order if tasks[other] != tasks[index])
        pair = tuple(cache.rows[name] for name in samples[wrong].pictures[:2])
        questions.append(
            Question(tasks[index], (before, after), (pair[0], pair[1]), source, target, others, samples[index].text)
        )
    return questions


def measure(questions: Sequence[Question], cache: PictureCache, edit: Edit) -> Accuracy:
    """Edit every source, and count the results that are nearest, by mean squared error, to the true target."""
    asked: dict[str, int] = {}
    right: dict[str, int] = {}
    for start in range(0, len(questions), _BATCH):
        part = questions[start : start + _BATCH]
        results = edit(part, cache.latents(np.array([question.source for question in part])))
        for question, result in zip(part, results, strict=True):
            asked[question.task] = asked.get(question.task, 0) + 1
            right[question.task] = right.get(question.task, 0) + is_right(question, result, cache)
    chance = sum(1 / (2 + len(question.others)) for question in questions) / len(questions)
    return Accuracy(asked, right, chance)


def is_right(question: Question, result: torch.Tensor, cache: PictureCache) -> bool:
    """Whether a result (height, width, 3) is nearer to its target than to other relations' targets and the source."""
    size = (result.shape[1], result.shape[0])

    def error(row: int) -> float:
        picture = resize_source(from_pil(cache.picture(row)), size)[0]
        return float((picture - result).square().mean())

    true = error(question.target)
    return all(true < error(row) for row in (*question.others, question.source))
