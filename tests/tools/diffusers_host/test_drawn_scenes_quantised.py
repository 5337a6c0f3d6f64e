"""The model of drawn scenes from a GGUF makes the edits that it makes in bfloat16."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from gguf_writing import flux_gguf
from PIL import Image
from random_weights import relative_error

from benchmarks.drawn_scenes.model import ADAPTER, AUTOENCODER, FLUX, STEPS, VISION
from relation_core.pictures.tensors import from_pil
from relation_tools.diffusers_host.models import ModelFiles, load_models
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.settings import EditSettings
from relation_tools.drawn_scenes.examples import draw_pair
from relation_tools.drawn_scenes.relations import TRAINED
from tests.nearest_edit import nearest_edit

SETTINGS = EditSettings(steps=STEPS, long_side=0)
FILES = ModelFiles(FLUX, ADAPTER, VISION, AUTOENCODER)


def verdict(pipeline: RelationPipeline, name: str, number: int) -> tuple[str, torch.Tensor]:
    """The edit that a result is nearest to, and its latent."""
    before, after = draw_pair(name, 1000 + 2 * number)
    relation = pipeline.relation([(before, after)], [1.0])
    source: Image.Image = draw_pair("blur", 1000)[0]
    latent = pipeline.edit_latent(relation, source, pipeline.prompt(""), SETTINGS)
    return nearest_edit(from_pil(pipeline.pictures(latent)[0])[0], 1000), latent


@pytest.mark.parametrize(
    "every", [pytest.param(1, marks=pytest.mark.slow), pytest.param(6)], ids=["all edits", "some edits"]
)
def test_verdicts_from_q8_0_are_those_in_bfloat16(every: int, tmp_path: Path) -> None:
    eight = replace(FILES, model=flux_gguf(tmp_path / "flux-Q8_0.gguf", FLUX))
    pipelines = [RelationPipeline(load_models(files, torch.bfloat16), "cpu") for files in (FILES, eight)]
    errors: list[float] = []
    for number, relation in [*enumerate(TRAINED)][::every]:
        (plain, exact), (ours, latent) = (verdict(pipeline, relation.name, number) for pipeline in pipelines)
        assert plain == ours
        errors.append(relative_error(latent, exact))
    print(
        f"\n{len(errors)} edits: relative error of the latent {sum(errors) / len(errors):.2%}, most {max(errors):.2%}"
    )
    assert 0 < max(errors) < 0.05
