"""Plans of runs: held to what they take, made from headers, and what they propose fits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf_base import write_gguf_base
from safetensors.torch import load_file
from small_run import ROOT, VISION, SmallRun, as_toml
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from relation_core.adapter.config import RelationConfig
from relation_core.errors import DatasetError, ModelMismatchError, RelationAdapterError
from relation_tools.__main__ import main
from relation_tools.diffusers_host.lora_names import matrix_shapes
from relation_tools.diffusers_host.quantisation import quantise
from relation_tools.diffusers_host.settings import QUANTIZATIONS, Quantization
from relation_tools.training.adapter_module import AdapterModule
from relation_tools.training.models import build_flow, new_transformer
from relation_tools.training.planning.base import quantised_bytes
from relation_tools.training.planning.command import plan_lines
from relation_tools.training.planning.fitting import changed, nearest
from relation_tools.training.planning.live_bytes import LiveBytes
from relation_tools.training.planning.plan import Launch, make_plan
from relation_tools.training.processes import ProcessesError
from relation_tools.training.settings import AdapterSettings, NewTransformer, RunSettings
from relation_tools.training.trainer import Trainer
from relation_tools.training.weights_file import write_weights
from relation_tools.weights.conversion import FORMAT, VERSION

CPU = Launch(cpu=True)
WIDE = AdapterSettings(tokens=128, projection_dim=1024)
"""An adapter of 134 million weights in one matrix, for text of 1024."""
Many = dict[str, Any]


def large(run: SmallRun, folder: Path, models: Many | None = None, **training: Any) -> RunSettings:
    flux = NewTransformer(2, 2, 2, text_dim=1024, pooled_text_dim=64)
    settings = run.into(folder, steps=10, **{"trained": "adapter", "ema": 0, "batch_size": 4, **training})
    return replace(settings, adapter=WIDE, models=replace(settings.models, new_transformer=flux, **(models or {})))


CONFIGURATIONS: dict[str, tuple[Many, Many]] = {
    "float32": ({}, {"precision": "no"}),
    "averaged, with a LoRA, in parts": (
        {},
        {
            "precision": "bf16",
            "trained": "adapter and lora",
            "ema": 0.9,
            "accumulate": 2,
            "gradient_checkpointing": True,
        },
    ),
    "8-bit moments, bfloat16, int8": (
        {"quantize": "int8"},
        {"precision": "bf16", "optimizer": "adamw 8-bit", "weights": "bfloat16", "batch_size": 2},
    ),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a process's peak is read from /proc")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_plan_is_within_a_tenth_of_the_measured_peak(small_run: SmallRun, tmp_path: Path, name: str) -> None:
    models, training = CONFIGURATIONS[name]
    settings = large(small_run, tmp_path / "large", models, **training)
    if training.get("weights") == "bfloat16":
        settings = replace(settings, adapter=AdapterSettings(tokens=256, projection_dim=1024))
    tiny = replace(settings, output=tmp_path / "tiny", adapter=AdapterSettings(tokens=2, projection_dim=12))
    files = [tmp_path / "tiny.toml", tmp_path / "large.toml"]
    for file, which in zip(files, (tiny, settings), strict=True):
        file.write_text(as_toml(which), encoding="utf-8")
    plan = make_plan(settings, CPU)
    trained = next(row.nbytes for row in plan.rows if row.name == "trained weights")
    assert trained >= 500e6
    code = [sys.executable, str(Path(__file__).with_name("measured_peak.py")), *map(str, files)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(code, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    measured = int(done.stdout.split()[-1])
    planned = plan.total("card")
    print(f"\n{name}: planned {planned / 1e9:.3f} GB, measured {measured / 1e9:.3f} GB ({planned / measured - 1:+.1%})")
    for row in plan.rows:
        print(f"  {row.place} {row.name} {row.nbytes / 1e9:.3f}")
    assert planned == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_what_a_quantised_transformer_takes(kind: Quantization) -> None:
    """All that its tensors hold, packed or not."""
    model = new_transformer(NewTransformer(2, 1, 2, text_dim=64, pooled_text_dim=8)).to(torch.bfloat16)
    planned = quantised_bytes(model, kind, 2)
    quantise(model, kind, "cpu")
    assert planned == pytest.approx(sum(held_bytes(parameter) for parameter in model.parameters()), rel=0.01)


def held_bytes(parameter: Any) -> int:
    if hasattr(parameter, "quant_state"):
        state = parameter.quant_state
        return parameter.nbytes + state.absmax.nbytes + state.state2.absmax.nbytes
    if hasattr(parameter, "__tensor_flatten__"):
        return sum(getattr(parameter, name).nbytes for name in parameter.__tensor_flatten__()[0])
    return parameter.nbytes


def test_live_bytes() -> None:
    outside = torch.zeros(30, 40)
    with LiveBytes() as live:
        assert outside.t().add_(1) is not None and live.now == 0  # what was there before
        first = torch.zeros(1000)
        assert live.now == 4000
        view = first[10:].view(-1, 10)
        second = view + 1
        assert live.now == 4000 + second.nbytes
        first.add_(1)
        del first, view
        assert live.now == second.nbytes
        del second
    assert (live.now, live.peak) == (0, 4000 + 990 * 4)


def test_a_step_without_values_lives_as_a_real_one() -> None:
    """Of a layer with checkpoints and autocast, forward and backward."""

    def step() -> int:
        layer = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
        with LiveBytes() as live:
            with torch.autocast("cpu", torch.bfloat16):
                loss = torch.utils.checkpoint.checkpoint(layer, torch.zeros(8, 32), use_reentrant=False).square().mean()
            loss.backward()
        return live.peak

    real = step()
    with FakeTensorMode():
        assert step() == real > 0


@pytest.mark.slow
def test_the_nearest_settings_fit_and_none_of_them_is_needless(small_run: SmallRun, tmp_path: Path) -> None:
    settings = small_run.into(tmp_path, trained="adapter", ema=0, precision="bf16", batch_size=4)
    wanted = {"training.accumulate": 4, "training.optimizer": "adamw 8-bit"}
    most = make_plan(changed(settings, wanted), CPU).total("card")
    assert make_plan(settings, CPU).total("card") > most
    found = nearest(settings, CPU, most)
    assert found is not None and make_plan(changed(settings, found), CPU).total("card") <= most
    for name in found:
        fewer = {key: value for key, value in found.items() if key != name}
        assert make_plan(changed(settings, fewer), CPU).total("card") > most
    assert nearest(settings, CPU, 1000) is None
    lines = plan_lines(settings, CPU, 1e-5)
    assert lines[-1].startswith("It does not fit: ") and lines[-1].endswith("none of the smaller settings fits.")


def test_the_command_says_what_fits_and_writes_nothing(
    small_run: SmallRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = small_run.into(tmp_path / "run", trained="adapter")
    (tmp_path / "run.toml").write_text(as_toml(settings), encoding="utf-8")
    assert main(["train", str(tmp_path / "run.toml"), "--plan", "--card", "24"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["on", "the", "card", "GB"] and said[-1].startswith("It fits, with 23.")
    assert "1 process(es), 4 sample(s) at once on each: 0.8 of 24.0 GB." in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", [("--processes", "8"), ("--fsdp",), ("--card", "24")])
def test_what_changes_a_plan_alone_is_refused_without_one(
    small_run: SmallRun, tmp_path: Path, caplog: pytest.LogCaptureFixture, option: tuple[str, ...]
) -> None:
    """No run starts as one process where eight were asked for."""
    (tmp_path / "run.toml").write_text(as_toml(small_run.into(tmp_path / "run")), encoding="utf-8")
    assert main(["train", str(tmp_path / "run.toml"), *option]) == 1
    assert f"{option[0]} is given without --plan; expected both" in caplog.text
    assert not (tmp_path / "run").exists()


LAYERS = (
    "transformer_blocks.0.attn.to_q",
    "transformer_blocks.0.attn.to_out.0",
    "single_transformer_blocks.0.proj_mlp",
)
"""Of which the trainer itself would make but the first."""


def lora_file(path: Path, sizes: NewTransformer, rank: int) -> Path:
    shapes = matrix_shapes(new_transformer(sizes))
    tensors: dict[str, torch.Tensor] = {}
    for name in LAYERS:
        height, width = shapes[name]
        tensors[f"transformer.{name}.lora_A.weight"] = torch.ones(rank, width)
        tensors[f"transformer.{name}.lora_B.weight"] = torch.ones(height, rank)
    return write_weights(path, tensors, torch.bfloat16)


def test_the_layers_of_a_lora_to_go_on_from_are_counted(small_run: SmallRun, tmp_path: Path) -> None:
    """Not those that a new one would have."""
    settings = small_run.into(tmp_path / "run", trained="adapter and lora", lora_rank=3)
    assert settings.models.new_transformer is not None
    lora = lora_file(tmp_path / "lora.safetensors", settings.models.new_transformer, 3)
    settings = replace(settings, models=replace(settings.models, lora=lora))
    flow = build_flow(settings, VISION.hidden_size)
    assert sum(LAYERS[1] in name for name in flow.trained()) == 2
    row = next(row for row in make_plan(settings, CPU).rows if row.name == "trained weights")
    assert row.nbytes == sum(weight.nbytes for weight in flow.trained().values())
    with pytest.raises(ModelMismatchError, match=r"has rank 3 for .*expected .*, 5\. Set training.lora_rank = 3"):
        make_plan(replace(settings, training=replace(settings.training, lora_rank=5)), CPU)


def test_a_lora_beside_a_quantised_transformer_is_counted(small_run: SmallRun, tmp_path: Path) -> None:
    sizes = NewTransformer(1, 1, 1, text_dim=32, pooled_text_dim=32)
    tensors = {name: torch.randn_like(tensor) / 16 for name, tensor in new_transformer(sizes).state_dict().items()}
    gguf = write_gguf_base(tmp_path / "flux.gguf", tensors)
    settings = small_run.into(tmp_path / "run", trained="adapter")
    models = replace(settings.models, new_transformer=None, transformer=gguf)
    lora = lora_file(tmp_path / "lora.safetensors", sizes, 3)
    without, beside = (replace(settings, models=replace(models, lora=path)) for path in (None, lora))
    held = build_flow(beside, VISION.hidden_size).transformer.named_parameters()
    added = sum(weight.nbytes for name, weight in held if ".lora_" in name)
    rows = [next(row for row in make_plan(one, CPU).rows if "frozen" in row.name) for one in (without, beside)]
    assert rows[1].nbytes - rows[0].nbytes == added > 0


def random_adapter(path: Path, tokens: int) -> Path:
    """For the small run's transformer, where there are 2 tokens."""
    config = RelationConfig(2, 1, 128, tokens, 24, VISION.hidden_size, 12)
    metadata = {"format": FORMAT, "version": VERSION, "head_dim": "128"}
    return write_weights(path, AdapterModule(config, silent=False).state_dict(), torch.float32, metadata)


