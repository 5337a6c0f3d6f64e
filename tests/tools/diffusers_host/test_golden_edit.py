"""The authors' edit with diffusers, from the files on, in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from golden_case import GoldenCase
from PIL import Image
from random_weights import relative_error
from small_pipeline import golden_files

from relation_core.flux.schedule import relation_sigmas
from relation_tools.diffusers_host.attention import ExemplarAttention
from relation_tools.diffusers_host.models import Models, load_models
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.sampling import Prompt, image_positions, sample

BOUND = 1e-5


@pytest.fixture
def models(case: GoldenCase, tmp_path: Path) -> Models:
    return load_models(golden_files(case, tmp_path), torch.float32)


def exemplars_of(models: Models, case: GoldenCase, dtype: torch.dtype = torch.float32) -> ExemplarAttention:
    pair = tuple(Image.open(case.folder / f"{name}.png").convert("RGB") for name in ("before", "after"))
    relation = RelationPipeline(models, "cpu").relation([pair], [1.0])
    found = ExemplarAttention.of_relation(relation, "cpu", dtype, case.meta["scale"], case.meta["scale"])
    assert found is not None
    return found


def sampled(models: Models, case: GoldenCase, first: int = 0, steps: int | None = None) -> torch.Tensor:
    """The latent after some steps from a golden one on."""
    grid = tuple(side // 2 for side in case.tensors["noise"].shape[-2:])
    sigmas = relation_sigmas(case.meta["steps"], grid[0] * grid[1])
    return sample(
        models.flux.transformer,
        Prompt(case.tensors["text"], case.tensors["pooled"]),
        case.tensors["source_latent"],
        case.tensors[f"latent_{first}"],
        sigmas[first : None if steps is None else first + steps + 1],
        case.meta["guidance"],
        exemplars_of(models, case, models.flux.transformer.dtype),
    )


def test_exemplar_tokens(case: GoldenCase, models: Models) -> None:
    pair = tuple(Image.open(case.folder / f"{name}.png").convert("RGB") for name in ("before", "after"))
    relation = RelationPipeline(models, "cpu").relation([pair], [1.0])
    assert relative_error(relation.tokens, case.tensors["tokens"].flatten(0, 1)[None]) < BOUND


def test_position_ids(case: GoldenCase) -> None:
    grid = (case.meta["height"] // 16, case.meta["width"] // 16)
    assert torch.equal(image_positions(grid, grid), case.tensors["img_ids"])


def test_final_latent(case: GoldenCase, models: Models) -> None:
    assert torch.equal(case.tensors["latent_0"], case.tensors["noise"])
    assert relative_error(sampled(models, case), case.tensors["final"]) < BOUND


def test_the_latent_after_every_step(case: GoldenCase, models: Models) -> None:
    for index in range(case.meta["steps"] - 1):
        found = sampled(models, case, index, steps=1)
        assert relative_error(found, case.tensors[f"latent_{index + 1}"]) < BOUND, index


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision(case: GoldenCase, tmp_path: Path, models: Models, dtype: torch.dtype) -> None:
    """What half precision changes much is the noise level, which diffusers rounds to it; so it is rounded here too."""
    transformer = models.flux.transformer
    exact = transformer.forward

    def rounded(*, timestep: torch.Tensor, guidance: torch.Tensor, **inputs: Any) -> Any:
        levels = [(level.to(dtype) * 1000).float() / 1000 for level in (timestep, guidance)]
        return exact(timestep=levels[0], guidance=levels[1], **inputs)

    transformer.forward = rounded
    found = sampled(load_models(golden_files(case, tmp_path), dtype), case)
    assert found.dtype == torch.float32
    assert relative_error(found, sampled(models, case)) < 0.01
    assert relative_error(found, case.tensors["final"]) < 0.5


def test_without_the_lora_or_at_half_strength_it_is_another_edit(case: GoldenCase, tmp_path: Path) -> None:
    without = sampled(load_models(golden_files(case, tmp_path, lora=False), torch.float32), case)
    half = sampled(load_models(golden_files(case, tmp_path), torch.float32, lora_strength=0.5), case)
    zero = sampled(load_models(golden_files(case, tmp_path), torch.float32, lora_strength=0.0), case)
    assert relative_error(without, case.tensors["final"]) > 0.01
    assert relative_error(half, case.tensors["final"]) > 0.001
    assert relative_error(half, without) > 0.001
    assert torch.equal(zero, without)
