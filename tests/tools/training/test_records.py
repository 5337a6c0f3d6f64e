"""States, curves and averages: whole whenever the process ends."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from relation_core.errors import CheckpointError
from relation_core.randomness import generator_of
from relation_core.weights.atomic import appearing
from relation_tools.training.curve import Curve, read_curve
from relation_tools.training.learning_rate import learning_rate_factor
from relation_tools.training.moving_average import MovingAverage
from relation_tools.training.run_state import load_state, save_state, saved_states


def test_the_newest_state_is_loaded_and_old_ones_go(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    for step in (1, 9, 10, 200):
        save_state(tmp_path, step, {"value": torch.tensor(float(step))}, keep=2)
    assert [path.name for path in saved_states(tmp_path)] == ["state-00000010.pt", "state-00000200.pt"]
    state = load_state(tmp_path)
    assert state is not None
    assert (state["step"], state["value"].item()) == (200, 200.0)


def test_what_a_kill_left_half_written_goes(tmp_path: Path) -> None:
    with appearing(tmp_path / "state-00000007.pt") as part:
        part.write_bytes(b"half")
        left = shutil.copytree(part.parents[1], tmp_path.parent / "left")
    (tmp_path / "state-00000007.pt").unlink()
    shutil.copytree(left, part.parents[1])
    assert load_state(tmp_path) is None
    save_state(tmp_path, 8, {}, keep=2)
    assert [path.name for path in tmp_path.iterdir()] == ["state-00000008.pt"]


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    save_state(tmp_path, 5, {}, keep=1).write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(CheckpointError, match=r"state-00000005\.pt cannot be read .*remove it to go on"):
        load_state(tmp_path)


def test_a_curve_drops_what_will_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    curve = Curve(path, ("step", "loss"), 0)
    for step in (10, 20, 30):
        curve.add({"step": step, "loss": step / 10})
    with path.open("a") as file:
        file.write("40")  # cut short by a kill
    Curve(path, ("step", "loss"), 20).add({"step": 25, "loss": 2.5})
    assert [(row["step"], row["loss"]) for row in read_curve(path)] == [("10", "1.0"), ("20", "2.0"), ("25", "2.5")]


def test_the_learning_rate_rises_stays_and_falls() -> None:
    factors = [learning_rate_factor(step, 100, warmup=10, decay=20) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert set(factors[9:80]) == {1.0}
    assert factors[90] == pytest.approx(0.5)
    assert factors[99] == pytest.approx(0.05)
    assert {learning_rate_factor(step, 100, 0, 0) for step in range(100)} == {1.0}
    longer = [learning_rate_factor(step, 200, warmup=10, decay=20) for step in range(80)]
    assert longer == factors[:80]


def test_averages_follow_and_step_aside() -> None:
    weight = nn.Parameter(torch.zeros(3))
    average = MovingAverage({"weight": weight}, decay=0.8)
    expected = torch.zeros(3)
    for step in range(1, 40):
        with torch.no_grad():
            weight += 1.0
        average.update(step)
        expected = torch.lerp(expected, weight.detach(), 1.0 - min(0.8, (1 + step) / (10 + step)))
    with average.applied():
        torch.testing.assert_close(weight.detach(), expected)
        assert 35.0 < weight[0].item() < 37.0
    assert torch.equal(weight.detach(), torch.full((3,), 39.0))
    again = MovingAverage({"weight": weight}, decay=0.8)
    again.load(average.state())
    assert torch.equal(again.state()["weight"], average.state()["weight"])


def test_without_a_decay_the_average_is_the_weights() -> None:
    weight = nn.Parameter(torch.ones(2))
    average = MovingAverage({"weight": weight}, decay=0.0)
    average.update(3)
    assert average.state() == {}
    with average.applied():
        assert torch.equal(weight.detach(), torch.ones(2))


def test_random_numbers_depend_on_the_place_alone() -> None:
    def drawn(*place: int | str) -> list[float]:
        return torch.rand(4, generator=generator_of(*place)).tolist()  # type: ignore[arg-type]

    first = drawn(0, 5, 1)
    torch.rand(7)
    assert drawn(0, 5, 1) == first
    others = [drawn(0, 5, 2), drawn(0, 6, 1), drawn(1, 5, 1), drawn(0, 51)]
    assert all(other != first for other in others)
