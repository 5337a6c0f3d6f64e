"""Several processes train as one, or are refused: what is exported is what was trained."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from small_run import ROOT, SmallRun, as_toml, run_command

from relation_core.errors import RelationAdapterError
from relation_tools.training.curve import read_curve
from relation_tools.training.models import new_transformer
from relation_tools.training.processes import ProcessesError, check_kind, check_launch, start_processes
from relation_tools.training.run_state import load_state, saved_states
from relation_tools.training.settings import RunSettings
from relation_tools.training.small_cards import check_small
from relation_tools.training.trainer import Trainer
from relation_tools.training.weights_file import write_weights

RunOf = Callable[..., RunSettings]


@pytest.fixture(scope="module")
def random_flux(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> RunOf:
    """Settings of a run on a Flux that lets everything through, unlike a new one, whose modulations are zeros."""
    sizes = small_run.settings.models.new_transformer
    assert sizes is not None
    torch.manual_seed(0)
    transformer = new_transformer(sizes)
    with torch.no_grad():
        for parameter in transformer.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    file = tmp_path_factory.mktemp("flux") / "transformer.safetensors"
    write_weights(file, transformer.state_dict(), torch.float32)
    models = replace(small_run.settings.models, new_transformer=None, transformer=file)
    data = replace(small_run.settings.data, test=small_run.settings.data.train.with_name("test.jsonl"))
    tested = {"sheet_samples": 2, "measured_samples": 4}

    def settings(output: Path, records: dict[str, object] | None = None, **training: object) -> RunSettings:
        run = small_run.into(output, {"export_dtype": "float32", **tested, **(records or {})}, **training)
        return replace(run, models=models, data=data)

    return settings


TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "relation_tools", "train")
FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}


def zero(stage: int) -> dict[str, str]:
    """What `accelerate launch --use_deepspeed --zero_stage STAGE` sets."""
    return {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": str(stage)}


LAUNCHES = {"data parallel": {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "7"}, "fsdp": FSDP}
LAUNCHES |= {"zero 1": zero(1), "zero 2": zero(2)}


def launch(settings: RunSettings, file: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Train in two processes of this machine's processor."""
    file.write_text(as_toml(settings), encoding="utf-8")
    return subprocess.run(
        [sys.executable, *TWO, str(file)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def exported(settings: RunSettings) -> dict[str, torch.Tensor]:
    """Every exported tensor, by its file and name."""
    files = sorted((settings.output / "exported").glob("*.safetensors"))
    return {f"{file.name} {name}": tensor for file in files for name, tensor in load_file(file).items()}


def untrained(settings: RunSettings) -> dict[str, torch.Tensor]:
    """What a run exports that has not taken a step."""
    Trainer(settings)._export()
    return exported(settings)


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("ACCELERATE_USE_MEGATRON_LM", "Megatron-LM"),
        ("ACCELERATE_USE_TP", "tensor parallelism"),
        ("ACCELERATE_USE_PARALLELISM_CONFIG", "parallelism config"),
    ],
)
def test_a_launch_that_divides_the_model_otherwise_is_refused(variable: str, name: str) -> None:
    for value in ("true", "True", "1"):
        with pytest.raises(ProcessesError, match=f"{name}.*Expected data parallel, FSDP of version 2.*torchrun"):
            check_launch({variable: value})
    assert check_launch({variable: "false", "ACCELERATE_USE_CPU": "true"}) == (False, 0)


def test_fsdp_divides_the_model_in_its_second_version_alone() -> None:
    assert check_launch(FSDP) == (True, 0) and check_launch({**FSDP, "ACCELERATE_USE_FSDP": "false"}) == (False, 0)
    for version in ({}, {"FSDP_VERSION": "1"}):
        with pytest.raises(ProcessesError, match="FSDP of version 1"):
            check_launch({"ACCELERATE_USE_FSDP": "1", **version})
    with pytest.raises(ProcessesError, match="offloading"):
        check_launch({**FSDP, "FSDP_OFFLOAD_PARAMS": "true"})


def test_deepspeed_divides_in_its_stages_one_and_two_alone() -> None:
    usual = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_CONFIG_FILE": "none"}
    assert check_launch(usual) == (False, 2)  # accelerate's own default
    assert [check_launch(zero(stage)) for stage in (1, 2)] == [(False, 1), (False, 2)]
    assert check_launch({**usual, "ACCELERATE_USE_DEEPSPEED": "false"}) == (False, 0)
    for stage in (0, 3):
        with pytest.raises(ProcessesError, match=f"ZeRO of stage {stage}.*stage 1 or 2"):
            check_launch(zero(stage))
    for name, told in (
        ("OFFLOAD_OPTIMIZER_DEVICE", "cpu"),
        ("OFFLOAD_PARAM_DEVICE", "nvme"),
        ("CONFIG_FILE", "zero3.json"),
    ):
        with pytest.raises(ProcessesError, match=f"{name}={told}"):
            check_launch({**usual, f"ACCELERATE_DEEPSPEED_{name}": told})
    with pytest.raises(ProcessesError, match="FSDP and DeepSpeed at once"):
        check_launch({**usual, **FSDP})


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED", "MEGATRON_LM", "TP", "XLA"])
def test_what_accelerate_made_of_it_is_refused_too(kind: str) -> None:
    with pytest.raises(ProcessesError, match=kind):
        check_kind(kind)


