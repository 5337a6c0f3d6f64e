"""What ComfyUI itself saves is read without ComfyUI."""

from __future__ import annotations

import pytest
import torch
from edits import Edit

from comfyui_host.host import Host
from relation_tools.diffusers_host.autoencoder import load_autoencoder
from relation_tools.diffusers_host.transformer_file import load_transformer


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