def without(path: Path, start: str, target: Path) -> Path:
    """A copy of a weights file without some of its tensors, and of the settings beside it."""
    target.parent.mkdir()
    shutil.copy(path.with_name("config.json"), target.parent)
    kept = {name: tensor for name, tensor in load_file(path).items() if not name.startswith(start)}
    return write_weights(target, kept, torch.float32)


def refused_models(run: SmallRun, folder: Path) -> dict[str, Many]:
    """Settings of models with which no run starts."""
    other = NewTransformer(1, 2, 1, text_dim=24, pooled_text_dim=8)
    lora = lora_file(folder / "other_lora.safetensors", replace(other, heads=2), 3)
    models = run.settings.models
    flux = new_transformer(NewTransformer(1, 1, 1, text_dim=24, pooled_text_dim=8)).state_dict()
    del flux["single_transformer_blocks.0.proj_out.bias"]
    damaged = {"new_transformer": None, "transformer": write_weights(folder / "flux.safetensors", flux, torch.float32)}
    return {
        "no adapter": {"adapter": folder / "missing.safetensors"},
        "another file for it": {"adapter": lora},
        "an adapter of another size": {"adapter": random_adapter(folder / "three.safetensors", 3)},
        "a vision model without its head": {
            "vision": without(models.vision, "vision_model.head.", folder / "headless" / "siglip.safetensors")
        },
        "another file for the autoencoder": {"vae": models.vision},
        "a transformer that is not whole": damaged,
        "a lora for another transformer": {"lora": lora},
        "no text encoders": {"text": folder / "FLUX.1-dev"},
    }


