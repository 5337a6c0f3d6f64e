"""What a user reads when something is wrong, through graphs in a real ComfyUI; and that the next good graph runs.

Errors of the model's kind are tested with the compositions, those of relation files with the relation files.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from edits import GOLDEN, Edit, random_state
from refusals import message_of, place
from released import ADDRESS, VISION_ADDRESS
from safetensors.torch import load_file

from comfyui_host.graph import Node
from comfyui_host.host import GraphError, Host

GOOD = GOLDEN / "one_head"
VISION = load_file(GOOD / "vision" / "model.safetensors")


@pytest.fixture(scope="module")
def good(host: Host) -> Callable[[], torch.Tensor]:
    """Runs the authors' edit, two steps of it, in a prompt of its own."""

    def run() -> torch.Tensor:
        edit = Edit(host)
        return edit.run(edit.sample(edit.apply(edit.model(), edit.relation()), edit.with_source(edit.text()), steps=2))

    return run


@pytest.fixture(scope="module")
def expected(good: Callable[[], torch.Tensor]) -> torch.Tensor:
    return good()


FOLLOWED: set[str] = set()
"""Tests after one of whose cases a good graph has run."""


@pytest.fixture(autouse=True)
def the_next_good_graph_runs(
    request: pytest.FixtureRequest, good: Callable[[], torch.Tensor], expected: torch.Tensor
) -> Iterator[None]:
    """After the first case of every test."""
    yield
    if request.function.__name__ not in FOLLOWED:
        FOLLOWED.add(request.function.__name__)
        assert torch.equal(good(), expected)


def loaded(edit: Edit, adapter: str | None = None, vision: str | None = None) -> Node:
    return edit.graph.add(
        "LoadRelationAdapter",
        adapter_name=adapter or "one_head/ip_adapter.bin",
        vision_name=vision or "one_head/model.safetensors",
    )


def test_a_model_that_is_no_flux(edit: Edit) -> None:
    """A small Wan, loaded by the core's own loader."""
    from comfy.ldm.wan.model import WanModel
    from comfy.ops import manual_cast

    sizes = {"dim": 128, "ffn_dim": 64, "num_heads": 1, "num_layers": 1, "in_dim": 16, "out_dim": 16}
    module = WanModel(model_type="t2v", device="cpu", dtype=torch.float32, operations=manual_cast, **sizes)
    name = place(edit.host, "diffusion_models", "wan.safetensors", random_state(module, seed=0))
    message = message_of(edit, edit.apply(edit.model(name), edit.relation()), "ModelMismatchError")
    assert re.search(r"The model is a WAN21; .*works on FLUX\.1 only.*Load one with Load Diffusion Model", message)


def test_a_flux_that_the_adapter_was_not_made_for(edit: Edit) -> None:
    node = edit.apply(edit.model("two_heads/transformer.safetensors"), edit.relation())
    message = message_of(edit, node, "ModelMismatchError")
    for part in ("2 attention blocks for 5", "2 heads for 1", "256 hidden size for 128", "48 text width for 32"):
        assert part in message
    assert "The model (Flux) does not fit the adapter" in message
    assert "Use the kind of Flux that the adapter was trained on; the released adapter is for FLUX.1-dev" in message


@pytest.mark.parametrize(
    ("prefix", "says"),
    [
        ("vision_model.encoder.", "is a SigLIP vision model without its attention-pooling head"),
        ("visual.", "holds a CLIP vision model (it has 'visual."),
    ],
)
def test_another_vision_model(edit: Edit, prefix: str, says: str) -> None:
    other = {f"{prefix}{name}": tensor for name, tensor in VISION.items()}
    message = message_of(
        edit, loaded(edit, vision=place(edit.host, "clip_vision", "other.safetensors", other)), "CheckpointError"
    )
    assert f"other.safetensors {says}" in message
    assert f"Use sigclip_vision_patch14_384.safetensors from {VISION_ADDRESS}" in message


def test_a_siglip_of_unknown_sizes(edit: Edit) -> None:
    name = place(edit.host, "clip_vision", "alone.safetensors", GOOD / "vision" / "model.safetensors")
    message = message_of(edit, loaded(edit, vision=name), "CheckpointError")
    assert "so400m-patch14-384 (there is no usable config.json beside the file)" in message
    assert "'vision_model.embeddings.patch_embedding.weight' is (32, 3, 14, 14) for (1152, 3, 14, 14)" in message


