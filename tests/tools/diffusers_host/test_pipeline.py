"""Edits of pictures by the whole pipeline, with the golden models and a tiny autoencoder of random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_case import GoldenCase
from PIL import Image, ImageOps
from random_weights import relative_error
from small_pipeline import golden_files, pipeline_folder

from relation_core.errors import ExemplarError, RelationAdapterError
from relation_core.relation.pairs import Pair
from relation_core.relation.relation import Relation
from relation_tools.diffusers_host.models import load_models
from relation_tools.diffusers_host.offloading import Offload
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.sampling import draw_noise
from relation_tools.diffusers_host.settings import EditSettings

SETTINGS = EditSettings(steps=2, long_side=96)


@pytest.fixture(scope="module")
def case() -> GoldenCase:
    return GoldenCase.load("one_head")


@pytest.fixture(scope="module")
def pipeline(case: GoldenCase, tmp_path_factory: pytest.TempPathFactory) -> RelationPipeline:
    files = golden_files(case, tmp_path_factory.mktemp("models"))
    return RelationPipeline(load_models(files, torch.float32), "cpu")


def picture(case: GoldenCase, name: str) -> Image.Image:
    return Image.open(case.folder / f"{name}.png").convert("RGB")


def pair(case: GoldenCase) -> Pair:
    return picture(case, "before"), picture(case, "after")


@pytest.fixture
def relation(pipeline: RelationPipeline, case: GoldenCase) -> Relation:
    return pipeline.relation([pair(case)], [1.0])


def latent(
    pipeline: RelationPipeline,
    case: GoldenCase,
    relation: Relation,
    settings: EditSettings = SETTINGS,
    source: Image.Image | None = None,
) -> torch.Tensor:
    return pipeline.edit_latent(relation, source or picture(case, "source"), pipeline.prompt(""), settings)


def test_the_result_is_a_picture_of_the_sources_proportions(
    pipeline: RelationPipeline, case: GoldenCase, relation: Relation
) -> None:
    prompt = pipeline.prompt("")
    for size, long_side, expected in (
        ((96, 64), 96, (96, 64)),
        ((96, 64), 192, (192, 128)),
        ((50, 100), 64, (32, 64)),
        ((70, 37), 0, (64, 32)),
    ):
        source = picture(case, "source").resize(size)
        result = pipeline.edit(relation, source, prompt, replace(SETTINGS, long_side=long_side, steps=1))
        assert (result.size, result.mode) == (expected, "RGB")


def test_every_setting_changes_the_result_and_the_seed_fixes_it(
    pipeline: RelationPipeline, case: GoldenCase, relation: Relation
) -> None:
    base = latent(pipeline, case, relation)
    assert torch.equal(latent(pipeline, case, relation), base)
    for change in (
        {"steps": 3},
        {"guidance": 2.0},
        {"strength": 0.5},
        {"double_strength": 0.5},
        {"single_strength": 0.5},
        {"start": 0.6},
        {"end": 0.4},
        {"seed": 1},
        {"source_scale": 0.5},
    ):
        assert relative_error(latent(pipeline, case, relation, replace(SETTINGS, **change)), base) > 1e-4, change
    longer = replace(SETTINGS, steps=3)  # of two steps, the last computes the source anyway
    exact, reused = (latent(pipeline, case, relation, replace(longer, refresh_every=every)) for every in (1, 2))
    assert relative_error(reused, exact) > 1e-4
    rounded = latent(pipeline, case, relation, replace(longer, refresh_every=2, reuse_8bit=True))
    assert 0 < relative_error(rounded, reused) < 0.2 * relative_error(reused, exact)
    assert (
        relative_error(latent(pipeline, case, relation, source=ImageOps.mirror(picture(case, "source"))), base) > 1e-4
    )


def test_at_strength_0_or_in_an_empty_range_the_relation_does_nothing(
    pipeline: RelationPipeline, case: GoldenCase, relation: Relation
) -> None:
    without = latent(pipeline, case, replace(relation, pair_weights=(0.0,)))
    still = ({"strength": 0.0}, {"start": 0.5, "end": 0.5}, {"double_strength": 0.0, "single_strength": 0.0})
    for change in still:
        assert torch.equal(latent(pipeline, case, relation, replace(SETTINGS, **change)), without), change
    # The first of two steps is at noise level 1, the second below: together the halves are the whole range.
    assert not torch.equal(latent(pipeline, case, relation, replace(SETTINGS, end=0.01)), without)


def test_pairs_and_their_weights(pipeline: RelationPipeline, case: GoldenCase) -> None:
    first, second = pair(case), (picture(case, "after"), picture(case, "source"))

    def edited(pairs: list[Pair], weights: list[float]) -> torch.Tensor:
        return latent(pipeline, case, pipeline.relation(pairs, weights))

    alone = edited([first], [1.0])
    assert relative_error(edited([first, second], [2.0, 0.0]), alone) < 1e-5
    assert relative_error(edited([first, first], [1.0, 3.0]), alone) < 1e-5
    mixed = edited([first, second], [1.0, 1.0])
    assert relative_error(mixed, alone) > 1e-4
    assert relative_error(edited([first, second], [3.0, 1.0]), mixed) > 1e-4


def test_what_is_refused(pipeline: RelationPipeline, case: GoldenCase) -> None:
    with pytest.raises(ExemplarError, match="Got 1 exemplar pairs and 2 weights"):
        pipeline.relation([pair(case)], [1.0, 1.0])
    with pytest.raises(ExemplarError, match="Got 0 exemplar pairs"):
        pipeline.relation([], [])
    with pytest.raises(ExemplarError, match=r"Got weight = -1\.0; expected a number of at least 0"):
        pipeline.relation([pair(case)], [-1.0])
    with pytest.raises(RelationAdapterError, match=r"a prompt \('a cat'\) but no text encoder; expected one"):
        pipeline.prompt("a cat")
    for name, value in (
        ("steps", 0),
        ("start", -0.1),
        ("end", 1.1),
        ("seed", -1),
        ("long_side", -1),
        ("source_scale", 0.0),
        ("source_scale", 1.5),
    ):
        with pytest.raises(RelationAdapterError, match=f"Got {name} = {value}; expected "):
            replace(SETTINGS, **{name: value})


def test_a_whole_pipeline_reads_the_prompt(case: GoldenCase, tmp_path: Path) -> None:
    folder = pipeline_folder(case, tmp_path / "pipeline")
    files = replace(golden_files(case, tmp_path), model=folder, vae=None)
    pipeline = RelationPipeline(load_models(files, torch.float32), "cpu")
    relation = pipeline.relation([pair(case)], [1.0])
    prompts = [pipeline.prompt(text) for text in ("a cat", "a dog", "")]
    assert prompts[0].text.shape == (1, 512, case.meta["text_dim"])
    assert prompts[0].pooled.shape == (1, case.meta["pooled_dim"])
    assert not any(part.requires_grad for prompt in prompts for part in (prompt.text, prompt.pooled))
    results = [pipeline.edit_latent(relation, picture(case, "source"), prompt, SETTINGS) for prompt in prompts]
    assert len({float(result.double().sum()) for result in results}) == 3
    separate = replace(golden_files(case, tmp_path), text=folder, vae=folder)
    again = RelationPipeline(load_models(separate, torch.float32), "cpu")
    found = again.edit_latent(relation, picture(case, "source"), again.prompt("a cat"), SETTINGS)
    assert torch.equal(found, results[0])


def test_offloading_changes_where_and_not_what(case: GoldenCase, tmp_path: Path) -> None:
    """With accelerate's hooks in place, though on the CPU: the models are called past none of them."""
    folder = pipeline_folder(case, tmp_path / "pipeline")
    files = replace(golden_files(case, tmp_path), model=folder, vae=None)
    results = []
    offloads: tuple[Offload | None, ...] = (None, "models")
    for offload in offloads:
        models = load_models(files, torch.float32)
        pipeline = RelationPipeline(models, "cpu", offload)
        relation = pipeline.relation([pair(case)], [1.0])
        called: list[str] = []
        if offload:
            for name in ("text_encoder", "text_encoder_2", "transformer", "vae"):
                watch(getattr(models.flux, name)._hf_hook, name, called)
        results.append(pipeline.edit(relation, picture(case, "source"), pipeline.prompt("a cat"), SETTINGS))
    order = ["text_encoder", "text_encoder_2", "vae", *["transformer"] * SETTINGS.steps, "vae"]
    assert called == order
    assert results[0].tobytes() == results[1].tobytes()


def watch(hook: Any, name: str, called: list[str]) -> None:
    before = hook.pre_forward

    def pre_forward(*args: Any, **inputs: Any) -> Any:
        called.append(name)
        return before(*args, **inputs)

    hook.pre_forward = pre_forward


def test_noise_comes_from_the_seed_alone() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    noise = draw_noise((1, 16, 4, 6), 7)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(7)
    assert torch.equal(noise, torch.randn(1, 16, 4, 6))
