"""The relation with LoRAs that let FLUX.1 do with few steps."""

from __future__ import annotations

import pytest
import torch
from compositions import APART, patched, samples, still
from edits import GOLDEN, Edit, relative_error
from safetensors.torch import load_file, save_file

from comfyui_host.graph import Node

BOUND = 1e-5


@pytest.mark.parametrize("prefix", ["transformer.", ""])
def test_a_few_step_lora(edit: Edit, prefix: str) -> None:
    """It changes every matrix, those of the embeddings and of the modulation too, and takes 8 steps."""
    name = "few_steps.safetensors"
    save_file(_lora_of_all_matrices(prefix), edit.host.model_folder("loras") / name)
    plain = edit.graph.add("UNETLoader", unet_name="one_head/transformer.safetensors", weight_dtype="default")

    def distilled(model: Node, strength: float = 1.0) -> Node:
        return edit.graph.add("LoraLoaderModelOnly", model=model, lora_name=name, strength_model=strength)

    before, after, *others = samples(
        edit,
        patched(edit, edit.lora(distilled(plain))),
        distilled(patched(edit, edit.lora(plain))),
        distilled(patched(edit, edit.lora(plain)), 0.125),
        patched(edit, edit.lora(plain)),
        patched(edit, distilled(plain)),
        still(edit, edit.lora(distilled(plain))),
        steps=8,
    )
    assert relative_error(after, before) < BOUND
    assert min(relative_error(other, before) for other in others) > APART


def _lora_of_all_matrices(prefix: str) -> dict[str, torch.Tensor]:
    """A LoRA of rank 2 under diffusers' names, of random weights."""
    generator, parts = torch.Generator().manual_seed(3), dict[str, torch.Tensor]()
    for key, weight in load_file(GOLDEN / "one_head" / "transformer.safetensors").items():
        if weight.ndim == 2:
            rows, columns = weight.shape
            layer = prefix + key.removesuffix(".weight")
            parts[f"{layer}.lora_A.weight"] = torch.randn(2, columns, generator=generator) / columns**0.5
            parts[f"{layer}.lora_B.weight"] = 0.05 * torch.randn(rows, 2, generator=generator)
    return parts