def test_a_plan_refuses_what_training_refuses(small_run: SmallRun, tmp_path: Path) -> None:
    """In the same words, and before anything is encoded."""
    settings = small_run.into(tmp_path / "run", trained="adapter")
    settings = replace(settings, data=replace(settings.data, cache=tmp_path / "cache"))
    fitting = replace(settings.models, adapter=random_adapter(tmp_path / "two.safetensors", 2))
    make_plan(replace(settings, models=fitting), CPU)
    for name, models in refused_models(small_run, tmp_path).items():
        wrong = replace(settings, models=replace(settings.models, **models))
        with pytest.raises(RelationAdapterError) as trained:
            Trainer(wrong)
        with pytest.raises(RelationAdapterError) as planned:
            make_plan(wrong, CPU)
        assert str(planned.value) == str(trained.value), name
    with pytest.raises(DatasetError, match=r"missing\.jsonl"):
        Trainer(replace(settings, data=replace(settings.data, test=tmp_path / "missing.jsonl")))
    assert not (tmp_path / "cache").exists()


def test_a_plan_refuses_what_processes_cannot_share(small_run: SmallRun, tmp_path: Path) -> None:
    settings = small_run.into(tmp_path / "run", trained="adapter")
    quantised = replace(settings, models=replace(settings.models, quantize="nf4"))
    make_plan(quantised, CPU)
    with pytest.raises(ProcessesError, match="is quantised, and 2 processes were started"):
        make_plan(quantised, Launch(2))
    eight = small_run.into(tmp_path / "run", trained="adapter", optimizer="adamw 8-bit")
    with pytest.raises(ProcessesError, match="'adamw 8-bit', and FSDP divides the moments"):
        make_plan(eight, Launch(2, divided=True))
    assert nearest(settings, Launch(2, divided=True), 1000) is None


