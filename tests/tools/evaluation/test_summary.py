"""Means, deviations, extremes, and the paper's rows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import pytest

from relation_tools.evaluation.published import CATEGORIES, OVERALL, published_category
from relation_tools.evaluation.scores import SampleScores
from relation_tools.evaluation.summary import Spread, extremes, spread, summarise


def scores(index: int, task: str, category: str, mse: float, psnr: float | None = 20.0) -> SampleScores:
    return SampleScores(index, task, category, {"mse": mse, "psnr": psnr, "ssim": 1 - mse, "clip_i": 1 - mse / 2})


SCORES = [
    *(scores(i, "Depth", "Low-Level", mse) for i, mse in enumerate((0.1, 0.2, 0.6))),
    *(scores(i + 3, "Rain", "Low-Level", mse) for i, mse in enumerate((0.05, 0.15))),
    scores(5, "Lego", "Customized Generation", 0.4, None),
]


def test_a_task_is_summed_up_over_its_samples() -> None:
    depth = summarise(SCORES).categories[1].tasks[0]
    assert (depth.name, depth.tasks, depth.samples) == ("Depth", 1, 3)
    found = depth.spreads["mse"]
    assert found.mean == pytest.approx(0.3) and found.deviation == pytest.approx(math.sqrt(0.07))


def test_a_category_is_summed_up_over_its_tasks() -> None:
    low = summarise(SCORES).categories[1].total
    assert (low.name, low.tasks, low.samples) == ("Low-Level", 2, 5)
    assert low.spreads["mse"].mean == pytest.approx((0.3 + 0.1) / 2)  # and not the mean over samples, 0.22
    assert low.spreads["mse"].deviation == pytest.approx(statistics.stdev([0.3, 0.1]))


def test_all_tasks_weigh_the_same() -> None:
    overall = summarise(SCORES).overall
    assert (overall.tasks, overall.samples) == (3, 6)
    assert overall.spreads["mse"].mean == pytest.approx((0.3 + 0.1 + 0.4) / 3)
    assert overall.spreads["clip_i"].deviation == pytest.approx(statistics.stdev([0.85, 0.95, 0.8]))


def test_scores_that_are_missing_are_left_out() -> None:
    found = summarise(SCORES)
    assert "consistency" not in found.overall.spreads
    assert "psnr" not in found.categories[0].tasks[0].spreads
    assert found.overall.spreads["psnr"].count == 2


def test_a_single_value_has_no_deviation() -> None:
    assert spread([2.0]) == Spread(2.0, None, 1)


def test_best_and_worst() -> None:
    def found(metric: str, count: int, source: Callable[[SampleScores], str]) -> list[list[int]]:
        return [[one.index for one in chosen] for chosen in extremes(SCORES, metric, count, source)]

    assert found("mse", 2, lambda one: str(one.index)) == [[3, 0], [2, 5]]
    assert found("clip_i", 2, lambda one: str(one.index)) == [[3, 0], [2, 5]]
    assert found("psnr", 9, lambda one: str(one.index)) == [[4, 3, 2], [0, 1]]  # all alike, and 5 has none
    assert found("mse", 9, lambda one: str(one.index)) == [[3, 0, 4], [2, 5, 1]]
    assert found("mse", 9, lambda one: one.task) == [[3, 0], [2, 5]]  # one of each source


def test_tasks_stand_in_natural_order() -> None:
    rows = summarise([scores(0, name, "", 0.1) for name in ("10-Rain", "9-Depth", "Lego", "9-Cat")]).categories[0].tasks
    assert [row.name for row in rows] == ["Lego", "9-Cat", "9-Depth", "10-Rain"]


TABLE_3 = """
Low-Level (n=32) 0.028 ± 0.038 0.885 ± 0.067 3.943 ± 0.383 3.822 ± 0.406
Style Transfer (n=84) 0.051 ± 0.032 0.846 ± 0.036 4.077 ± 0.198 4.246 ± 0.285
Image Editing (n=63) 0.031 ± 0.023 0.861 ± 0.055 4.173 ± 0.229 4.100 ± 0.400
Customized Generation (n=39) 0.065 ± 0.048 0.816 ± 0.073 4.071 ± 0.224 4.064 ± 0.313
"""
TABLE_2 = """
seen tasks 0.044 0.852 4.079 4.106
unseen tasks 0.053 0.812 4.187 4.173
"""


def test_the_papers_tables_are_copied_rightly() -> None:
    """As they stand in arXiv 2506.02528v1; of table 2 the rows of RelationAdapter."""
    rows = [
        f"{row.name} (n={row.tasks}) "
        + " ".join(f"{one.mean:.3f} ± {one.deviation:.3f}" for one in row.figures.values())
        for row in CATEGORIES
    ]
    assert rows == TABLE_3.split("\n")[1:-1]
    rows = [f"{row.name} " + " ".join(f"{one.mean:.3f}" for one in row.figures.values()) for row in OVERALL]
    assert rows == TABLE_2.split("\n")[1:-1]


def test_the_papers_tables_agree_with_each_other() -> None:
    """Table 3 weighted with its numbers of tasks, with the 208 seen and 10 unseen tasks of table 2."""
    assert sum(row.tasks or 0 for row in CATEGORIES) == 218
    for metric, rounding in (("mse", 6e-4), ("clip_i", 6e-4), ("consistency", 6e-4), ("accuracy", 6e-4)):
        weighted = sum((row.tasks or 0) * row.figures[metric].mean for row in CATEGORIES) / 218
        seen, unseen = (row.figures[metric].mean for row in OVERALL)
        nearest = min((seen, (208 * seen + 10 * unseen) / 218), key=lambda value: abs(value - weighted))
        assert weighted == pytest.approx(nearest, abs=rounding), metric


@pytest.mark.parametrize("name", ["Low-Level", "low level", "Low-Level Image Processing"])
def test_categories_are_found_by_both_names_of_the_paper(name: str) -> None:
    row = published_category(name)
    assert row is not None and row.tasks == 32


def test_an_unknown_category_has_no_row() -> None:
    assert published_category("(no category)") is None
