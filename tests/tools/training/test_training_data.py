"""What a step is drawn from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from relation_core.errors import DatasetError
from relation_core.randomness import generator_of
from relation_core.samples.samples import Sample
from relation_tools.training.training_data import TrainingData


class FakeCache:
    """Rows whose latents and features are their own number; rows from ``wide`` on have another size."""

    def __init__(self, names: list[str], wide: int = 10**6) -> None:
        self.rows = {name: row for row, name in enumerate(names)}
        self._wide = wide

    def sizes(self, rows: np.ndarray) -> np.ndarray:
        return (rows >= self._wide).astype(int)

    def latents(self, rows: np.ndarray) -> torch.Tensor:
        assert len(set(self.sizes(rows).tolist())) == 1
        return torch.from_numpy(rows).float()

    def pooled(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(rows).float()


def dataset(tasks: int, pairs: int) -> tuple[list[Sample], list[str], list[str]]:
    """Every pair of a task is the exemplar of the next one."""
    names = [f"{task}/{pair}{half}" for task in range(tasks) for pair in range(pairs) for half in "ab"]
    samples, of = [], []
    for task in range(tasks):
        for pair in range(pairs):
            pictures = [f"{task}/{number % pairs}{half}" for number in (pair, pair + 1) for half in "ab"]
            samples.append(Sample(len(samples), *pictures, f"text {task}"))
            of.append(str(task))
    return samples, of, names


def test_samples_are_the_files_and_each_is_as_likely() -> None:
    samples, tasks, names = dataset(3, 4)
    data = TrainingData(samples, tasks, FakeCache(names))  # type: ignore[arg-type]
    batch = data.draw(6000, generator_of(0))
    drawn = list(
        zip(*batch.pooled.int().T.tolist(), batch.source.int().tolist(), batch.target.int().tolist(), strict=True)
    )
    rows = {name: row for row, name in enumerate(names)}
    expected = {tuple(rows[name] for name in sample.pictures): sample.text for sample in samples}
    assert set(drawn) == set(expected)
    assert all(expected[rows] == text for rows, text in zip(drawn, batch.texts, strict=True))
    counts = [drawn.count(rows) for rows in expected]
    assert min(counts) > 400 and max(counts) < 600


def test_the_same_random_numbers_draw_the_same() -> None:
    samples, tasks, names = dataset(3, 4)
    data = TrainingData(samples, tasks, FakeCache(names), "task")  # type: ignore[arg-type]
    first, again, other = (data.draw(50, generator_of(0, step)) for step in (4, 4, 5))
    assert torch.equal(first.pooled, again.pooled) and torch.equal(first.target, again.target)
    assert not torch.equal(first.target, other.target)


def test_exemplars_of_the_task_are_any_but_the_samples_own_pair() -> None:
    samples, tasks, names = dataset(2, 5)
    data = TrainingData(samples, tasks, FakeCache(names), "task")  # type: ignore[arg-type]
    batch = data.draw(3000, generator_of(1))
    seen: dict[int, set[int]] = {}
    for (before, after), target in zip(batch.pooled.int().tolist(), batch.target.int().tolist(), strict=True):
        assert after == before + 1
        assert after // 10 == target // 10, "of the same task"
        seen.setdefault(target, set()).add(after)
    for target, exemplars in seen.items():
        first = target // 10 * 10
        assert exemplars == {first + 2 * pair + 1 for pair in range(5)} - {target}


def test_batches_have_one_size() -> None:
    samples, tasks, names = dataset(2, 4)
    data = TrainingData(samples, tasks, FakeCache(names, wide=8))  # type: ignore[arg-type]
    sizes = [bool(data.draw(5, generator_of(0, step)).target[0] >= 8) for step in range(200)]
    assert 60 < sum(sizes) < 140


def test_a_dataset_without_usable_samples_is_refused() -> None:
    samples, tasks, names = dataset(1, 2)
    cache = SimpleNamespace(**vars(FakeCache(names)), sizes=lambda rows: rows % 2)  # before and after differ
    with pytest.raises(DatasetError, match="no sample to train on whose source and target are of one size"):
        TrainingData(samples, tasks, cache)  # type: ignore[arg-type]


def test_a_task_of_one_pair_has_no_other_exemplar(tmp_path: Path) -> None:
    samples, tasks, names = dataset(1, 1)
    with pytest.raises(DatasetError, match="the task '0' has one pair"):
        TrainingData(samples, tasks, FakeCache(names), "task")  # type: ignore[arg-type]