@pytest.mark.parametrize("kind", ["NO", "MULTI_CPU", "MULTI_GPU", "MULTI_XPU"])
def test_whole_models_are_not_refused(kind: str) -> None:
    check_kind(kind)


def test_gradients_of_data_parallel_are_its_buckets() -> None:
    assert start_processes(True, "no").accelerator.ddp_handler.gradient_as_bucket_view


def test_a_trainer_looks_at_the_launch_before_it_loads_anything(
    small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_MEGATRON_LM", "true")
    models = replace(small_run.settings.models, vae=tmp_path / "missing.safetensors")
    with pytest.raises(ProcessesError, match="Megatron-LM"):
        Trainer(replace(small_run.into(tmp_path), models=models))


def test_a_divided_model_is_not_compiled(small_run: SmallRun, tmp_path: Path) -> None:
    processes = start_processes(True, "no")
    for compiled, divided in ((True, False), (False, True)):
        check_small(small_run.into(tmp_path, compile=compiled), replace(processes, divided=divided))
    with pytest.raises(ProcessesError, match="Set compile = false, or start without FSDP"):
        check_small(small_run.into(tmp_path, compile=True), replace(processes, divided=True))
    with pytest.raises(ProcessesError, match="Set compile = false, or start without ZeRO"):
        check_small(small_run.into(tmp_path, compile=True), replace(processes, zero=1))


def test_zero_trains_weights_in_float32_alone(small_run: SmallRun, tmp_path: Path) -> None:
    processes = replace(start_processes(True, "no"), zero=2)
    check_small(small_run.into(tmp_path), processes)
    with pytest.raises(ProcessesError, match=r"weights is 'bfloat16'.*Set weights = 'float32'"):
        check_small(small_run.into(tmp_path, weights="bfloat16", precision="bf16", ema=0.0), processes)


def test_a_missing_deepspeed_is_named_before_anything_is_loaded(
    small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relation_tools.training.zero.find_spec", lambda _name: None)
    check_small(small_run.into(tmp_path), start_processes(True, "no"))
    with pytest.raises(RelationAdapterError, match=r"pip install deepspeed.*FSDP 2"):
        check_small(small_run.into(tmp_path), replace(start_processes(True, "no"), zero=2))


@pytest.mark.slow
def test_two_processes_of_a_launch_that_is_refused_train_nothing(small_run: SmallRun, tmp_path: Path) -> None:
    settings = small_run.into(tmp_path / "run", steps=1)
    done = launch(settings, tmp_path / "run.toml", ACCELERATE_USE_FSDP="true", FSDP_VERSION="1")
    assert done.returncode != 0
    assert "FSDP of version 1 (ACCELERATE_USE_FSDP=true, FSDP_VERSION=1)" in done.stderr
    assert "relation_tools/training/trainer.py" not in done.stderr, "a message, not a traceback"
    assert not list(tmp_path.glob("run/*/*")), "neither a state nor an export"


@pytest.mark.parametrize("trained", ["everything", "adapter and lora"])
def test_exports_hold_trained_weights(random_flux: RunOf, tmp_path: Path, trained: str) -> None:
    before, after = (random_flux(tmp_path / name, trained=trained, steps=3) for name in ("before", "after"))
    start = untrained(before)
    Trainer(after).run()
    assert_all_trained(start, exported(after), trained)


@pytest.mark.slow
@pytest.mark.parametrize("how", LAUNCHES)
@pytest.mark.parametrize(("trained", "accumulate"), [("everything", 1), ("adapter and lora", 2)])
def test_two_processes_export_what_one_does_in_twice_the_parts(
    random_flux: RunOf, tmp_path: Path, trained: str, accumulate: int, how: str
) -> None:
    steps = 6
    start, one = (
        random_flux(tmp_path / name, trained=trained, steps=steps, accumulate=2 * accumulate)
        for name in ("start", "one")
    )
    two = random_flux(tmp_path / "two", trained=trained, steps=steps, accumulate=accumulate)
    untouched = untrained(start)
    (tmp_path / "one.toml").write_text(as_toml(one), encoding="utf-8")
    run_command("train", tmp_path / "one.toml")
    done = launch(two, tmp_path / "two.toml", **LAUNCHES[how])
    assert done.returncode == 0, done.stderr
    held = re.search(r"FSDP divides the model: this process holds (\d+) of (\d+) weights", done.stderr)
    assert (held is not None) == (how == "fsdp")
    moments = re.search(r"ZeRO divides the moments: this process holds those of (\d+) of (\d+) weights", done.stderr)
    assert (moments is not None) == how.startswith("zero")
    for found in (held, moments):
        assert found is None or int(found[1]) < 0.6 * int(found[2])
    assert_all_trained(untouched, exported(two), trained)
    for name, weight in exported(one).items():
        torch.testing.assert_close(exported(two)[name], weight, rtol=1e-4, atol=1e-4, msg=name)
    losses = [[float(row["loss"]) for row in read_curve(settings.output / "curve.csv")] for settings in (one, two)]
    assert len(losses[0]) == steps and losses[0] == pytest.approx(losses[1], rel=1e-4)
    shares = [read_curve(settings.output / "curve.csv")[-1]["accuracy"] for settings in (one, two)]
    assert shares[0] and shares[0] == shares[1]
    sheets = [np.asarray(Image.open(next((settings.output / "sheets").iterdir())), float) for settings in (one, two)]
    assert np.abs(sheets[0] - sheets[1]).mean() < 1


@pytest.mark.slow
def test_zero_computes_in_the_runs_precision(random_flux: RunOf, tmp_path: Path) -> None:
    """DeepSpeed leaves a context of lower precision that it was not told of."""
    found: list[dict[str, torch.Tensor]] = []
    for name, how, precision in (("dp", "data parallel", "bf16"), ("zero", "zero 2", "bf16"), ("full", "zero 2", "no")):
        settings = random_flux(tmp_path / name, {"sheet_every": 1000}, steps=3, precision=precision)
        done = launch(settings, tmp_path / f"{name}.toml", **LAUNCHES[how])
        assert done.returncode == 0, done.stderr
        found.append(exported(settings))
    expected, low, full = (torch.cat([one[name].flatten() for name in sorted(one)]) for one in found)
    off, apart = (float((other - expected).norm()) for other in (low, full))
    assert off < 0.3 * apart, f"{off} and {apart}"  # else they are about as far from each other


def stopped(settings: RunSettings, file: Path, number: signal.Signals, step: int, **environment: str) -> str:
    """Train in two processes, send a signal to all once a step is done, and give what they said."""
    file.write_text(as_toml(settings), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, *TWO, str(file)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while process.poll() is None and len(read_curve(settings.output / "curve.csv")) < step:
            time.sleep(0.01)
        assert process.poll() is None, "the run ended before it was stopped"
        # SIGTERM goes to the launcher, which sends it on, as a scheduler does; a power failure asks nobody.
        os.kill(process.pid, number) if number == signal.SIGTERM else os.killpg(process.pid, number)
        _, said = process.communicate(timeout=120)
        assert process.returncode != 0
    return said


@pytest.mark.slow
@pytest.mark.parametrize("how", LAUNCHES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["told to end", "killed"])
def test_two_processes_that_were_stopped_end_with_the_same_weights(
    random_flux: RunOf, tmp_path: Path, number: signal.Signals, how: str
) -> None:
    environment = LAUNCHES[how]
    save_every = 1000 if number == signal.SIGTERM else 7
    whole, parts = (
        random_flux(tmp_path / name, {"save_every": save_every, "sheet_every": 1000}, steps=100)
        for name in ("whole", "parts")
    )
    assert launch(whole, tmp_path / "whole.toml", **environment).returncode == 0
    said = stopped(parts, tmp_path / "parts.toml", number, 10, **environment)
    step = saved_states(parts.output / "states")[-1].stem.removeprefix("state-")
    if number == signal.SIGTERM:
        assert f"the state of step {int(step)} is saved" in said
    assert "relation_tools/training/trainer.py" not in said, "a message, not a traceback"
    done = launch(parts, tmp_path / "parts.toml", **environment)
    assert done.returncode == 0 and f"Continuing after step {int(step)}" in done.stderr
    for name, weight in exported(whole).items():
        assert torch.equal(exported(parts)[name], weight), name


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fsdp", "zero 2"])
def test_one_process_goes_on_from_a_divided_run_and_back(random_flux: RunOf, tmp_path: Path, how: str) -> None:
    settings = random_flux(tmp_path / "run", {"sheet_every": 1000}, steps=2, trained="adapter and lora")
    file = tmp_path / "run.toml"
    assert launch(settings, file, **LAUNCHES[how]).returncode == 0
    first = load_state(settings.output / "states")
    trainer = Trainer(settings)
    assert first is not None and trainer.step == 2
    for name, parameter in trainer.parameters.items():
        assert torch.equal(parameter, first["trained"][name]), name
    longer = replace(settings, training=replace(settings.training, steps=3))
    Trainer(longer).run()
    longest = replace(settings, training=replace(settings.training, steps=4))
    done = launch(longest, file, **LAUNCHES[how])
    assert done.returncode == 0 and "Continuing after step 3" in done.stderr, done.stderr


def assert_all_trained(start: dict[str, torch.Tensor], end: dict[str, torch.Tensor], trained: str) -> None:
    """No exported tensor is the untrained one."""
    assert start.keys() == end.keys()
    files = {name.split()[0] for name in end}
    second = "transformer.safetensors" if trained == "everything" else "lora.safetensors"
    assert files == {"relation_adapter.safetensors", second}
    same = [name for name in end if torch.equal(start[name], end[name])]
    assert not same
