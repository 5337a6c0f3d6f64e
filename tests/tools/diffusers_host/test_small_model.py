"""The small model that comes with the pack makes true edits of landscapes, and the demo shows them."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from relation_core.errors import RelationAdapterError
from relation_core.scenes.examples import draw_example, draw_pair
from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, STEPS, VISION
from relation_tools.diffusers_host.models import ModelFiles, load_models
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.settings import EditSettings
from relation_tools.training.landscape_questions import example_candidates
from scripts import demo

SETTINGS = EditSettings(steps=STEPS, long_side=0)
SURE = ("sky_green", "sky_violet", "evening", "frame", "mirror", "flip", "grey", "sky_magenta_unseen")
"""Edits that it makes nearly every time; the last is a hue that it was not trained on."""
Picture = Image.Image


@pytest.fixture(scope="module")
def pipeline() -> RelationPipeline:
    return RelationPipeline(load_models(ModelFiles(FLUX, ADAPTER, VISION, AUTOENCODER), torch.float32), "cpu")


def result(pipeline: RelationPipeline, pair: tuple[Picture, Picture], source: Picture) -> Picture:
    return pipeline.edit(pipeline.relation([pair], [1.0]), source, pipeline.prompt(""), SETTINGS)


def test_it_makes_the_edit_that_it_is_shown_and_none_that_it_is_not(pipeline: RelationPipeline) -> None:
    """The same scenes with the right pair, and with white pictures."""
    white = Image.new("RGB", (64, 64), "white")
    right, blank = 0, 0
    for number, name in enumerate(SURE):
        before, after, source, _ = draw_example(name, 100 + number, 200 + number)
        possible = example_candidates(name, 200 + number)
        right += possible.is_right_picture(result(pipeline, (before, after), source))
        blank += possible.is_right_picture(result(pipeline, (white, white), source))
    assert right >= len(SURE) - 1
    assert blank == 0


def test_a_result_that_is_no_picture_is_refused() -> None:
    """Where a dtype overflows, the picture would be black."""
    models = load_models(ModelFiles(FLUX, ADAPTER, VISION, AUTOENCODER), torch.float32)
    before, after, source, _ = draw_example("fog", 0, 1)
    pipeline = RelationPipeline(models, "cpu")
    relation = pipeline.relation([(before, after)], [1.0])
    with torch.no_grad():
        models.flux.transformer.proj_out.bias[0] = float("nan")
    with pytest.raises(RelationAdapterError, match=r"NaN or infinite values in torch\.float32; expected a picture"):
        pipeline.edit(relation, source, pipeline.prompt(""), replace(SETTINGS, steps=1))


def test_its_autoencoder_is_as_sharp_as_the_model_card_says(pipeline: RelationPipeline) -> None:
    errors = []
    for number in range(8):
        picture = draw_pair("fog", 300 + number)[0]
        (again,) = pipeline.pictures(pipeline.latent(picture, 0)[None])
        errors.append(np.square((np.asarray(again, np.float32) - np.asarray(picture, np.float32)) / 255).mean())
    assert -10 * np.log10(errors).mean() >= 30


def test_it_is_as_small_as_the_model_card_says() -> None:
    assert sum(path.stat().st_size for path in (FLUX, ADAPTER, VISION, AUTOENCODER)) < 23_500_000


def test_the_demo_ends_in_a_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.argv", ["demo", str(tmp_path)])
    monkeypatch.setattr("scripts.demo.EDITS", SURE[:3])
    with caplog.at_level(logging.INFO):
        demo.main()
    assert "3 edits in " in caplog.text and "of 3 results are right" in caplog.text
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 2 * 5 * 128
    names = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert names == set(SURE[:3])
    for name in names:
        made, target = (Image.open(tmp_path / name / f"{title}.png") for title in ("result", "target"))
        error = np.square((np.asarray(made, np.float32) - np.asarray(target, np.float32)) / 255).mean()
        assert error < 0.01, name
