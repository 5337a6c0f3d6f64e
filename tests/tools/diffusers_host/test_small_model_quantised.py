"""The small model from a GGUF makes the edits that it makes in bfloat16."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf_writing import flux_gguf
from random_weights import relative_error

from relation_core.scenes.examples import draw_pair, example_scene
from relation_core.scenes.named_edits import EDITS, UNSEEN
from relation_core.scenes.painting import paint
from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, STEPS, VISION
from relation_tools.diffusers_host.autoencoder import decode, load_autoencoder
from relation_tools.diffusers_host.models import ModelFiles, load_models
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.settings import EditSettings

SETTINGS = EditSettings(steps=STEPS, long_side=0)
FILES = ModelFiles(FLUX, ADAPTER, VISION, AUTOENCODER)
TRAINED = [name for name in EDITS if not name.endswith(UNSEEN)]
SCENE = example_scene(EDITS["fog"], 1000)
"""The source of all edits."""


@cache
def targets() -> dict[str, np.ndarray]:
    """What each edit makes of the source, and the source itself."""
    pictures = {"nothing": paint(SCENE)} | {name: EDITS[name].apply(SCENE) for name in TRAINED}
    return {name: np.asarray(picture, np.float32) for name, picture in pictures.items()}


@cache
def autoencoder() -> Any:
    """In float32: in bfloat16 it takes a processor a hundred times as long."""
    return load_autoencoder(AUTOENCODER, torch.float32)


def verdict(pipeline: RelationPipeline, name: str, number: int) -> tuple[str, torch.Tensor]:
    """The edit that a result is nearest to, and its latent."""
    before, after = draw_pair(name, 1000 + 2 * number)
    relation = pipeline.relation([(before, after)], [1.0])
    latent = pipeline.edit_latent(relation, paint(SCENE), pipeline.prompt(""), SETTINGS)
    result = 255 * decode(autoencoder(), latent.float())[0].numpy()
    errors = {edit: float(np.square(target - result).mean()) for edit, target in targets().items()}
    return min(errors, key=errors.__getitem__), latent


@pytest.mark.parametrize(
    "every", [pytest.param(1, marks=pytest.mark.slow), pytest.param(6)], ids=["all edits", "some edits"]
)
def test_verdicts_from_q8_0_are_those_in_bfloat16(every: int, tmp_path: Path) -> None:
    eight = replace(FILES, model=flux_gguf(tmp_path / "flux-Q8_0.gguf", FLUX))
    pipelines = [RelationPipeline(load_models(files, torch.bfloat16), "cpu") for files in (FILES, eight)]
    errors: list[float] = []
    for number, name in [*enumerate(TRAINED)][::every]:
        (plain, exact), (ours, latent) = (verdict(pipeline, name, number) for pipeline in pipelines)
        assert plain == ours
        errors.append(relative_error(latent, exact))
    print(
        f"\n{len(errors)} edits: relative error of the latent {sum(errors) / len(errors):.2%}, most {max(errors):.2%}"
    )
    assert 0 < max(errors) < 0.05
