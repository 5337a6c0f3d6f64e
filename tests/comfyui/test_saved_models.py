"""What ComfyUI itself saves is read without ComfyUI."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from edits import Edit
from safetensors.torch import load_file, save_file

from comfyui_host.host import Host
from relation_core.errors import CheckpointError
from relation_core.weights.checkpoint import read_checkpoint
from relation_tools.diffusers_host.autoencoder import load_autoencoder
from relation_tools.diffusers_host.text_encoders import open_text_encoders
from relation_tools.diffusers_host.transformer_file import load_transformer
from scripts.small_models import RandomWeights, _write_clip_l, model_path


@pytest.mark.parametrize("case", ["one_head", "two_heads"])
def test_a_flux_that_comfyui_saved(host: Host, case: str) -> None:
    edit = Edit(host, case)
    model = edit.model(f"{case}/transformer.safetensors")  # without the LoRA, which saving would merge
    graph = edit.graph.copy()
    graph.add("ModelSave", model=model, filename_prefix=f"saved/{case}")
    host.execute(graph)
    (saved,) = (host.base / "output" / "saved").glob(f"{case}_*.safetensors")
    (original,) = (host.model_folder("diffusion_models") / case).iterdir()
    found, expected = (load_transformer(path, torch.float32).state_dict() for path in (saved, original))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_whole_checkpoint_that_comfyui_saved(host: Host) -> None:
    edit = Edit(host)
    clip_file = model_path(host.model_folder("text_encoders").parent, "text_encoders", "clip_l.safetensors")
    _write_clip_l(clip_file, RandomWeights(0))
    graph = edit.graph.copy()
    model = graph.add("UNETLoader", unet_name="one_head/transformer.safetensors", weight_dtype="default")
    clip = graph.add("CLIPLoader", clip_name=clip_file.name, type="stable_diffusion")
    vae = graph.add("VAELoader", vae_name="small.safetensors")
    graph.add("CheckpointSave", model=model, clip=clip, vae=vae, filename_prefix="saved/whole")
    host.execute(graph)
    (saved,) = (host.base / "output" / "saved").glob("whole_*.safetensors")
    names = read_checkpoint(saved).stored
    assert {name.split(".")[0] for name in names} == {"model", "text_encoders", "vae"}
    original = host.model_folder("diffusion_models") / "one_head" / "transformer.safetensors"
    for load, path in (
        (load_transformer, original),
        (load_autoencoder, host.model_folder("vae") / "small.safetensors"),
    ):
        found, expected = (load(one, torch.float32).state_dict() for one in (saved, path))
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    with pytest.raises(CheckpointError, match="text encoders are not read from single files"):
        open_text_encoders(saved, torch.float32)


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "model.model.", "net.", "model.", ""])
def test_prefixes_that_comfyui_takes(host: Host, tmp_path: Path, prefix: str) -> None:
    import comfy.sd

    path = tmp_path / "flux.safetensors"
    plain = {name.removeprefix("model.diffusion_model."): value for name, value in load_file(_saved(host)).items()}
    save_file({f"{prefix}{name}": value for name, value in plain.items()}, path)
    theirs = comfy.sd.load_diffusion_model(str(path)).model.diffusion_model.state_dict()
    found = load_transformer(path, torch.float32).state_dict()
    for own, name in (("img_in.weight", "x_embedder.weight"), ("txt_in.bias", "context_embedder.bias")):
        assert torch.equal(found[name], theirs[own].float()) and torch.equal(found[name], plain[own].float())


def _saved(host: Host) -> Path:
    edit = Edit(host)
    graph = edit.graph.copy()
    model = graph.add("UNETLoader", unet_name="one_head/transformer.safetensors", weight_dtype="default")
    graph.add("ModelSave", model=model, filename_prefix="saved/plain")
    host.execute(graph)
    return sorted((host.base / "output" / "saved").glob("plain_*.safetensors"))[-1]


def test_an_autoencoder_that_comfyui_saved(host: Host) -> None:
    edit = Edit(host)
    graph = edit.graph.copy()
    vae = graph.add("VAELoader", vae_name="small.safetensors")
    graph.add("VAESave", vae=vae, filename_prefix="saved/vae")
    host.execute(graph)
    (saved,) = (host.base / "output" / "saved").glob("vae_*.safetensors")
    original = host.model_folder("vae") / "small.safetensors"
    found, expected = (load_autoencoder(path, torch.float32).state_dict() for path in (saved, original))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
