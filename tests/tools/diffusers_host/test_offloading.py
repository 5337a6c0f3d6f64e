"""Blocks that come to the device to compute: what has left is not there, and every result is the same to the bit.

There is one device here. So weights that leave are replaced by NaN until they come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.hooks.group_offloading import ModuleGroup
from gguf_writing import flux_gguf
from golden_case import GoldenCase
from PIL import Image
from small_pipeline import golden_files, pipeline_folder

from relation_core.errors import RelationAdapterError
from relation_tools.diffusers_host import offloading
from relation_tools.diffusers_host.models import ModelFiles, load_models
from relation_tools.diffusers_host.offloading import Offload
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.settings import EditSettings

CASE = GoldenCase.load("one_head")
SETTINGS = EditSettings(steps=4, long_side=96, refresh_every=2)
PLAIN = CASE.folder / "transformer.safetensors"


def picture(name: str) -> Image.Image:
    return Image.open(CASE.folder / f"{name}.png").convert("RGB")


def empty(tensor: torch.Tensor) -> torch.Tensor:
    return torch.full_like(tensor, torch.nan) if tensor.is_floating_point() else torch.full_like(tensor, 77)


def tensors_of(group: Any) -> Iterator[torch.Tensor]:
    """The weights that one of diffusers' groups moves."""
    for module in group.modules:
        yield from module.parameters()
    yield from group.parameters


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """For diffusers' groups."""
    kept: dict[torch.Tensor, torch.Tensor] = {}

    def leave(group: Any) -> None:
        for tensor in tensors_of(group):
            if tensor not in kept:  # T5 has one matrix twice
                kept[tensor] = tensor.data
                tensor.data = empty(tensor.data)

    def come(group: Any) -> None:
        for tensor in tensors_of(group):
            if tensor in kept:
                tensor.data = kept.pop(tensor)

    monkeypatch.setattr(ModuleGroup, "offload_", leave)
    monkeypatch.setattr(ModuleGroup, "onload_", come)


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the blocks of learning."""

    def leave(block: Any) -> None:
        for weight in block.weights:
            weight.data = empty(weight.data)

    monkeypatch.setattr(offloading._Block, "leave", leave)


def edited(files: ModelFiles, text: str, offload: Offload | None, learns: bool = False) -> tuple[Any, RelationPipeline]:
    pipeline = RelationPipeline(load_models(files, torch.float32), "cpu", offload, learns)
    relation = pipeline.relation([(picture("before"), picture("after"))], [1.0])
    prompt = pipeline.prompt(text)
    return [pipeline.edit(relation, picture("source"), prompt, SETTINGS).tobytes() for _ in range(2)], pipeline


def blocks_of(pipeline: RelationPipeline) -> list[torch.nn.Module]:
    transformer = pipeline._transformer
    return [*transformer.transformer_blocks, *transformer.single_transformer_blocks]


@pytest.mark.usefixtures("elsewhere")
def test_edits_are_the_same(tmp_path: Path) -> None:
    files = replace(golden_files(CASE, tmp_path), model=pipeline_folder(CASE, tmp_path / "pipeline"), vae=None)
    plain, _ = edited(files, "a cat", None)
    found, pipeline = edited(files, "a cat", "blocks")
    assert found == plain
    blocks = blocks_of(pipeline)
    assert all(weight.isnan().all() for block in blocks for weight in block.parameters())
    flux: Any = pipeline._flux
    assert all(weight.isnan().all() for weight in flux.text_encoder_2.parameters())


@pytest.mark.parametrize("kind", ["gguf", "int8", "fp8", "nf4"])
def test_edits_of_a_quantised_model_are_the_same(tmp_path: Path, kind: Any) -> None:
    files = golden_files(CASE, tmp_path)
    if kind == "gguf":
        files = replace(files, model=flux_gguf(tmp_path / "flux.gguf", PLAIN))
    else:
        files = replace(files, quantize=kind)
    assert edited(files, "", "blocks")[0] == edited(files, "", None)[0]


@pytest.mark.usefixtures("gone")
def test_gradients_are_the_same_and_one_block_is_there(tmp_path: Path) -> None:
    files = golden_files(CASE, tmp_path)
    found: list[torch.Tensor] = []
    offloads: tuple[Offload | None, ...] = (None, "blocks")
    for offload in offloads:
        pipeline = RelationPipeline(load_models(files, torch.float32), "cpu", offload, learns=True)
        predict = pipeline.predict(pipeline.prompt(""), 3.5)
        torch.manual_seed(0)
        noisy, source = torch.randn(2, 1, 16, 8, 8)
        noisy.requires_grad_()
        predict(noisy, source, torch.tensor([0.7]), None).square().sum().backward()
        assert noisy.grad is not None
        found.append(noisy.grad)
        there = [not any(weight.isnan().any() for weight in block.parameters()) for block in blocks_of(pipeline)]
        assert sum(there) == (len(there) if offload is None else 1)
    assert torch.equal(*found)
    assert edited(files, "", "blocks", learns=True)[0] == edited(files, "", None)[0]


def test_learning_through_a_quantised_model_keeps_all_blocks(tmp_path: Path) -> None:
    models = load_models(replace(golden_files(CASE, tmp_path), quantize="int8"), torch.float32)
    with pytest.raises(RelationAdapterError, match="is quantised, and its blocks were to wait"):
        RelationPipeline(models, "cpu", "blocks", learns=True)
