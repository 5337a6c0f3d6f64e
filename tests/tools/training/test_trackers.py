"""Trackers get the numbers of the curve."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from small_run import SmallRun, as_toml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from relation_tools.training.curve import read_curve
from relation_tools.training.trainer import Trainer
from tests.command_line import run


def test_tensorboard_has_the_curve_also_of_a_run_that_went_on(small_run: SmallRun, tmp_path: Path) -> None:
    settings = small_run.into(tmp_path, {"trackers": ("tensorboard",), "save_every": 2}, steps=3)
    Trainer(settings).run()
    (tmp_path / "states" / "state-00000003.pt").unlink()  # as if it had been killed before: its third step comes again
    Trainer(replace(settings, training=replace(settings.training, steps=4))).run()
    events = EventAccumulator(str(tmp_path / "relation-adapter"))
    events.Reload()
    rows = read_curve(tmp_path / "curve.csv")
    for name in ("loss", "learning_rate", "samples_per_second"):
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert [step for step, _ in found] == [1, 2, 3, 4]
        assert [value for _, value in found] == pytest.approx([float(row[name]) for row in rows])


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_tracker_that_is_not_installed_is_named(
    small_run: SmallRun, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    file = tmp_path / "run.toml"
    file.write_text(as_toml(small_run.into(tmp_path / "run", {"trackers": (name,)})), encoding="utf-8")
    said = run("train", file, status=1)
    assert f"This needs {name}, which is not installed" in said and "[trackers]" in said
    assert not (tmp_path / "run").exists()
