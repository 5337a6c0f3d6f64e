"""LoRA files against diffusers' own loading: alpha wherever it stands, DoRA, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline
from golden_case import GoldenCase
from peft import LoraConfig
from safetensors.torch import save_file

from relation_core.errors import CheckpointError, ModelMismatchError
from relation_tools.diffusers_host.lora_file import fuse_lora, read_lora

CASE = GoldenCase.load("one_head")
QUERY = "transformer_blocks.0.attn.to_q"


def pair(rank: int = 4, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "lora_A.weight": torch.randn(rank, 128, generator=generator) / 8,
        "lora_B.weight": torch.randn(128, rank, generator=generator),
    }


def named(tensors: dict[str, torch.Tensor], module: str) -> dict[str, torch.Tensor]:
    return {f"{module}.{name}": tensor for name, tensor in tensors.items()}


def change(file: Path, strength: float = 1.0) -> torch.Tensor:
    model = CASE.transformer(lora=False)
    before = model.state_dict()[f"{QUERY}.weight"].clone()
    fuse_lora(model, read_lora(file), strength)
    return model.state_dict()[f"{QUERY}.weight"] - before


@pytest.mark.parametrize(
    "settings",
    [
        {"lora_alpha": 16},
        {"lora_alpha": 2},
        {"lora_alpha": 16, "use_rslora": True},
        {"lora_alpha": 1, "alpha_pattern": {"to_q": 12, "to_k": 3}},
        {"lora_alpha": 1, "alpha_pattern": {"^transformer_blocks.0.attn.to_k": 12}, "rank_pattern": {"to_q": 8}},
        {"lora_alpha": 16, "use_dora": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_a_file_that_diffusers_saved_changes_what_diffusers_changes(
    settings: dict[str, Any], strength: float, tmp_path: Path
) -> None:
    if settings.get("use_dora") and strength != 1.0:
        pytest.skip("between none and all of a DoRA, libraries differ")
    model: Any = CASE.transformer(lora=False)
    torch.manual_seed(0)
    model.add_adapter(LoraConfig(r=4, target_modules=["to_q", "to_k"], init_lora_weights=False, **settings))
    for name, parameter in model.named_parameters():
        if "magnitude" in name:
            parameter.data *= 1.5
    FluxPipeline.save_lora_weights(
        tmp_path,
        transformer_lora_layers=torch_layers(model),
        transformer_lora_adapter_metadata={"transformer": model.peft_config["default"].to_dict()}["transformer"],
    )
    model.fuse_lora(lora_scale=strength)
    model.unload_lora()
    expected, found = model.state_dict(), CASE.transformer(lora=False)
    before = {name: tensor.clone() for name, tensor in found.state_dict().items()}
    fuse_lora(found, read_lora(tmp_path / "pytorch_lora_weights.safetensors"), strength)
    assert expected.keys() == before.keys()
    changed = [name for name in before if not torch.equal(expected[name], before[name])]
    assert changed == [name for name in before if name.endswith(("attn.to_q.weight", "attn.to_k.weight"))]
    for name, tensor in found.state_dict().items():
        size = (expected[name] - before[name]).norm()
        assert (tensor - expected[name]).norm() <= 1e-5 * size, name


def torch_layers(model: Any) -> dict[str, torch.Tensor]:
    from peft.utils import get_peft_model_state_dict

    return get_peft_model_state_dict(model)


def test_alpha_in_the_metadata_alone_counts(tmp_path: Path) -> None:
    tensors = named(pair(), f"transformer.{QUERY}")
    save_file(tensors, tmp_path / "without.safetensors")
    metadata = {"lora_adapter_metadata": json.dumps({"transformer.lora_alpha": 16, "transformer.r": 4})}
    save_file(tensors, tmp_path / "with.safetensors", metadata)
    without, found = change(tmp_path / "without.safetensors"), change(tmp_path / "with.safetensors")
    torch.testing.assert_close(found, 4 * without, rtol=1e-4, atol=1e-5)
    assert without.norm() > 1


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (f"transformer.{QUERY}", ("lora_A.weight", "lora_B.weight")),
        (QUERY, ("lora_A.weight", "lora_B.weight")),
        (QUERY, ("lora_A.default.weight", "lora_B.default.weight")),
        (f"diffusion_model.{QUERY}", ("lora_down.weight", "lora_up.weight")),
        (f"lora_transformer_{QUERY.replace('.', '_')}", ("lora_down.weight", "lora_up.weight")),
        (f"lycoris_{QUERY.replace('.', '_')}", ("lora_down.weight", "lora_up.weight")),
        (f"transformer.{QUERY}", ("lora.down.weight", "lora.up.weight")),
        (f"base_model.model.{QUERY}", ("lora_A.weight", "lora_B.weight")),
    ],
)
def test_every_name_of_a_matrix_means_the_same(module: str, names: tuple[str, str], tmp_path: Path) -> None:
    down, up = pair().values()
    save_file(named(pair(), f"transformer.{QUERY}"), tmp_path / "plain.safetensors")
    save_file({f"{module}.{names[0]}": down, f"{module}.{names[1]}": up}, tmp_path / "named.safetensors")
    torch.testing.assert_close(change(tmp_path / "named.safetensors"), change(tmp_path / "plain.safetensors"))
    alpha = {f"{module}.alpha": torch.tensor(2.0)}
    save_file({f"{module}.{names[0]}": down, f"{module}.{names[1]}": up, **alpha}, tmp_path / "named.safetensors")
    torch.testing.assert_close(change(tmp_path / "named.safetensors"), change(tmp_path / "plain.safetensors") / 2)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({f"transformer.{QUERY}.lokr_w1": torch.ones(2, 2)}, "lokr_w1"),
        ({f"transformer.{QUERY}.hada_w1_a": torch.ones(2, 2)}, "hada_w1_a"),
        ({f"transformer.{QUERY}.lora_B.bias": torch.ones(128)}, "lora_B.bias"),
        ({f"diffusion_model.{QUERY}.diff_b": torch.ones(128)}, "diff_b"),
        ({"transformer.norm_out.linear.lora_A.weight": torch.ones(4, 128)}, "norm_out.linear"),
        ({f"transformer.{QUERY}.lora_down.weight": torch.ones(4, 128)}, "lora_down"),
    ],
)
def test_what_would_be_left_out_is_refused_by_name(extra: dict[str, torch.Tensor], said: str, tmp_path: Path) -> None:
    save_file({**named(pair(), f"transformer.{QUERY}"), **extra}, tmp_path / "lora.safetensors")
    with pytest.raises(CheckpointError, match=rf"more than a plain LoRA or DoRA .*{said}"):
        read_lora(tmp_path / "lora.safetensors")


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("[" * 100_000, "not valid JSON"),
        ("7", "not valid JSON"),
        ('{"transformer.lora_alpha": NaN}', "not a finite number"),
        ('{"transformer.lora_alpha": "16"}', "not a finite number"),
        ('{"transformer.use_bdlora": true}', "use_bdlora"),
    ],
)
def test_settings_that_cannot_be_followed_are_refused(metadata: str, said: str, tmp_path: Path) -> None:
    tensors = named(pair(), f"transformer.{QUERY}")
    save_file(tensors, tmp_path / "lora.safetensors", {"lora_adapter_metadata": metadata})
    with pytest.raises(CheckpointError, match=said):
        change(tmp_path / "lora.safetensors")


def test_a_lora_of_another_model_is_refused(tmp_path: Path) -> None:
    for module, tensors in ((f"transformer.{QUERY}x", pair()), (QUERY, {**pair(), "lora_A.weight": torch.ones(4, 64)})):
        save_file(named(tensors, module), tmp_path / "lora.safetensors")
        with pytest.raises(ModelMismatchError, match=r"1 of its 1 matrices have no place there, such as '.*to_q"):
            change(tmp_path / "lora.safetensors")
