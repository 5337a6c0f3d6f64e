"""A state is gone on from with the settings and data that it was made with, by one process at a time."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from small_run import SmallRun, as_toml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hostile_files"))

from weights_damage import claim

from relation_core.errors import CheckpointError
from relation_core.samples.samples import Sample
from relation_core.weights.lock import BusyError, alone_in
from relation_tools.training.pretraining import PretrainingOptions, pretrain
from relation_tools.training.run_identity import samples_fingerprint
from relation_tools.training.run_state import load_state, save_state, saved_states
from relation_tools.training.trainer import Trainer, train
from tests.command_line import run


@pytest.fixture(scope="module")
def trained(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(small_run.into(folder, {"keep": 2}, steps=2))
    return folder


@pytest.fixture
def begun(trained: Path, tmp_path: Path) -> Path:
    """A run of two steps, with the states after both."""
    return shutil.copytree(trained, tmp_path / "run")


def test_what_differs_is_named(small_run: SmallRun, begun: Path) -> None:
    def refused(**changes: Any) -> str:
        with pytest.raises(CheckpointError) as caught:
            Trainer(replace(small_run.into(begun, steps=4), **changes))
        return str(caught.value)

    settings = small_run.settings
    assert "seed was 0, is 7" in refused(seed=7)
    assert "data.long_side was 0, is 32" in refused(data=replace(settings.data, long_side=32))
    changed = replace(settings.training, steps=4, batch_size=3, ema=0.5)
    said = refused(training=changed)
    assert "training.batch_size was 4, is 3" in said and "training.ema was 0.9, is 0.5" in said


def test_samples_are_named_as_in_the_first_states() -> None:
    """What samples may have beside, and nothing is trained on, belongs to no state."""
    names = ("a.png", "b.png", "c.png", "d.png")
    first = (
        "pictures [Sample(index=0, cond1='a.png', cond2='b.png', source='c.png', target='d.png', text=\"It's.\"), "
        "Sample(index=1, cond1='a.png', cond2='b.png', source='c.png', target='d.png', text='\\n')]"
    )
    samples = [Sample(0, *names, "It's."), Sample(1, *names, "\n")]
    expected = blake2b(first.encode(), digest_size=8).hexdigest()
    assert samples_fingerprint(samples, "pictures") == expected
    described = [replace(sample, source_caption="A cat.", target_caption="A dog.") for sample in samples]
    assert samples_fingerprint(described, "pictures") == expected
    assert samples_fingerprint(samples[::-1], "pictures") != expected != samples_fingerprint(samples[:1], "pictures")


def test_what_may_differ_is_taken(small_run: SmallRun, begun: Path, tmp_path: Path) -> None:
    settings = small_run.into(begun, {"save_every": 2, "keep": 1}, steps=3)
    trainer = Trainer(replace(settings, data=replace(settings.data, cache=tmp_path / "other cache")))
    assert trainer.step == 2


def test_another_number_of_tokens_is_named_before_weights_are_compared(small_run: SmallRun, begun: Path) -> None:
    settings = small_run.into(begun, steps=4)
    with pytest.raises(CheckpointError, match=r"adapter\.tokens was 2, is 3"):
        Trainer(replace(settings, adapter=replace(settings.adapter, tokens=3)))


@pytest.mark.parametrize("what", ["picture", "text", "order"])
def test_a_changed_dataset_is_named(small_run: SmallRun, tmp_path: Path, what: str) -> None:
    data = tmp_path / "data"
    shutil.copytree(small_run.settings.data.train.parent, data)
    settings = small_run.into(tmp_path / "run", steps=1)
    settings = replace(settings, data=replace(settings.data, train=data / "train.jsonl"))
    train(settings)
    lines = (data / "train.jsonl").read_text().splitlines()
    if what == "picture":
        picture = next((data / "pictures").rglob("*.png"))
        Image.open(picture).convert("L").convert("RGB").save(picture)
    elif what == "text":
        lines[3] = lines[3].replace('"text": "', '"text": "please ')
    else:
        lines[:2] = lines[1::-1]
    (data / "train.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(CheckpointError, match="the dataset was"):
        Trainer(settings)


def test_a_second_run_into_the_same_folder_is_refused_and_one_after_a_kill_is_not(
    small_run: SmallRun, tmp_path: Path
) -> None:
    settings = small_run.into(tmp_path / "run", steps=2)
    file = tmp_path / "run.toml"
    file.write_text(as_toml(settings))
    with alone_in(settings.output, "training"):
        said = run("train", file, status=1)
    assert "Another process is training in" in said and "Traceback" not in said
    assert not (settings.output / "curve.csv").exists()
    settings.output.mkdir()  # what was made for nothing is gone
    (settings.output / ".relation-adapter.lock").touch()  # as a killed process leaves it
    train(settings)
    assert not list(settings.output.glob(".*"))


def test_pretraining_is_guarded_alike(tmp_path: Path) -> None:
    module, options = torch.nn.Linear(2, 2), PretrainingOptions(tmp_path, steps=2, batch_size=4)

    def losses(_: int) -> dict[str, torch.Tensor]:
        return {"loss": module(torch.ones(1, 2)).sum()}

    with alone_in(tmp_path, "training"), pytest.raises(BusyError):
        pretrain(module, losses, options)
    pretrain(module, losses, options)
    with pytest.raises(CheckpointError, match="seed was 0, is 5"):
        pretrain(module, losses, replace(options, seed=5, steps=3))
    with pytest.raises(CheckpointError, match="the model was Linear"):
        pretrain(torch.nn.Linear(3, 2), losses, replace(options, steps=3))
    pretrain(module, losses, replace(options, steps=3))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", "half"])
def test_the_state_before_a_damaged_one_is_taken(
    tmp_path: Path, data: bytes | str, caplog: pytest.LogCaptureFixture
) -> None:
    save_state(tmp_path, 1, {"x": torch.ones(3)}, keep=2)
    newest = save_state(tmp_path, 2, {"x": torch.ones(3)}, keep=2)
    newest.write_bytes(data if isinstance(data, bytes) else newest.read_bytes()[: os.path.getsize(newest) // 2])
    state = load_state(tmp_path)
    assert state is not None and state["step"] == 1
    assert newest.name in caplog.text


def changed(states: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the newest state in a folder."""
    path = saved_states(states)[-1]
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


