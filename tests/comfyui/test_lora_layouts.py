"""LoRA files in the layouts that ComfyUI takes: the headless engine changes the same weights by the same amount."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from edits import GOLDEN
from safetensors.torch import save_file

from comfyui_host.host import Host

pytest.importorskip("diffusers")

from relation_tools.diffusers_host.lora_file import fuse_lora, read_lora
from relation_tools.diffusers_host.lora_names import places
from relation_tools.diffusers_host.transformer_file import load_transformer

SHAPES = {  # of matrices in FLUX.1's own layout, in the golden case
    "double_blocks.0.img_attn.qkv": (384, 128),
    "double_blocks.1.txt_attn.qkv": (384, 128),
    "double_blocks.0.img_attn.proj": (128, 128),
    "double_blocks.1.txt_attn.proj": (128, 128),
    "double_blocks.0.img_mlp.0": (512, 128),
    "double_blocks.0.txt_mlp.2": (128, 512),
    "double_blocks.0.img_mod.lin": (768, 128),
    "double_blocks.1.txt_mod.lin": (768, 128),
    "single_blocks.0.linear1": (896, 128),
    "single_blocks.2.linear2": (128, 640),
    "single_blocks.1.modulation.lin": (384, 128),
    "img_in": (128, 64),
    "time_in.in_layer": (128, 256),
    "final_layer.linear": (64, 128),
    "final_layer.adaLN_modulation.1": (256, 128),
}
DIFFUSERS = {
    "transformer_blocks.0.attn.to_q": (128, 128),
    "transformer_blocks.1.attn.add_v_proj": (128, 128),
    "transformer_blocks.1.attn.to_out.0": (128, 128),
    "transformer_blocks.0.ff.net.0.proj": (512, 128),
    "single_transformer_blocks.1.attn.to_k": (128, 128),
    "single_transformer_blocks.2.proj_mlp": (512, 128),
    "single_transformer_blocks.0.proj_out": (128, 640),
}
PEFT, KOHYA = ("lora_A", "lora_B"), ("lora_down", "lora_up")
LAYOUTS = {
    "diffusers": ("transformer.", DIFFUSERS, PEFT, False),
    "diffusers' names alone": ("", DIFFUSERS, PEFT, False),
    "ComfyUI": ("diffusion_model.", SHAPES, PEFT, False),
    "ComfyUI's names and kohya's parts": ("diffusion_model.", SHAPES, KOHYA, False),
    "kohya": ("lora_unet_", SHAPES, KOHYA, True),
    "OneTrainer": ("lora_transformer_", DIFFUSERS, KOHYA, True),
    "LyCORIS": ("lycoris_", DIFFUSERS, KOHYA, True),
}


def write(file: Path, layout: str, parts: str) -> None:
    prefix, shapes, (down, up), flat = LAYOUTS[layout]
    generator, tensors = torch.Generator().manual_seed(3), dict[str, torch.Tensor]()
    for module, (height, width) in shapes.items():
        name = prefix + (module.replace(".", "_") if flat else module)
        tensors[f"{name}.{down}.weight"] = torch.randn(4, width, generator=generator) / 8
        tensors[f"{name}.{up}.weight"] = torch.randn(height, 4, generator=generator)
        if parts != "plain":
            tensors[f"{name}.alpha"] = torch.tensor(7.0)
        if parts == "DoRA by rows":
            tensors[f"{name}.dora_scale"] = torch.rand(height, 1, generator=generator) + 0.5
        if parts == "DoRA by columns":
            tensors[f"{name}.dora_scale"] = torch.rand(1, width, generator=generator) + 0.5
    save_file(tensors, file)


@pytest.mark.parametrize("parts", ["plain", "alpha", "DoRA by rows", "DoRA by columns"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_hosts_change_the_weights_alike(layout: str, parts: str, host: Host, tmp_path: Path) -> None:
    import comfy.sd
    import comfy.utils

    if parts.startswith("DoRA") and layout not in ("ComfyUI", "kohya", "OneTrainer"):
        pytest.skip("one layout of each kind")
    file = tmp_path / "lora.safetensors"
    write(file, layout, parts)
    strength = 0.7
    flux = shutil.copy(GOLDEN / "one_head" / "transformer.safetensors", tmp_path / "flux.safetensors")
    model = comfy.sd.load_diffusion_model(str(flux))
    before = {name: tensor.clone() for name, tensor in model.model.diffusion_model.state_dict().items()}
    patched, _ = comfy.sd.load_lora_for_models(model, None, comfy.utils.load_torch_file(str(file)), strength, 0.0)
    patched.patch_model(device_to=torch.device("cpu"))
    after = {name: tensor.clone() for name, tensor in patched.model.diffusion_model.state_dict().items()}
    transformer = load_transformer(Path(flux), torch.float32)
    fuse_lora(transformer, read_lora(file), strength)
    known, ours = places(transformer), transformer.state_dict()
    changed = 0
    for name, tensor in after.items():
        module = f"diffusion_model.{name.removesuffix('.weight')}"
        if tensor.ndim != 2 or module not in known:
            continue
        found = torch.cat([ours[f"{rows.weight}.weight"][rows.start : rows.stop] for rows in known[module]])
        size = (tensor - before[name]).norm()
        changed += bool(size > 0)
        assert (found - tensor).norm() <= 1e-5 * (size if size else tensor.norm()), name
    assert changed >= len(DIFFUSERS) - 1