def test_a_vision_model_may_be_named_by_its_folder(small_run: SmallRun, tmp_path: Path) -> None:
    """As in training."""
    settings = small_run.into(tmp_path / "run", trained="adapter")
    folder = tmp_path / "vision"
    folder.mkdir()
    shutil.copy(settings.models.vision, folder / "model.safetensors")
    shutil.copy(settings.models.vision.with_name("config.json"), folder)
    named = replace(settings, models=replace(settings.models, vision=folder))
    assert make_plan(named, CPU) == make_plan(settings, CPU)


def test_blocks_that_wait_elsewhere_are_not_on_the_card(small_run: SmallRun, tmp_path: Path) -> None:
    """But for the largest; on a CPU there is no elsewhere."""
    flux = NewTransformer(2, 3, 4, text_dim=64, pooled_text_dim=8)
    many: Many = {"trained": "adapter", "ema": 0, "gradient_checkpointing": True, "precision": "no"}
    settings = small_run.into(tmp_path, **many)
    whole = replace(settings, models=replace(settings.models, new_transformer=flux))
    away = replace(whole, models=replace(whole.models, offload=True))
    model = new_transformer(flux)
    sizes = [sum(one.nbytes for one in block.parameters()) for block in model.transformer_blocks]
    sizes += [sum(one.nbytes for one in block.parameters()) for block in model.single_transformer_blocks]
    saved = make_plan(whole, Launch()).total("card") - make_plan(away, Launch()).total("card")
    assert saved == sum(sizes) - max(sizes) > 0
    assert make_plan(whole, CPU).total("card") == make_plan(away, CPU).total("card")
    (row,) = (row for row in make_plan(away, Launch()).rows if row.place == "machine")
    assert row.name == "the transformer, whose blocks wait there"
    assert row.nbytes == sum(one.nbytes for one in model.parameters())


def test_moments_and_averages_are_counted(small_run: SmallRun, tmp_path: Path) -> None:
    """In the places where they are: an average on the card, and in each state."""
    rows: list[dict[str, int]] = []
    for training in ({"ema": 0}, {"ema": 0.9}, {"ema": 0, "optimizer": "adamw 8-bit"}):
        plan = make_plan(small_run.into(tmp_path, trained="adapter", **training), CPU)
        rows.append({row.name: row.nbytes for row in plan.rows})
    plain, averaged, eight = rows
    trained = plain["trained weights"]
    assert plain["gradients"] == trained and plain["moments, adamw"] == 2 * trained
    assert averaged["moving average"] == trained and "moving average" not in plain
    assert eight["moments, adamw 8-bit"] == pytest.approx(trained / 2, rel=0.02)
    states = [row["3 states, one of them unfinished"] for row in rows]
    assert (
        states[0] == 9 * trained and states[1] == 12 * trained and states[2] == pytest.approx(4.5 * trained, rel=0.02)
    )
