"""SigLIP inside ComfyUI against its reference implementation."""

from __future__ import annotations

import json

import pytest
import torch
from edits import GOLDEN, Edit, relative_error
from safetensors.torch import load_file, save_file

from comfyui_host.host import Host

BOUND = 1e-5


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_pooled_output_is_the_references(host: Host, scale: float) -> None:
    """Also where features are so faint that a layer norm's epsilon shows: SigLIP has 1e-6, PyTorch 1e-5."""
    transformers = pytest.importorskip("transformers")
    golden = GOLDEN / "one_head" / "vision"
    tensors = load_file(golden / "model.safetensors")
    for name in tensors:
        if ".embeddings." in name or name.endswith(("out_proj.weight", "out_proj.bias")) or ".fc2." in name:
            tensors[name] = scale * tensors[name]
    folder = host.model_folder("clip_vision") / f"faint_{scale}"
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    config = json.loads((golden / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config))
    reference = transformers.SiglipVisionModel.from_pretrained(folder, dtype=torch.float32).eval()

    edit = Edit(host)
    loaded = edit.run(
        edit.graph.add(
            "LoadRelationAdapter",
            adapter_name="one_head/ip_adapter.bin",
            vision_name=f"faint_{scale}/model.safetensors",
        )
    )
    pixels = edit.tensors["pixel_values"]
    with torch.inference_mode():
        expected = reference(pixel_values=pixels)
        found = loaded.vision.pooled(pixels)
    assert relative_error(found, expected.pooler_output) < BOUND
