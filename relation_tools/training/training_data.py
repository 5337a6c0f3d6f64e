"""Batches of a run-ready dataset, drawn by a step's own random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from relation_core.errors import DatasetError
from relation_core.samples.samples import Sample, TaskTable, read_samples

from .picture_cache import PictureCache


def labelled_samples(file: Path) -> tuple[list[Sample], list[str]]:
    """Read a run-ready file: its samples, and the name of each one's task."""
    table, samples = TaskTable(file), list(read_samples(file))
    return samples, [table.task(sample).name for sample in samples]


@dataclass(frozen=True)
class Batch:
    """Samples of one size."""

    pooled: torch.Tensor
    """(B, 2, vision_dim), of the exemplars before and after."""
    source: torch.Tensor
    """(B, 16, height, width), latents."""
    target: torch.Tensor
    """Likewise."""
    texts: tuple[str, ...]


class TrainingData:
    """Samples, as rows of a cache.

    Args:
        samples: of a run-ready file.
        tasks: the name of each sample's task.
        cache: holds their pictures.
        exemplars: the sample's own exemplar, or any other pair of the same task, drawn anew each time.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        tasks: Sequence[str],
        cache: PictureCache,
        exemplars: Literal["sample", "task"] = "sample",
    ) -> None:
        self._cache = cache
        self._exemplars = exemplars
        self._texts = [sample.text for sample in samples]
        rows = [[cache.rows[name] for name in sample.pictures] for sample in samples]
        self._rows = np.array(rows).reshape(-1, 4)  # exemplar before and after, source, target
        sizes = cache.sizes(self._rows[:, 3])
        usable = np.flatnonzero(sizes == cache.sizes(self._rows[:, 2]))
        if not len(usable):
            raise DatasetError("The dataset has no sample to train on whose source and target are of one size.")
        self._by_size = [usable[sizes[usable] == size] for size in np.unique(sizes[usable])]
        self._task = list(tasks)
        self._of_task = _task_pairs(self._rows, tasks)
        alone = [task for task, pairs in self._of_task.items() if len(pairs) < 2]
        if exemplars == "task" and alone:
            raise DatasetError(
                f"In the dataset, the task '{alone[0]}' has one pair; expected another one as its exemplar. Give it "
                "more pictures, or let samples keep their own exemplars (data.exemplars)."
            )

    def draw(self, count: int, generator: torch.Generator) -> Batch:
        """Draw samples of one size, with replacement; every sample is as likely as any other."""
        weights = torch.tensor([float(len(indices)) for indices in self._by_size])
        indices = self._by_size[int(torch.multinomial(weights, 1, generator=generator))]
        chosen = indices[torch.randint(len(indices), (count,), generator=generator).numpy()]
        rows = self._rows[chosen]
        exemplars = rows[:, :2]
        if self._exemplars == "task":
            exemplars = self._other_pairs(chosen, generator)
        return Batch(
            pooled=self._cache.pooled(exemplars),
            source=self._cache.latents(rows[:, 2]),
            target=self._cache.latents(rows[:, 3]),
            texts=tuple(self._texts[int(index)] for index in chosen),
        )

    def _other_pairs(self, chosen: np.ndarray, generator: torch.Generator) -> np.ndarray:
        """For each sample another pair of its task."""
        numbers = torch.rand(len(chosen), generator=generator, dtype=torch.float64).numpy()
        drawn: list[np.ndarray] = []
        for index, number in zip(chosen, numbers, strict=True):
            pairs, own = self._of_task[self._task[index]], self._rows[index, 2:]
            others = pairs[(pairs != own).any(axis=1)]
            drawn.append(others[int(number * len(others))])
        return np.stack(drawn)


def _task_pairs(rows: np.ndarray, tasks: Sequence[str]) -> dict[str, np.ndarray]:
    """The different pairs of every task (pairs, 2)."""
    names = np.array(tasks)
    found: dict[str, np.ndarray] = {}
    for name in sorted(set(tasks)):
        own = rows[names == name]
        found[name] = np.unique(np.concatenate((own[:, :2], own[:, 2:])), axis=0)
    return found
