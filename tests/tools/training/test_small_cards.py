"""Runs for small cards: quantised bases, moments in 8 bits, weights in bfloat16, and parts that are trained alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from gguf_base import write_gguf_base
from safetensors.torch import load_file
from small_run import SmallRun

from relation_core.adapter.config import RelationConfig
from relation_core.errors import RelationAdapterError
from relation_tools.diffusers_host import offloading
from relation_tools.diffusers_host.quantisation import matrices
from relation_tools.training.adapter_module import AdapterModule
from relation_tools.training.models import new_transformer
from relation_tools.training.processes import Processes, ProcessesError
from relation_tools.training.run_identity import run_identity
from relation_tools.training.run_state import load_state
from relation_tools.training.settings import NewTransformer, RunSettings
from relation_tools.training.settings_file import SettingsError
from relation_tools.training.small_cards import check_small
from relation_tools.training.trainer import Trainer
from relation_tools.training.weights_file import write_weights
from relation_tools.weights.conversion import FORMAT, VERSION

PARTS = {
    "lora": ("lora_",),
    "keys and values": ("to_k_ip", "to_v_ip"),
    "projection": ("image_proj",),
    "adapter": ("to_k_ip", "to_v_ip", "image_proj"),
    "adapter and lora": ("to_k_ip", "to_v_ip", "image_proj", "lora_"),
}
"""What is in the names of the weights that are trained."""
Many = dict[str, Any]


@pytest.fixture(autouse=True)
def _any_precision() -> Iterator[None]:
    """accelerate keeps that of the first run of a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Flux of random weights, none of which are zero as in a new one's last layer: all gradients are there."""
    torch.manual_seed(3)
    model = new_transformer(NewTransformer(1, 1, 1, text_dim=32, pooled_text_dim=32))
    tensors = {name: torch.randn_like(tensor) / 16 for name, tensor in model.state_dict().items()}
    return write_weights(tmp_path_factory.mktemp("base") / "flux.safetensors", tensors, torch.float32)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of random weights."""
    torch.manual_seed(4)
    config = RelationConfig(2, 1, 128, 2, 32, 16, 12)
    tensors = AdapterModule(config, silent=False).state_dict()
    metadata = {"format": FORMAT, "version": VERSION, "head_dim": "128"}
    return write_weights(tmp_path_factory.mktemp("adapter") / "adapter.safetensors", tensors, torch.float32, metadata)


def made(run: SmallRun, output: Path, models: Many | None = None, **training: Any) -> RunSettings:
    settings = replace(run.settings, output=output)
    training = {"trained": "adapter", "ema": 0, **training}
    changed = {"training": replace(settings.training, **training), "models": replace(settings.models, **(models or {}))}
    return replace(settings, **changed)


def on(base: Path, **models: Any) -> Many:
    return {"new_transformer": None, "transformer": base, **models}


def losses(settings: RunSettings) -> list[float]:
    lines = (settings.output / "curve.csv").read_text().splitlines()[1:]
    return [float(line.split(",")[1]) for line in lines]


def state_of(settings: RunSettings) -> Many:
    state = load_state(settings.output / "states")
    assert state is not None
    return state


def flat(values: Any, name: str = "") -> Many:
    if isinstance(values, dict):
        return {key: one for part in values for key, one in flat(values[part], f"{name}/{part}").items()}
    return {name: values}


@pytest.mark.parametrize("trained", PARTS)
def test_what_is_trained_and_nothing_else(
    small_run: SmallRun, base: Path, adapter: Path, tmp_path: Path, trained: str
) -> None:
    settings = made(small_run, tmp_path, on(base, adapter=adapter), trained=trained, steps=2, lora_rank=3)
    settings = replace(settings, records=replace(settings.records, export_dtype="float32"))
    trainer = Trainer(settings)
    before = {name: tensor.clone() for name, tensor in trainer.flow.state_dict().items()}
    trainer.run()
    changed = {name for name, tensor in trainer.flow.state_dict().items() if not torch.equal(tensor, before[name])}
    expected = {name for name in before if any(part in name for part in PARTS[trained])}
    assert changed == expected == set(state_of(settings)["trained"])
    files = {path.name for path in (settings.output / "exported").iterdir()}
    assert files == ({"relation_adapter.safetensors"} if trained != "lora" else set()) | (
        {"lora.safetensors"} if "lora" in trained else set()
    )
    if "lora" in trained:
        lora = load_file(settings.output / "exported" / "lora.safetensors")
        assert {tensor.shape[0] for name, tensor in lora.items() if "lora_A" in name} == {3}
    if trained in ("keys and values", "projection"):  # the file is whole, with the part that stayed
        exported, start = load_file(settings.output / "exported" / "relation_adapter.safetensors"), load_file(adapter)
        same = {name for name, tensor in exported.items() if torch.equal(tensor, start[name])}
        assert {f"adapter.{name}" for name in same} == {name for name in before if "adapter." in name} - expected


@pytest.mark.parametrize("kind", ["nf4", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("int8", "fp8"))])
def test_a_quantised_base_teaches_nearly_the_same(small_run: SmallRun, base: Path, tmp_path: Path, kind: str) -> None:
    many: Many = {"trained": "adapter and lora", "steps": 4, "precision": "bf16", "gradient_checkpointing": True}
    plain = made(small_run, tmp_path / "plain", on(base), **many)
    Trainer(plain).run()
    quantised = made(small_run, tmp_path / "quantised", on(base, quantize=kind), **many)
    trainer = Trainer(quantised)
    frozen = trainer.flow.transformer.transformer_blocks[0].attn.to_q
    assert type(frozen.base_layer.weight) is not torch.nn.Parameter
    trainer.run()
    assert losses(quantised) != losses(plain)
    assert losses(quantised) == pytest.approx(losses(plain), rel=0.02)


def test_beside_a_lora_the_adapter_is_quantised_too(
    small_run: SmallRun, base: Path, adapter: Path, tmp_path: Path
) -> None:
    many: Many = {"trained": "lora", "steps": 3, "precision": "bf16"}
    plain = made(small_run, tmp_path / "plain", on(base, adapter=adapter), **many)
    Trainer(plain).run()
    quantised = made(small_run, tmp_path / "quantised", on(base, adapter=adapter, quantize="nf4"), **many)
    trainer = Trainer(quantised)
    assert not any(linear.weight.is_floating_point() for _, _, linear in matrices(trainer.flow.adapter))
    trainer.run()
    assert losses(quantised) == pytest.approx(losses(plain), rel=0.05) and losses(quantised) != losses(plain)


@pytest.mark.parametrize("trained", ["adapter and lora", "keys and values"])
def test_blocks_that_wait_elsewhere_teach_the_same(
    small_run: SmallRun, base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: str
) -> None:
    """To the bit, though what has left is not there: there is one device here, so it is NaN until it comes back."""

    def leave(block: Any) -> None:
        for weight in block.weights:
            weight.data = torch.full_like(weight.data, torch.nan)

    monkeypatch.setattr(offloading._Block, "leave", leave)
    many: Many = {"trained": trained, "steps": 3, "precision": "bf16", "gradient_checkpointing": True}
    states: list[Many] = []
    for offload in (False, True):
        settings = made(small_run, tmp_path / str(offload), on(base, adapter=adapter, offload=offload), **many)
        trainer = Trainer(settings)
        trainer.run()
        frozen = [weight for weight in trainer.flow.transformer.parameters() if not weight.requires_grad]
        assert any(weight.isnan().any() for weight in frozen) == offload
        assert not any(weight.isnan().any() for weight in trainer.flow.trained().values())
        states.append(flat(state_of(settings)["trained"]))
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_run_may_go_on_with_its_blocks_elsewhere(small_run: SmallRun, base: Path, tmp_path: Path) -> None:
    many: Many = {"steps": 2, "gradient_checkpointing": True}
    Trainer(made(small_run, tmp_path, on(base), **many)).run()
    assert Trainer(made(small_run, tmp_path, on(base, offload=True), **many)).step == 2


def test_a_gguf_is_a_base(small_run: SmallRun, base: Path, tmp_path: Path) -> None:
    stored = write_gguf_base(tmp_path / "flux.gguf", load_file(base))
    found: list[list[float]] = []
    for file in (base, stored):
        run = made(small_run, tmp_path / file.suffix, on(file), trained="adapter and lora", steps=3)
        Trainer(run).run()
        found.append(losses(run))
    assert found[0] != found[1]
    assert found[1] == pytest.approx(found[0], rel=0.02)


@pytest.mark.parametrize("weights", [pytest.param("float32", marks=pytest.mark.slow), "bfloat16"])
def test_moments_in_eight_bits(small_run: SmallRun, base: Path, tmp_path: Path, weights: str) -> None:
    """They take a quarter, teach nearly the same, and a run that was stopped ends with the same bits."""
    many: Many = {"precision": "bf16", "steps": 6, "learning_rate": 1e-3}
    plain = made(small_run, tmp_path / "plain", on(base), **many)
    Trainer(plain).run()
    many |= {"optimizer": "adamw 8-bit", "weights": weights}
    whole, parts = (made(small_run, tmp_path / name, on(base), **many) for name in ("whole", "parts"))
    Trainer(whole).run()
    Trainer(replace(parts, training=replace(parts.training, steps=3))).run()
    trainer = Trainer(parts)
    assert trainer.step == 3
    trainer.run()
    one, other = flat(state_of(whole)), flat(state_of(parts))
    assert one.keys() == other.keys() and any("state1" in name for name in one)
    for name, value in one.items():
        assert torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name], name
    assert losses(whole) == pytest.approx(losses(plain), rel=0.02) and losses(whole) != losses(plain)
    assert {str(tensor.dtype) for tensor in state_of(whole)["trained"].values()} == {f"torch.{weights}"}
    large = [value for name, value in one.items() if name.endswith("state1") and value.numel() >= 4096]
    assert large and {value.dtype for value in large} == {torch.uint8}


@pytest.mark.parametrize(
    ("training", "models", "said"),
    [
        (
            {"trained": "everything"},
            {"quantize": "int8"},
            "models.quantize is 'int8', and training.trained is 'everyth",
        ),
        (
            {"trained": "adapter", "gradient_checkpointing": False},
            {"offload": True},
            "models.offload is true, with trained = 'adapter' and gradient_checkpointing = false",
        ),
        (
            {"trained": "everything", "gradient_checkpointing": True},
            {"offload": True},
            "models.offload is true, with trained = 'everything'",
        ),
        ({"trained": "lora"}, {}, "training.trained is 'lora', and models.adapter is not given"),
        ({"trained": "projection"}, {}, "training.trained is 'projection', and models.adapter is not given"),
        ({"trained": "adapter", "weights": "bfloat16", "ema": 0, "precision": "no"}, {}, "with precision = 'no'"),
        ({"trained": "adapter", "weights": "bfloat16", "ema": 0.9, "precision": "bf16"}, {}, "and ema = 0.9; expected"),
    ],
)
def test_what_cannot_stand_together_is_refused(
    small_run: SmallRun, tmp_path: Path, training: Many, models: Many, said: str
) -> None:
    with pytest.raises((SettingsError, ValueError), match=said):
        made(small_run, tmp_path, models, **training)


def test_what_processes_cannot_share_is_refused(small_run: SmallRun, tmp_path: Path) -> None:
    def started(count: int, divided: bool = False) -> Processes:
        return Processes(SimpleNamespace(num_processes=count, device=torch.device("cpu")), divided)

    plain = made(small_run, tmp_path)
    check_small(plain, started(8, divided=True))
    quantised = made(small_run, tmp_path, {"quantize": "nf4"})
    check_small(quantised, started(1))
    with pytest.raises(ProcessesError, match="is quantised, and 2 processes were started; expected one"):
        check_small(quantised, started(2))
    eight = made(small_run, tmp_path, optimizer="adamw 8-bit")
    check_small(eight, started(2))
    with pytest.raises(ProcessesError, match="'adamw 8-bit', and FSDP divides the moments"):
        check_small(eight, started(2, divided=True))
    away = made(small_run, tmp_path, {"offload": True}, gradient_checkpointing=True)
    check_small(away, started(1))
    with pytest.raises(ProcessesError, match=r"models.offload is true, with compile = false and 2 process"):
        check_small(away, started(2))
    compiled = made(small_run, tmp_path, {"offload": True}, gradient_checkpointing=True, compile=True)
    with pytest.raises(ProcessesError, match=r"models.offload is true, with compile = true and 1 process"):
        check_small(compiled, started(1))
    both = made(small_run, tmp_path, {"offload": True, "quantize": "int8"}, gradient_checkpointing=True)
    with pytest.raises(RelationAdapterError, match="is true, and the transformer is quantised"):
        check_small(both, started(1))
    stored = made(small_run, tmp_path, on(tmp_path / "flux.gguf"), trained="everything")
    with pytest.raises(RelationAdapterError, match=r"flux\.gguf is quantised; expected weights in floating-point"):
        check_small(stored, started(1))


def test_older_states_name_the_settings_that_they_know(small_run: SmallRun, tmp_path: Path) -> None:
    """So a run that was begun before there were others goes on."""
    plain = run_identity(made(small_run, tmp_path), {})
    others = {"models.quantize", "training.optimizer", "training.weights"}
    assert not others & plain.keys()
    small: Many = {"optimizer": "adamw 8-bit", "weights": "bfloat16", "precision": "bf16"}
    named = run_identity(made(small_run, tmp_path, {"quantize": "int8"}, **small), {})
    assert named.keys() - plain.keys() == others
