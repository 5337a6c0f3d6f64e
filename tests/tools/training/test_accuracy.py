"""What counts as right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from relation_core.errors import DatasetError
from relation_core.samples.samples import Sample
from relation_tools.training.accuracy import Question, is_right, make_questions, measure

TASKS = ("dark", "bright", "red")


class FakeCache:
    """Rows of flat pictures: of every scene the source, then its target of every task."""

    def __init__(self, scenes: int) -> None:
        self.scenes = scenes
        self.rows: dict[str, int] = {}
        for scene in range(scenes):
            for task in TASKS:
                self.rows[f"{task}/{scene}_before"] = scene * (1 + len(TASKS))
                self.rows[f"{task}/{scene}_after"] = scene * (1 + len(TASKS)) + 1 + TASKS.index(task)

    def picture(self, row: int) -> Image.Image:
        scene, what = divmod(row, 1 + len(TASKS))
        grey = 100 + scene
        colour = [(grey,) * 3, (grey - 60,) * 3, (grey + 60,) * 3, (grey + 60, grey, grey)][what]
        return Image.new("RGB", (8, 4), colour)

    def latents(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(rows).float()

    def samples(self) -> tuple[list[Sample], list[str]]:
        samples, tasks = [], []
        for task in TASKS:
            for scene in range(self.scenes):
                exemplar = (scene + 1) % self.scenes
                names = [f"{task}/{number}_{half}" for number in (exemplar, scene) for half in ("before", "after")]
                samples.append(Sample(len(samples), *names, ""))
                tasks.append(task)
        return samples, tasks


@pytest.fixture
def cache() -> FakeCache:
    return FakeCache(5)


def shown(cache: FakeCache, row: int) -> torch.Tensor:
    return torch.from_numpy(np.asarray(cache.picture(row)).astype(np.float32) / 255)


def test_questions_know_what_a_result_could_be(cache: FakeCache) -> None:
    samples, tasks = cache.samples()
    questions = make_questions(samples, tasks, cache, 100, 0)  # type: ignore[arg-type]
    assert len(questions) == 15
    for question in questions:
        scene, what = divmod(question.target, 4)
        assert TASKS[what - 1] == question.task
        assert question.source == 4 * scene
        assert sorted((*question.others, question.target)) == [4 * scene + 1, 4 * scene + 2, 4 * scene + 3]
        assert question.exemplar[1] % 4 == what and question.exemplar[1] // 4 != scene
        assert question.wrong[1] % 4 not in (0, what)
        assert question.wrong[0] % 4 == 0


def test_the_same_seed_asks_the_same(cache: FakeCache) -> None:
    samples, tasks = cache.samples()
    first, again, other = (make_questions(samples, tasks, cache, 6, seed) for seed in (0, 0, 1))  # type: ignore[arg-type]
    assert first == again != other
    only = make_questions(samples, tasks, cache, 100, 0, ("red",))  # type: ignore[arg-type]
    assert {question.task for question in only} == {"red"} and len(only) == 5
    assert all(len(question.others) == 2 for question in only)


def test_a_result_is_right_when_its_own_target_is_nearest(cache: FakeCache) -> None:
    question = Question("dark", (4, 5), (4, 6), source=0, target=1, others=(2, 3))
    own, source = shown(cache, 1), shown(cache, 0)
    assert is_right(question, own, cache)  # type: ignore[arg-type]
    assert is_right(question, torch.lerp(own, source, 0.45), cache)  # type: ignore[arg-type]
    assert not is_right(question, torch.lerp(own, source, 0.55), cache)  # type: ignore[arg-type]
    for row in (0, 2, 3):
        assert not is_right(question, shown(cache, row), cache)  # type: ignore[arg-type]


def test_shares_are_counted_by_task(cache: FakeCache) -> None:
    samples, tasks = cache.samples()
    questions = make_questions(samples, tasks, cache, 100, 0)  # type: ignore[arg-type]

    def edit(asked: Sequence[Question], source: torch.Tensor) -> torch.Tensor:
        assert source.tolist() == [question.source for question in asked]
        return torch.stack([shown(cache, q.target if q.task == "red" else q.others[0]) for q in asked])

    found = measure(questions, cache, edit)  # type: ignore[arg-type]
    assert found.asked == dict.fromkeys(TASKS, 5)
    assert found.right == {"dark": 0, "bright": 0, "red": 5}
    assert found.share == pytest.approx(1 / 3)
    assert found.chance == pytest.approx(1 / 4)


def test_a_source_with_one_relation_cannot_be_asked_about(cache: FakeCache, tmp_path: Path) -> None:
    samples, tasks = cache.samples()
    with pytest.raises(DatasetError, match=r"'dark/\d_before' stands under one task only"):
        make_questions(samples[:5], tasks[:5], cache, 3, 0)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match=r"no samples of the tasks blue\. The dataset has: bright, dark, red"):
        make_questions(samples, tasks, cache, 3, 0, ("blue",))  # type: ignore[arg-type]
