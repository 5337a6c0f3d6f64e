"""Every stage against what the authors' code computed, in float32, from their files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageChops
from random_weights import relative_error
from safetensors.torch import load_file, save_file

from relation_core.adapter.adapter import RelationAdapter, open_adapter
from relation_core.flux.attention import torch_attention
from relation_core.flux.positions import source_positions
from relation_core.flux.schedule import relation_sigmas
from relation_core.pictures.tensors import from_pil, to_pil
from relation_core.progress import Silent
from relation_core.relation.relation import Relation, encode_relation
from relation_core.relation.tokens import exemplar_tokens
from relation_core.vision.exemplar import resize_exemplar, vision_pixels
from relation_core.vision.pooling_head import AttentionPoolingHead
from relation_core.vision.vision_file import open_vision

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
BOUND = 1e-5
NAMES = ("before", "after")


@dataclass
class Case:
    folder: Path
    meta: dict[str, float]
    tensors: dict[str, torch.Tensor]

    def picture(self, name: str) -> Image.Image:
        """A picture as it comes out of a Load Image node."""
        return to_pil(from_pil(Image.open(self.folder / f"{name}.png")))[0]

    @property
    def grid(self) -> tuple[int, int]:
        return int(self.meta["height"]) // 16, int(self.meta["width"]) // 16


@pytest.fixture(params=["one_head", "two_heads"])
def case(request: pytest.FixtureRequest) -> Case:
    folder = GOLDEN / request.param
    return Case(folder, json.loads((folder / "meta.json").read_text()), load_file(folder / "case.safetensors"))


@pytest.fixture(params=[".bin", ".safetensors"])
def adapter(request: pytest.FixtureRequest, case: Case, tmp_path: Path) -> RelationAdapter:
    released = case.folder / "ip_adapter.bin"
    if request.param == ".bin":
        return open_adapter(released)
    return open_adapter(converted(released, tmp_path / "converted.safetensors"))


def converted(released: Path, target: Path) -> Path:
    """The same tensors under flat names, read by PyTorch alone."""
    content = torch.load(released, weights_only=True)
    save_file({f"{group}.{name}": tensor for group in content for name, tensor in content[group].items()}, target)
    return target


def relation_of(adapter: RelationAdapter, case: Case) -> Relation:
    pooled = case.tensors["vision_pooled"][None]
    return encode_relation(adapter, pooled, torch.zeros(1, 128, 256, 3, dtype=torch.uint8), 1.0, "cpu", torch.float32)


@pytest.mark.parametrize("name", NAMES)
def test_exemplars_are_resized_pixel_for_pixel(case: Case, name: str) -> None:
    resized = resize_exemplar(case.picture(name))
    expected = Image.open(case.folder / f"{name}_resized.png").convert("RGB")
    assert list(resized.size) == case.tensors[f"{name}_resized_size"].tolist()
    assert ImageChops.difference(resized, expected).getbbox() is None


def test_pixel_values(case: Case) -> None:
    pixels = vision_pixels([resize_exemplar(case.picture(name)) for name in NAMES], image_size=56)
    assert pixels.dtype == torch.float32
    assert relative_error(pixels, case.tensors["pixel_values"]) < BOUND


def test_pooled_vision_output(case: Case) -> None:
    vision = open_vision(case.folder / "vision" / "model.safetensors")
    head = AttentionPoolingHead(vision.config, torch.nn, torch_attention, "cpu", torch.float32)
    head.load(vision.head)
    with torch.inference_mode():
        pooled = head(case.tensors["vision_last_hidden"])
    assert relative_error(pooled, case.tensors["vision_pooled"]) < BOUND


def test_tokens(case: Case, adapter: RelationAdapter) -> None:
    tokens = exemplar_tokens(case.tensors["vision_pooled"], adapter.weights(), adapter.config, "cpu", Silent())
    assert relative_error(tokens, case.tensors["tokens"]) < BOUND


def test_before_stands_before_after(case: Case, adapter: RelationAdapter) -> None:
    assert relative_error(relation_of(adapter, case).tokens, case.tensors["tokens"].flatten(0, 1)[None]) < BOUND


def test_keys_and_values(case: Case, adapter: RelationAdapter) -> None:
    found = relation_of(adapter, case).keys_values
    heads, blocks = int(case.meta["heads"]), int(case.meta["double"] + case.meta["single"])
    tokens = case.tensors["tokens"].double().flatten(0, 1)
    state = torch.load(case.folder / "ip_adapter.bin", weights_only=True)["ip_adapter"]
    for block in range(blocks):
        key, value = (
            (tokens @ state[f"{block}.to_{part}_ip.weight"].double().T).unflatten(1, (heads, -1)).transpose(0, 1)
            for part in "kv"
        )
        key = key / (key.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        assert relative_error(found.keys[block], key) < BOUND
        assert relative_error(found.values[block], value) < BOUND
    assert found.keys.shape == found.values.shape == (blocks, heads, tokens.shape[0], 128)


def test_the_format_of_the_file_does_not_show(case: Case, tmp_path: Path) -> None:
    released = open_adapter(case.folder / "ip_adapter.bin")
    flat = open_adapter(converted(released.path, tmp_path / "converted.safetensors"))
    assert (released.config, released.fingerprint) == (flat.config, flat.fingerprint)
    first, second = relation_of(released, case), relation_of(flat, case)
    assert torch.equal(first.tokens, second.tokens)
    assert torch.equal(first.keys_values.keys, second.keys_values.keys)
    assert torch.equal(first.keys_values.values, second.keys_values.values)


def test_position_ids(case: Case) -> None:
    ids = case.tensors["img_ids"]
    target, source = ids[None].chunk(2, dim=1)
    assert torch.equal(source_positions(target, case.grid, case.grid), source)


def test_sigmas(case: Case) -> None:
    rows, columns = case.grid
    sigmas = relation_sigmas(int(case.meta["steps"]), rows * columns)
    assert sigmas.dtype == torch.float32
    assert relative_error(sigmas, case.tensors["sigmas"]) < BOUND
