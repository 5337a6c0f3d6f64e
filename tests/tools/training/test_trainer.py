"""A whole run: it learns, it goes on after a kill as if nothing had been, and its files load."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_run import ROOT, SmallRun, as_toml, run_command

from relation_tools.training.curve import read_curve
from relation_tools.training.processes import ProcessesError, samples_at_once
from relation_tools.training.run_state import load_state
from relation_tools.training.settings import RunSettings
from relation_tools.training.trainer import Trainer


class StoppedError(Exception):
    pass


def flat(state: Any, name: str = "") -> dict[str, Any]:
    """Every value in a state, by its place."""
    if isinstance(state, dict):
        return {key: value for part in state for key, value in flat(state[part], f"{name}/{part}").items()}
    if isinstance(state, list):
        return flat(dict(enumerate(state)), name)
    return {name: state}


def assert_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    first, second = flat(first), flat(second)
    assert first.keys() == second.keys()
    for name, value in first.items():
        same = torch.equal(value, second[name]) if isinstance(value, torch.Tensor) else value == second[name]
        assert same, name


def state_of(settings: RunSettings) -> dict[str, Any]:
    state = load_state(settings.output / "states")
    assert state is not None
    return state


def stopped_at(settings: RunSettings, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until a step begins, and fall there."""
    take = Trainer._take_step

    def fall(trainer: Trainer) -> torch.Tensor:
        if trainer.step == step:
            raise StoppedError
        return take(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_take_step", fall)
        with pytest.raises(StoppedError):
            Trainer(settings).run()


@pytest.mark.parametrize("trained", ["everything", "adapter and lora"])
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    small_run: SmallRun, tmp_path: Path, trained: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = {"save_every": 2}
    whole, parts = (small_run.into(tmp_path / name, records, trained=trained, steps=9) for name in ("whole", "parts"))
    Trainer(whole).run()
    for step in (3, 4, 8):  # between two states, right after one, near the end
        stopped_at(parts, step, monkeypatch)
    Trainer(parts).run()
    assert state_of(whole)["step"] == 9
    assert_same(state_of(whole), state_of(parts))
    losses = [[row["loss"] for row in read_curve(settings.output / "curve.csv")] for settings in (whole, parts)]
    assert losses[0] == losses[1] and len(losses[0]) == 9


def test_a_run_that_is_told_to_end_saves_a_state_and_ends_with_the_same_weights(
    small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole, parts = (small_run.into(tmp_path / name, {"save_every": 100}, steps=6) for name in ("whole", "parts"))
    Trainer(whole).run()
    take, before = Trainer._take_step, signal.getsignal(signal.SIGTERM)

    def told(trainer: Trainer) -> torch.Tensor:
        if trainer.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return take(trainer)

    with monkeypatch.context() as patch, caplog.at_level("INFO"):
        patch.setattr(Trainer, "_take_step", told)
        with pytest.raises(KeyboardInterrupt):
            Trainer(parts).run()
    assert state_of(parts)["step"] == 4 and "the state of step 4 is saved" in caplog.text
    assert signal.getsignal(signal.SIGTERM) is before
    Trainer(parts).run()
    assert_same(state_of(whole), state_of(parts))


@pytest.mark.slow
def test_a_compiled_run_learns_the_same_and_goes_on_as_exactly(
    small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = {"save_every": 2}
    plain, whole, parts = (
        small_run.into(tmp_path / name, records, trained="everything", steps=9, compile=name != "plain")
        for name in ("plain", "whole", "parts")
    )
    graphs = torch._dynamo.utils.counters["stats"]
    graphs.clear()
    Trainer(plain).run()
    assert not graphs["unique_graphs"]
    Trainer(whole).run()
    assert graphs["unique_graphs"]
    stopped_at(parts, 5, monkeypatch)
    torch.compiler.reset()  # as in a new process
    Trainer(parts).run()
    assert_same(state_of(whole), state_of(parts))
    losses = [[float(row["loss"]) for row in read_curve(settings.output / "curve.csv")] for settings in (plain, whole)]
    assert len(losses[0]) == 9
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


def test_steps_change_every_trained_weight(small_run: SmallRun, tmp_path: Path) -> None:
    trainer = Trainer(small_run.into(tmp_path, trained="adapter and lora", steps=4))
    start = {name: parameter.detach().clone() for name, parameter in trainer.flow.named_parameters()}
    with torch.no_grad():  # a new Flux lets nothing through yet
        for name, parameter in trainer.flow.named_parameters():
            if not parameter.requires_grad and not parameter.any():
                parameter.normal_(std=0.1)
                start[name] = parameter.clone()
    trainer.run()
    changed = {name for name, p in trainer.flow.named_parameters() if not torch.equal(start[name], p)}
    assert changed == set(trainer.parameters)


def test_the_loss_falls(small_run: SmallRun, tmp_path: Path) -> None:
    settings = small_run.into(tmp_path, {"record_every": 8, "save_every": 500}, steps=40, batch_size=8, times="power")
    Trainer(settings).run()
    losses = [float(row["loss"]) for row in read_curve(tmp_path / "curve.csv")]
    assert losses[-1] < 0.3 * losses[0]


def test_other_seeds_give_other_weights(small_run: SmallRun, tmp_path: Path) -> None:
    first = small_run.into(tmp_path / "first", steps=1)
    second = replace(small_run.into(tmp_path / "second", steps=1), seed=1)
    for settings in (first, second):
        Trainer(settings).run()
    name = "adapter.image_proj.proj.2.weight"
    assert not torch.equal(state_of(first)["trained"][name], state_of(second)["trained"][name])


def test_accumulated_batches_count_as_one(small_run: SmallRun, tmp_path: Path) -> None:
    once = Trainer(small_run.into(tmp_path / "once", steps=1))
    twice = Trainer(small_run.into(tmp_path / "twice", steps=1, batch_size=8, accumulate=2))
    losses = [once._loss(0), once._loss(1)]
    torch.testing.assert_close(twice._take_step(), sum(loss.detach() for loss in losses) / 2)
    assert losses[0] != losses[1]


def test_a_run_says_how_its_batches_are_divided(
    small_run: SmallRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = Trainer(small_run.into(tmp_path / "run", {"record_every": 1}, steps=1, batch_size=6, accumulate=2))
    assert trainer.at_once == 3
    with caplog.at_level("INFO"):
        trainer.run()
    assert "6 samples a step: 1 process(es), 2 part(s), 3 at once." in caplog.text


@pytest.mark.parametrize(
    ("batch", "processes", "accumulate", "at_once"), [(4, 1, 1, 4), (4, 4, 1, 1), (4, 1, 4, 1), (32, 4, 2, 4)]
)
def test_a_batch_is_divided(batch: int, processes: int, accumulate: int, at_once: int) -> None:
    assert samples_at_once(batch, processes, accumulate) == at_once


@pytest.mark.parametrize(("batch", "processes", "accumulate", "above"), [(4, 8, 1, 8), (5, 2, 1, 6), (9, 2, 4, 16)])
def test_a_batch_that_cannot_be_divided_is_refused(batch: int, processes: int, accumulate: int, above: int) -> None:
    with pytest.raises(ProcessesError, match=rf"batch_size is {batch}.*Set training.batch_size = {above}, or start"):
        samples_at_once(batch, processes, accumulate)


def test_sheets_and_accuracy_come_with_a_test_file(small_run: SmallRun, tmp_path: Path) -> None:
    settings = small_run.into(
        tmp_path / "out", {"sheet_every": 2, "sheet_samples": 2, "measured_samples": 6, "record_every": 2}, steps=4
    )
    test = small_run.settings.data.train.with_name("test.jsonl")
    settings = replace(settings, data=replace(settings.data, test=test))
    trainer = Trainer(settings)
    trainer.run()
    assert trainer.flow.training
    sheets = sorted((tmp_path / "out" / "sheets").iterdir())
    assert [path.name for path in sheets] == ["step-00000002.jpg", "step-00000004.jpg"]
    with Image.open(sheets[0]) as sheet:
        assert sheet.size == (10 + 5 * 138, 28 + 2 * 156)
    rows = read_curve(tmp_path / "out" / "curve.csv")
    assert [row["step"] for row in rows] == ["2", "4"]
    assert all(0.0 <= float(row["accuracy"]) <= 1.0 for row in rows)
    with Image.open(tmp_path / "out" / "curve.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(10**6) or []}
    assert {(0x3B, 0x4C, 0xC0), (0xB4, 0x04, 0x26)} <= colours, "the loss and the accuracy are drawn"


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_weights(small_run: SmallRun, tmp_path: Path) -> None:
    steps, dice = 60, np.random.default_rng(5)
    for name in ("whole", "killed"):
        settings = small_run.into(tmp_path / name, {"save_every": 3}, steps=steps, batch_size=8)
        (tmp_path / f"{name}.toml").write_text(as_toml(settings), encoding="utf-8")
    run_command("train", tmp_path / "whole.toml")
    command = [sys.executable, "-m", "relation_tools", "train", str(tmp_path / "killed.toml")]
    curve = tmp_path / "killed" / "curve.csv"
    kills = sorted(dice.choice(range(5, steps - 5), 5, replace=False).tolist())
    for step in kills:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not any(int(row["step"]) >= step for row in read_curve(curve)):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, f"the run ended before step {step}"
    run_command("train", tmp_path / "killed.toml")
    whole, killed = (load_state(tmp_path / name / "states") for name in ("whole", "killed"))
    assert whole is not None and killed is not None
    assert whole["step"] == steps
    assert_same(whole, killed)
    assert not list((tmp_path / "killed" / "states").glob("*.part")), "nothing half-written is left"