def test_a_siglip_that_the_adapter_does_not_see_through(edit: Edit) -> None:
    """A whole SigLIP, but half as wide."""
    folder = edit.host.model_folder("clip_vision") / "narrow"
    folder.mkdir(exist_ok=True)
    config = (GOOD / "vision" / "config.json").read_text().replace('"hidden_size": 32', '"hidden_size": 16')
    (folder / "config.json").write_text(config)

    def narrowed(name: str, tensor: torch.Tensor) -> torch.Tensor:
        sizes = [{32: 16, 96: 48}.get(size, size) for size in tensor.shape]
        return tensor[tuple(slice(size) for size in sizes)].clone()

    narrow = {name: narrowed(name, tensor) for name, tensor in VISION.items()}
    name = place(edit.host, "clip_vision", "narrow/model.safetensors", narrow)
    message = message_of(edit, edit.relation(relation_adapter=loaded(edit, vision=name)), "ExemplarError")
    assert "features of shape (1, 2, 16); the adapter ip_adapter.bin expects (pairs, 2, 32)" in message
    assert "Load the SigLIP vision model that the adapter was trained with" in message


FOREIGN = {
    "a LoRA": ("lora_unet_double_blocks_0_img_attn_proj.lora_down.weight",),
    "an IP-Adapter of XLabs": (
        "double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight",
        "ip_adapter_proj_model.proj.weight",
    ),
    "an IP-Adapter for Stable Diffusion": ("image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"),
    "a ControlNet": ("controlnet_blocks.0.weight", "transformer_blocks.0.attn.to_q.weight"),
    "an autoencoder": ("decoder.conv_in.weight", "encoder.conv_in.weight"),
    "a Stable Diffusion model": ("model.diffusion_model.input_blocks.0.0.weight",),
    "a SigLIP vision model": ("vision_model.head.probe",),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_checkpoint_of_another_kind(edit: Edit, kind: str) -> None:
    name = place(
        edit.host, "relation_adapter", "foreign.safetensors", {name: torch.zeros(2, 2) for name in FOREIGN[kind]}
    )
    message = message_of(edit, loaded(edit, name), "CheckpointError")
    assert re.search(rf"foreign\.safetensors is {kind}, not a RelationAdapter \(it has '[\w.]+'\)", message)
    assert f"Expected ip_adapter-100000.bin from {ADDRESS}" in message


@pytest.mark.parametrize(
    ("file", "kind"),
    [("transformer.safetensors", "a Flux diffusion model"), ("pytorch_lora_weights.safetensors", "a LoRA")],
)
def test_the_golden_files_confused(edit: Edit, file: str, kind: str) -> None:
    name = place(edit.host, "relation_adapter", f"confused_{file}", GOOD / file)
    assert f"is {kind}, not a RelationAdapter" in message_of(edit, loaded(edit, name), "CheckpointError")


def test_the_adapter_for_the_vision_model(edit: Edit) -> None:
    name = place(edit.host, "clip_vision", "ip_adapter.bin", GOOD / "ip_adapter.bin")
    message = message_of(edit, loaded(edit, vision=name), "CheckpointError")
    assert "holds a RelationAdapter" in message and "expected a SigLIP vision model" in message


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_a_download_that_broke_off(edit: Edit, share: float) -> None:
    whole = (GOOD / "ip_adapter.bin").read_bytes()
    name = place(edit.host, "relation_adapter", "truncated.bin", whole[: int(share * len(whole))])
    message = message_of(edit, loaded(edit, name), "CheckpointError")
    assert "truncated.bin is not a complete weights file" in message and "download the file again" in message
    whole = (GOOD / "vision" / "model.safetensors").read_bytes()
    name = place(edit.host, "clip_vision", "truncated.safetensors", whole[: int(share * len(whole))])
    message = message_of(edit, loaded(edit, vision=name), "CheckpointError")
    assert (
        "truncated.safetensors is not a complete .safetensors file" in message and "download the file again" in message
    )


class _MakeFolder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_pickle_is_not_run(edit: Edit) -> None:
    marker = edit.host.base / "marker"
    content: dict[str, Any] = {**torch.load(GOOD / "ip_adapter.bin"), "more": _MakeFolder(marker)}
    torch.save(content, edit.host.model_folder("relation_adapter") / "code.bin")
    message = message_of(edit, loaded(edit, "code.bin"), "CheckpointError")
    assert re.search(
        r"code\.bin is a pickle that holds more than plain tensors: it asks for \w+\.mkdir, which was not run",
        message,
    )
    assert "do not trust this file, and download the weights from their official address" in message
    assert not marker.exists()
    pickle.loads(pickle.dumps(_MakeFolder(marker)))
    assert marker.exists(), "the code would have done nothing"
    marker.rmdir()


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 3)])
def test_batches_of_different_length(edit: Edit, before: int, after: int) -> None:
    pictures = [edit.value(torch.rand(count, 40, 40, 3)) for count in (before, after)]
    message = message_of(edit, edit.relation(*pictures), "ExemplarError")
    assert f"There are {before} pictures before and {after} after the edit; expected the same number of each" in message
    assert "Give both pictures of every exemplar pair" in message


