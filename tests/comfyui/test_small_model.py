"""The small model that comes with the pack, in ComfyUI: found without a word, and right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from edits import Edit

from comfyui_host.host import GraphError, Host
from relation_core.scenes.examples import draw_example, draw_pair
from relation_core.scenes.landscape import MAX_SCENE
from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, STEPS, VISION
from relation_tools.diffusers_host.autoencoder import decode
from relation_tools.diffusers_host.models import ModelFiles, load_models
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.settings import EditSettings
from relation_tools.training.landscape_questions import example_candidates

SETTINGS = EditSettings(steps=STEPS, long_side=0)
BOUND = 1e-4


def test_the_example_node_draws_what_it_says(host: Host) -> None:
    edit = Edit(host)
    example = edit.graph.add("RelationExample", edit="mirror", exemplar_scene=7, source_scene=9)
    found = edit.run(*(example[index] for index in range(4)))
    for picture, expected in zip(found, draw_example("mirror", 7, 9), strict=True):
        assert picture.dtype == torch.float32
        np.testing.assert_array_equal((picture[0] * 255).round().numpy(), np.asarray(expected, np.float32))


def test_the_example_node_draws_several_pairs(host: Host) -> None:
    edit = Edit(host)
    scenes = {"exemplar_scene": MAX_SCENE - 1, "source_scene": 9}
    example = edit.graph.add("RelationExample", edit="grey", **scenes, pairs=3)
    before, after, source, target = edit.run(*(example[index] for index in range(4)))
    assert before.shape == after.shape == (3, 128, 128, 3)
    assert source.shape == target.shape == (1, 128, 128, 3)
    for place, number in enumerate((MAX_SCENE - 1, MAX_SCENE, 0)):  # after the last scene comes the first
        expected = draw_pair("grey", number)
        for found, picture in zip((before, after), expected, strict=True):
            np.testing.assert_array_equal((found[place] * 255).round().numpy(), np.asarray(picture, np.float32))


@pytest.mark.parametrize("name", ["sky_green", "evening", "mirror"])
def test_the_nodes_and_the_headless_engine_make_one_picture(host: Host, name: str) -> None:
    edit = Edit(host)
    add = edit.graph.add
    example = add("RelationExample", edit=name, exemplar_scene=4, source_scene=5)
    small = add("LoadSmallRelationModel")
    model, vae, adapter = (small[index] for index in range(3))
    shown = edit.relation(example[0], example[1], relation_adapter=adapter)
    source = add(
        "RelationSourceEncode",
        conditioning=add("RelationEmptyPrompt", model=model),
        vae=vae,
        image=example[2],
        long_side=0,
        source_scale=1.0,
    )
    sampled = add(
        "SamplerCustomAdvanced",
        noise=add("RandomNoise", noise_seed=SETTINGS.seed),
        guider=add("BasicGuider", model=edit.apply(model, shown, strength=1.0), conditioning=source[0]),
        sampler=add("KSamplerSelect", sampler_name="euler"),
        sigmas=add("RelationScheduler", steps=STEPS, latent=source[1], denoise=1.0),
        latent_image=source[1],
    )
    found = edit.run(add("VAEDecode", samples=sampled, vae=vae))
    models = load_models(ModelFiles(FLUX, ADAPTER, VISION, AUTOENCODER), torch.float32)
    pipeline = RelationPipeline(models, "cpu")
    before, after, picture, _ = draw_example(name, 4, 5)
    latent = pipeline.edit_latent(pipeline.relation([(before, after)], [1.0]), picture, pipeline.prompt(""), SETTINGS)
    expected = decode(models.flux.vae, latent)
    assert (found - expected).abs().max() <= BOUND
    assert example_candidates(name, 5).is_right(expected[0].numpy())


def test_names_of_the_first_version_still_run(host: Host) -> None:
    """In a prompt that was written for it, since the menu shows today's alone."""
    edit = Edit(host)
    former, today = (
        edit.graph.add("RelationExample", edit=name, exemplar_scene=3, source_scene=4)[1] for name in ("rotate", "turn")
    )
    found, expected = edit.run(former, today)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", ["shape_star", "houses_pink", ""])
def test_a_name_without_a_likeness_is_refused_with_those_there_are(host: Host, name: str) -> None:
    edit = Edit(host)
    example = edit.graph.add("RelationExample", edit=name, exemplar_scene=3, source_scene=4)
    with pytest.raises(GraphError, match=rf"'{name}'.*Expected one of: houses_red"):
        edit.run(example[0])


def test_a_missing_file_is_named(host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host.module("nodes.load_small_relation_model"), "FLUX", tmp_path / FLUX.name)
    edit = Edit(host)
    with pytest.raises(GraphError, match=r"no file 'flux.safetensors' in .*small_model\. .*reinstall the pack"):
        edit.run(edit.graph.add("LoadSmallRelationModel")[0])
