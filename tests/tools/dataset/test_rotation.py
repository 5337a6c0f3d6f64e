"""The rotation that draws ordered pairs."""

from __future__ import annotations

from collections import Counter

import pytest

from relation_tools.dataset.rotation import rotation, shuffled


@pytest.mark.parametrize("count", [2, 3, 5, 45, 150])
@pytest.mark.parametrize("limit", [1, 2, 7, 149, 2000, None])
def test_every_picture_is_used_equally_often(count: int, limit: int | None) -> None:
    pairs = list(rotation(count, limit, "seed"))
    assert len(pairs) == min(limit or 10**9, count * (count - 1))
    assert len(set(pairs)) == len(pairs)
    assert all(exemplar != source for exemplar, source in pairs)
    for role in (0, 1):
        times = Counter(pair[role] for pair in pairs)
        assert max(times[number] for number in range(count)) - min(times[number] for number in range(count)) <= 1


def test_without_a_limit_every_ordered_pair_is_drawn() -> None:
    assert set(rotation(6, None, 0)) == {(a, b) for a in range(6) for b in range(6) if a != b}


@pytest.mark.parametrize("count", [0, 1])
def test_one_picture_makes_no_pair(count: int) -> None:
    assert list(rotation(count, 10, 0)) == []


def test_the_seed_chooses_the_pairs() -> None:
    assert set(rotation(40, 100, 1)) != set(rotation(40, 100, 2))
    assert list(rotation(40, 100, 1)) == list(rotation(40, 100, 1))


def test_an_order_does_not_hang_on_the_others() -> None:
    names = [f"picture {number}" for number in range(50)]
    order = shuffled(names, str, 3)
    assert order != names
    assert shuffled(reversed(names), str, 3) == order
    assert shuffled(names[1:], str, 3) == [name for name in order if name != names[0]]
    assert shuffled(names, str, 4) != order