def test_a_relation_of_another_adapter(edit: Edit) -> None:
    other = edit.graph.add(
        "LoadRelationAdapter", adapter_name="two_heads/ip_adapter.bin", vision_name="two_heads/model.safetensors"
    )
    message = message_of(edit, edit.relation(relation=edit.relation(relation_adapter=other)), "RelationMismatchError")
    assert re.search(r"made with different adapters \(\w{16} and \w{16}\)", message)
    assert "Encode both with the same adapter, or give each an Apply RelationAdapter node of its own" in message


def flat_adapter() -> dict[str, torch.Tensor]:
    content = torch.load(GOOD / "ip_adapter.bin")
    return {f"{group}.{name}": tensor for group in content for name, tensor in content[group].items()}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("tensor", ["image_proj.proj.2.weight", "ip_adapter.3.to_v_ip.weight", "image_proj.norm.bias"])
def test_values_in_the_adapter_that_are_not_finite(edit: Edit, tensor: str, value: float) -> None:
    weights = flat_adapter()
    weights[tensor].view(-1)[-1] = value
    name = place(edit.host, "relation_adapter", "broken.safetensors", weights)
    message = message_of(edit, edit.relation(relation_adapter=loaded(edit, name)), "CheckpointError")
    assert f"broken.safetensors has NaN or infinite values in '{tensor}'" in message
    assert f"download it again from {ADDRESS}" in message


@pytest.mark.parametrize(
    "tensor",
    [
        "vision_model.head.probe",
        "vision_model.encoder.layers.1.self_attn.q_proj.weight",
        "vision_model.post_layernorm.bias",
    ],
)
def test_values_in_the_vision_model_that_are_not_finite(edit: Edit, tensor: str) -> None:
    weights = {**VISION, tensor: VISION[tensor].clone()}
    weights[tensor].view(-1)[0] = float("nan")
    name = place(edit.host, "clip_vision", "one_head/broken.safetensors", weights)
    message = message_of(edit, edit.relation(relation_adapter=loaded(edit, vision=name)), "CheckpointError")
    assert f"broken.safetensors has NaN or infinite values in '{tensor}'" in message
    assert VISION_ADDRESS in message


@pytest.mark.parametrize(
    ("names", "folder", "address"),
    [
        ({"adapter": "gone.bin"}, "relation_adapter", ADDRESS),
        ({"adapter": "../../outside.bin"}, "relation_adapter", ADDRESS),
        ({"vision": "gone.safetensors"}, "clip_vision", VISION_ADDRESS),
    ],
)
def test_a_file_that_is_not_there(edit: Edit, names: dict[str, str], folder: str, address: str) -> None:
    with pytest.raises(GraphError) as caught:
        edit.run(loaded(edit, **names))
    message = str(caught.value)
    assert message.startswith("refused: ")  # before anything runs
    where = edit.host.base / "models" / folder
    assert f"There is no file '{next(iter(names.values()))}' in {where}. Download it from {address}, " in message
    assert "put it there and press R to refresh" in message


def test_a_picture_too_narrow_to_split(edit: Edit) -> None:
    split = edit.graph.add("SplitImagePair", image=edit.value(torch.rand(1, 5, 1, 3)))
    message = message_of(edit, split, "ExemplarError")
    assert "1 pixel wide; expected two halves side by side. Choose another picture" in message


@pytest.mark.parametrize("shape", [(1, 40, 40, 7), (1, 0, 40, 3)])
@pytest.mark.parametrize("where", ["exemplar", "source", "comparison"])
def test_what_is_no_picture(edit: Edit, where: str, shape: tuple[int, ...]) -> None:
    wrong, picture = edit.value(torch.zeros(shape)), edit.picture("source")
    if where == "exemplar":
        node = edit.relation(before=wrong)
    elif where == "source":
        vae = edit.graph.add("VAELoader", vae_name="small.safetensors")
        inputs = {"conditioning": edit.text(), "vae": vae, "image": wrong, "long_side": 0, "source_scale": 1.0}
        node = edit.graph.add("RelationSourceEncode", **inputs)
    else:
        node = edit.graph.add("RelationComparison", before=picture, after=picture, source=picture, result=wrong)
    message = message_of(edit, node, "ExemplarError")
    assert f"Got a picture of shape {shape}; expected (batch, height, width, channels)" in message
    assert "Feed it from a Load Image node" in message
