"""What a watched run showed, in words and as pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from relation_core.flux.positions import Window
from relation_core.watching.drawing import describe, draw_heat_map, draw_shares
from relation_core.watching.shares import Placed, ShareRecorder, WatchedRun, token_shares

BLOCKS = {"double": 1, "single": 2}
GRID = (2, 3)
WHOLE = [Placed(slice(0, 1), GRID, None)]


def run_of(*calls: tuple[float, dict[tuple[str, int], float]]) -> WatchedRun:
    """A run of one picture whose blocks give every token the same share."""
    recorder = ShareRecorder(BLOCKS, 1, GRID)
    for level, shares in calls:
        recorder.add(level, {block: torch.full((1, 6), share) for block, share in shares.items()}, WHOLE)
    return recorder.finish(torch.zeros(1, 16, 4, 6))


def test_shares_are_averaged_over_calls_blocks_and_tokens() -> None:
    run = run_of((1.0, {("double", 0): 0.6}), (0.5, {("double", 0): 0.2, ("single", 1): 0.4}))
    assert run.levels == [1.0, 0.5]
    assert run.by_level["double"] == pytest.approx([0.6, 0.2])
    assert run.by_level["single"] == pytest.approx([0.0, 0.2])
    assert run.by_block["double"] == pytest.approx([0.4])
    assert run.by_block["single"] == pytest.approx([0.0, 0.2])
    torch.testing.assert_close(run.heat, torch.full((1, 2, 3), 0.2))
    assert run.acted == 2


def test_a_share_is_of_the_whole() -> None:
    own, given = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[1.0, 2.0, 0.0]])
    assert token_shares(own, given).tolist() == [[0.25, 1.0, 0.0]]


def test_parts_lie_at_their_places() -> None:
    recorder = ShareRecorder(BLOCKS, 1, (4, 3))
    places = [Placed(slice(row, row + 1), GRID, Window((4, 3), 2 * row, 0)) for row in range(2)]
    shares = torch.tensor([[0.3] * 6, [0.9] * 6])
    recorder.add(1.0, {("double", 0): shares}, places)
    heat = recorder.finish(torch.zeros(1, 16, 8, 6)).heat
    assert heat is not None
    torch.testing.assert_close(heat[0], torch.tensor([[0.1] * 3] * 2 + [[0.3] * 3] * 2))


@pytest.mark.parametrize(
    "place",
    [
        Placed(slice(0, 1), (1, 3), None),
        Placed(slice(0, 2), GRID, None),
        Placed(slice(0, 1), GRID, Window((9, 9), 0, 0)),
    ],
)
def test_a_part_of_unknown_place_leaves_no_heat(place: Placed) -> None:
    recorder = ShareRecorder(BLOCKS, 1, GRID)
    recorder.add(1.0, {("single", 0): torch.full((2, place.grid[0] * place.grid[1]), 0.5)}, [place])
    run = recorder.finish(torch.zeros(1, 16, 4, 6))
    assert run.heat is None
    assert run.by_block["single"] == pytest.approx([0.5, 0.0])
    assert draw_heat_map(run, 0, Image.new("RGB", (96, 64))).width == 768


def test_words_say_why_there_is_no_effect() -> None:
    without = ShareRecorder(BLOCKS, 1, GRID)
    without.pass_over(1.0)
    assert describe(without.finish(torch.zeros(1, 16, 4, 6)), 0)[0] == "No relation acts on this model."
    assert describe(run_of((1.0, {}), (0.5, {})), 0)[0] == "The relation gave nothing."
    everywhere = describe(run_of((1.0, {("double", 0): 0.3}), (0.5, {})), 0)
    assert everywhere[0] == "Share of the attention: 5.0 % on average, 5.0 % at most, at 1 of 2 noise levels."
    assert "gets 1.0 times the average" in everywhere[1]


def test_the_map_is_bright_where_the_share_is_high() -> None:
    recorder = ShareRecorder(BLOCKS, 1, GRID)
    recorder.add(1.0, {("double", 0): torch.tensor([[0.9, 0.0, 0.0, 0.0, 0.0, 0.0]])}, WHOLE)
    run = recorder.finish(torch.zeros(1, 16, 4, 6))
    pixels = np.asarray(draw_heat_map(run, 0, Image.new("RGB", (96, 64), "grey"))).astype(int)
    assert pixels[40, 40, 0] > 150
    assert pixels[400, 700, 0] < 100


def test_the_curves_are_as_high_as_the_shares() -> None:
    pixels = np.asarray(draw_shares(run_of((1.0, {("double", 0): 0.4}), (0.5, {("double", 0): 0.2})))).astype(int)
    blue = (pixels[..., 2] > 150) & (pixels[..., 0] < 100)
    first, last = (np.flatnonzero(blue[:360, column]).mean() for column in (92, 927))
    assert first == pytest.approx(40, abs=4)  # the top of the upper chart
    assert last == pytest.approx(175, abs=4)  # half its height
    assert blue[400:, 85:100].any()  # the only double block is a dot
