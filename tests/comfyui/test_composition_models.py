"""The relation on every kind of Flux, and on models that do not call the hooks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compositions import APART, patched, samples, still
from edits import Edit, relative_error
from flux_models import PARAMS, write_flux

from comfyui_host.graph import Node
from comfyui_host.host import GraphError


@pytest.mark.parametrize(
    ("kind", "changes"), [("dev_and_krea_and_kontext", {}), ("schnell", {"guidance_embed": False})]
)
def test_kinds_that_work(edit: Edit, kind: str, changes: dict[str, Any]) -> None:
    name = write_flux(edit.host, f"{kind}.safetensors", **changes)
    found, plain = samples(edit, patched(edit, edit.model(name)), still(edit, edit.model(name)))
    assert relative_error(found, plain) > APART


@pytest.mark.parametrize(("kind", "channels"), [("fill", 96), ("canny_and_depth", 32)])
def test_kinds_with_further_channels_take_no_source(edit: Edit, kind: str, channels: int) -> None:
    name = write_flux(edit.host, f"{kind}.safetensors", in_channels=channels)
    model = patched(edit, edit.model(name))
    with pytest.raises(GraphError, match=r"ModelMismatchError: This Flux takes extra channels.*Use FLUX\.1-dev"):
        samples(edit, model)
    found, plain = samples(edit, model, still(edit, edit.model(name)), text=edit.text())  # without a source it runs
    assert relative_error(found, plain) > APART


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"depth": 3}, "6 attention blocks for 5"),
        ({"hidden_size": 256, "num_heads": 2}, "2 heads for 1, 256 hidden size for 128"),
        ({"context_in_dim": 48}, "48 text width for 32"),
    ],
)
def test_a_flux_of_other_sizes_is_refused(edit: Edit, changes: dict[str, Any], says: str) -> None:
    name = write_flux(edit.host, f"other_{next(iter(changes))}.safetensors", **changes)
    with pytest.raises(GraphError, match=f"does not fit the adapter.*{says}.*Use the kind of Flux"):
        edit.run(patched(edit, edit.model(name)))


@pytest.mark.parametrize("name", ["Chroma", "Flux2", "LongCatImage"])
def test_other_families_are_refused(edit: Edit, name: str) -> None:
    """Models of the host's own classes; without weights, which nothing reads before the refusal."""
    import comfy.model_base
    import comfy.model_patcher
    import comfy.supported_models

    kind = {"Chroma": "chroma", "Flux2": "flux2", "LongCatImage": "flux"}[name]
    sizes = {key: value for key, value in PARAMS.items() if key != "guidance_embed"}
    if name == "Chroma":
        sizes |= {"in_dim": 64, "out_dim": 128, "hidden_dim": 64, "n_layers": 1}
    else:
        sizes |= {"guidance_embed": False}
    config = getattr(comfy.supported_models, name)({"image_model": kind, **sizes})
    model = config.get_model({}, device="cpu")
    patcher = comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))
    with pytest.raises(GraphError, match=rf"ModelMismatchError: The model is a {name}; .* FLUX\.1 only"):
        edit.run(patched(edit, edit.value(patcher)))


# Models that do not call the hooks


class _Deaf(torch.nn.Module):
    """A Flux that takes no notice of transformer_options, as Nunchaku's does."""

    def __init__(self, flux: torch.nn.Module) -> None:
        super().__init__()
        self.flux = flux
        self.dtype = flux.dtype

    def forward(self, *args: Any, transformer_options: Any = None, **kwargs: Any) -> torch.Tensor:
        return self.flux(*args, transformer_options={}, **kwargs)


def own_model(edit: Edit) -> Any:
    """A model that no other test shares."""
    import comfy.sd

    return comfy.sd.load_diffusion_model(
        str(edit.host.base / "models/diffusion_models/one_head/transformer.safetensors")
    )


def test_a_model_that_ignores_the_hooks_is_found_on_the_first_step(edit: Edit) -> None:
    model = own_model(edit)
    model.model.diffusion_model = _Deaf(model.model.diffusion_model)
    with pytest.raises(
        GraphError, match=r"ModelMismatchError: This model \(.*_Deaf\) does not call.*Nunchaku.*Load FLUX.1"
    ):
        samples(edit, patched(edit, edit.value(model)))


def replaced_blocks(edit: Edit, doubles: int, singles: int) -> Node:
    """A model in which another pack runs the last blocks itself, past the hooks."""
    model = own_model(edit).clone()
    for kind, count, total in (("double_block", doubles, 2), ("single_block", singles, 3)):
        for index in range(total - count, total):
            model.set_model_patch_replace(lambda args, extra: args, "dit", kind, index)
    return edit.value(model)


def test_blocks_that_are_all_replaced_are_found_on_the_first_step(edit: Edit) -> None:
    with pytest.raises(GraphError, match=r"does not call ComfyUI's attention patches.*remove nodes that replace"):
        samples(edit, patched(edit, replaced_blocks(edit, 2, 3)))


def test_some_replaced_blocks_are_no_error(edit: Edit) -> None:
    """In the others the relation acts: in double blocks alone, in single blocks alone, and in both as in their sum."""
    model = replaced_blocks(edit, 1, 2)
    found, neither, plain, idle, double, single = samples(
        edit,
        patched(edit, model),
        still(edit, model),
        model,
        patched(edit, model, strength=0.0),
        patched(edit, model, single_strength=0.0),
        patched(edit, model, double_strength=0.0),
        steps=2,
    )
    assert torch.equal(idle, plain)
    for part in (found, double, single):
        assert relative_error(part, neither) > APART
    assert relative_error(double, found) > APART and relative_error(single, found) > APART
