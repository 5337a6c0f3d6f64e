"""The small model that comes with the pack, in ComfyUI: found without a word, and right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from edits import Edit
from light_server import Run, complaints, of_class, titled
from shipped import prompt_of

from benchmarks.edits_to_learn import nearest
from comfyui_host.find import find_comfyui
from comfyui_host.host import GraphError, Host
from comfyui_host.server import ComfyServer
from relation_core.pictures.picture_file import read_picture
from relation_core.pictures.tensors import from_pil
from relation_core.scenes.examples import MAX_SCENE, draw_example, draw_pair
from relation_core.scenes.relations import TRAINED
from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, STEPS, VISION
from relation_core.scenes.unseen import UNSEEN
from relation_tools.diffusers_host.autoencoder import decode
from relation_tools.diffusers_host.models import ModelFiles, load_models
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.settings import EditSettings
from tests.nearest_edit import nearest_edit

SETTINGS = EditSettings(steps=STEPS, long_side=0)
BOUND = 1e-4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server without any model but those of the pack."""
    comfyui = find_comfyui()
    assert comfyui is not None
    with ComfyServer(comfyui, tmp_path_factory.mktemp("bare")) as server:
        yield server


def test_the_workflow_makes_the_edit_that_it_is_shown(server: ComfyServer) -> None:
    prompt = prompt_of(server, "try_it_small")
    example = prompt[of_class(prompt, "RelationExample")]["inputs"]
    wrong: dict[str, str] = {}
    for number, relation in enumerate(TRAINED):
        example.update(edit=relation.name, exemplar_scene=2000 + number, source_scene=3000 + number)
        run = Run(server, prompt)
        assert run.outcome.status == "success", run.outcome
        picture = read_picture(run.outcome.pictures[titled(prompt, "Result")][0])
        assert picture.size == (256, 256)  # enlarged, to look at
        if (found := nearest_edit(from_pil(picture.reduce(4))[0], 3000 + number)) != relation.name:
            wrong[relation.name] = found
    assert len(wrong) <= 1, wrong
    assert complaints(server) == []


@pytest.mark.slow
def test_the_workflow_learns_an_edit_that_the_model_never_saw(server: ComfyServer) -> None:
    """As it is; then other scenes, for each of which it is learned anew."""
    prompt = prompt_of(server, "try_it_small_tune")
    example = prompt[of_class(prompt, "RelationExample")]["inputs"]
    assert example["edit"] in {edit.name for edit in UNSEEN}
    for number in range(4):
        example["source_scene"] += number
        run = Run(server, prompt)
        assert run.outcome.status == "success", run.outcome
        picture = read_picture(run.outcome.pictures[titled(prompt, "Result")][0])
        assert nearest(example["source_scene"], picture.reduce(4)) == example["edit"]
    assert complaints(server) == []


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
    assert before.shape == after.shape == (3, 64, 64, 3)
    assert source.shape == target.shape == (1, 64, 64, 3)
    for place, number in enumerate((MAX_SCENE - 1, MAX_SCENE, 0)):  # after the last scene comes the first
        expected = draw_pair("grey", number)
        for found, picture in zip((before, after), expected, strict=True):
            np.testing.assert_array_equal((found[place] * 255).round().numpy(), np.asarray(picture, np.float32))


@pytest.mark.parametrize("name", ["recolour_red", "rotate", "shape_star"])
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
    assert nearest_edit(expected[0], 5) == name


def test_a_missing_file_is_named(host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host.module("nodes.load_small_relation_model"), "FLUX", tmp_path / FLUX.name)
    edit = Edit(host)
    with pytest.raises(GraphError, match=r"no file 'flux.safetensors' in .*small_model\. .*reinstall the pack"):
        edit.run(edit.graph.add("LoadSmallRelationModel")[0])
