"""Which pictures are held out, where pictures share halves."""

from __future__ import annotations

from collections import Counter
from itertools import count

import numpy as np

from relation_tools.dataset.hold_out import Contents, hold_out


def picture(numbers: count[int], task: str, before: object, after: object) -> Contents:
    number = next(numbers)
    return Contents(number, task, f"{task}/{number}", repr(before).encode(), repr(after).encode())


def test_as_many_as_asked_of_every_task() -> None:
    numbers = count()
    pictures = [picture(numbers, task, ("b", task, i), ("a", task, i)) for task in "xyz" for i in range(20)]
    held = hold_out(pictures, 5, 0)
    assert Counter(pictures[number].task for number in held) == {"x": 5, "y": 5, "z": 5}
    assert hold_out(pictures, 5, 0) == held != hold_out(pictures, 5, 1)


def test_a_photo_that_several_tasks_edit_is_held_out_in_all_of_them() -> None:
    numbers = count()
    pictures = [picture(numbers, task, ("photo", i), (task, i)) for task in "xyz" for i in range(20)]
    held = [pictures[number] for number in hold_out(pictures, 5, 0)]
    assert Counter(one.task for one in held) == {"x": 5, "y": 5, "z": 5}
    assert len({one.before for one in held}) == 5


def test_no_half_is_on_both_sides_however_they_are_shared() -> None:
    rng = np.random.default_rng(0)
    for trial in range(50):
        numbers = count()
        pictures = [
            picture(numbers, task, int(rng.integers(60)), int(rng.integers(60, 200)))
            for task in "vwxyz"
            for _ in range(9)
        ]
        held = hold_out(pictures, 3, trial)
        halves = [
            {half for one in pictures if (one.number in held) is side for half in (one.before, one.after)}
            for side in (True, False)
        ]
        assert not halves[0] & halves[1]
        left = Counter(one.task for one in pictures if one.number not in held)
        assert max(Counter(pictures[number].task for number in held).values(), default=0) <= 3
        assert min(left[task] for task in "vwxyz") >= 2


def test_small_tasks_keep_enough_to_train_on() -> None:
    for size, expected in ((1, 0), (2, 0), (3, 0), (4, 2), (6, 4), (7, 5), (8, 5)):
        numbers = count()
        pictures = [picture(numbers, "x", ("b", i), ("a", i)) for i in range(size)]
        assert len(hold_out(pictures, 5, 0)) == expected, size


def test_a_task_that_is_not_trained_on_keeps_nothing_and_comes_first() -> None:
    for size, expected in ((1, 0), (2, 2), (3, 3), (9, 5)):
        numbers = count()
        pictures = [picture(numbers, "x", ("b", i), ("a", i)) for i in range(size)]
        assert len(hold_out(pictures, 5, 0, {"x"})) == expected, size
    numbers = count()
    pictures = [picture(numbers, task, ("photo", i), (task, i)) for task in "xyz" for i in range(4)]
    held = Counter(pictures[number].task for number in hold_out(pictures, 2, 0, {"z"}))
    assert held == {"x": 2, "y": 2, "z": 2}


def test_pictures_that_cannot_be_told_apart_are_trained_on() -> None:
    numbers = count()
    pictures = [picture(numbers, "x", "black", i) for i in range(30)]
    assert hold_out(pictures, 5, 0) == set()