def set_first(part: str, value: torch.Tensor) -> Callable[[dict[str, Any]], object]:
    return lambda state: state[part].update({next(iter(state[part])): value})


@pytest.mark.parametrize("key", ["step", "trained", "average", "optimizer"])
def test_a_state_that_lacks_a_part_is_named_and_the_one_before_is_taken(
    small_run: SmallRun, begun: Path, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    states = begun / "states"
    changed(states, lambda state: state.pop(key))
    assert Trainer(small_run.into(begun, steps=4)).step == 1
    assert f"state-00000002.pt cannot be read (it lacks {key})" in caplog.text
    saved_states(states)[0].unlink()
    with pytest.raises(CheckpointError, match=rf"state-00000002\.pt cannot be read \(it lacks {key}\)"):
        Trainer(small_run.into(begun, steps=4))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_first("trained", torch.zeros(1)), r"is \(1,\), expected"),
        (lambda state: state["trained"].popitem(), "is missing, expected"),
        (lambda state: state["trained"].update(more=torch.zeros(1)), "'more' is .*, expected none"),
        (set_first("average", torch.zeros(1)), "the average of .* is"),
        (lambda state: state["optimizer"]["state"][0].pop("exp_avg"), "the optimizer lacks exp_avg"),
        (lambda state: state["optimizer"].update(state={}), "the optimizer knows 0 parameters"),
        (lambda state: state.update(optimizer=[1]), "is damaged"),
        (lambda state: state.update(made_with=[1]), "does not say what it was made with"),
    ],
)
def test_a_state_whose_parts_do_not_fit_is_refused(
    small_run: SmallRun, begun: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    changed(begun / "states", change)
    with pytest.raises(CheckpointError, match=says):
        Trainer(small_run.into(begun, steps=4))


def test_a_state_that_claims_gigabytes_is_refused_before_they_are_allocated(tmp_path: Path) -> None:
    path = save_state(tmp_path, 1, {"x": torch.ones(3)}, keep=2)
    path.write_bytes(claim(2**33, (2**33,)))
    with pytest.raises(CheckpointError, match="more values than the file has"):
        load_state(tmp_path)
