"""At which steps of a schedule the source is computed."""

from __future__ import annotations

from itertools import pairwise
from math import inf, nan

import pytest

from relation_core.flux.refreshes import LEAST, Refreshes
from relation_core.flux.schedule import relation_sigmas


@pytest.mark.parametrize(
    ("side", "every", "steps"),
    [
        (512, 4, [0, 8, 14, 18, 21, 23]),
        (1024, 4, [0, 13, 18, 21, 22, 23]),
        (512, 24, [0, 16, 23]),
    ],
)
def test_the_authors_steps_are_refreshed_where_their_noise_falls(side: int, every: int, steps: list[int]) -> None:
    assert Refreshes(every, relation_sigmas(24, (side // 16) ** 2).tolist()).steps() == steps


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 8, 10, 24, 50, 200])
@pytest.mark.parametrize("every", [2, 3, 4, 7, 1000])
@pytest.mark.parametrize("tokens", [16, 1024, 16384])
@pytest.mark.parametrize("denoise", [1.0, 0.4])
def test_no_more_than_one_step_of_so_many(steps: int, every: int, tokens: int, denoise: float) -> None:
    found = Refreshes(every, relation_sigmas(steps, tokens, denoise).tolist()).steps()
    assert {0, steps - 1} <= set(found)
    assert len(found) <= max(LEAST, -(-steps // every))


@pytest.mark.parametrize("every", [2, 3, 4])
def test_even_levels_have_even_refreshes(every: int) -> None:
    steps = 12 * every
    found = Refreshes(every, [float(level) for level in range(steps, -1, -1)]).steps()
    assert len(found) == 12
    assert {later - sooner for sooner, later in pairwise(found)} <= {every, every + 1}


@pytest.mark.parametrize(
    ("schedule", "levels"),
    [
        ([4.0, 0.0], [5.6, 4.0, 3.0]),  # one step, to which a sampler adds noise first
        ([4.0, 4.0, 4.0, 0.0], [4.1, 4.0]),
        ([1.0, 2.0, 3.0, 4.0], [1.0, 3.5, 9.0]),  # from a picture to noise
        ([3.0, 2.0, 1.0, 0.0], [nan, inf]),
        ([inf, 2.0, 1.0, 0.0], [inf, 2.0, 1.0]),
        ([nan, nan, nan, 0.0], [nan, 1.0]),
        ([], [1.0]),
    ],
)
def test_where_the_noise_does_not_fall_the_source_is_always_computed(
    schedule: list[float], levels: list[float]
) -> None:
    assert [Refreshes(4, schedule).part(level) for level in levels] == [None] * len(levels)


def test_levels_a_little_off_the_schedule_count_as_its_own() -> None:
    refreshes = Refreshes(3, [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    assert refreshes.part(5.0 * (1 + 1e-7)) == refreshes.part(5.0) == 1
    assert refreshes.part(1.0 * (1 + 1e-7)) is None
