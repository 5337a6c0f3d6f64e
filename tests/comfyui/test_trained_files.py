"""What was trained here loads in ComfyUI as it is, and edits as in the trainer's own sampling."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from comfyui_host.graph import Graph
from comfyui_host.host import Host

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools" / "training"))

from small_run import SmallRun

from relation_core.progress import Silent
from relation_core.randomness import generator_of
from relation_core.samples.samples import read_samples
from relation_tools.training.accuracy import Question, make_questions
from relation_tools.training.export import export
from relation_tools.training.flow_sampling import edit_with
from relation_tools.training.picture_cache import PictureCache, open_cache
from relation_tools.training.trainer import Trainer

STEPS = 4


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, host: Host) -> Trainer:
    """A small Flux and its adapter after some steps, with their files in ComfyUI's folders."""
    run = SmallRun.make(tmp_path_factory.mktemp("trained"))
    settings = run.into(run.folder / "out", {"export_dtype": "float32"}, steps=60, learning_rate=1e-2, ema=0.0)
    trainer = Trainer(settings)
    trainer.run()
    with torch.no_grad():
        for block in trainer.flow.adapter.blocks():  # so few steps teach little: let exemplars be seen
            block.to_v_ip.weight *= 100
    export(trainer.flow, settings.output / "exported", "everything", torch.float32)
    exported = settings.output / "exported"
    for kind, file in (
        ("diffusion_models", exported / "transformer.safetensors"),
        ("relation_adapter", exported / "relation_adapter.safetensors"),
        ("vae", settings.models.vae),
        ("clip_vision", settings.models.vision),
        ("clip_vision", settings.models.vision.with_name("config.json")),
    ):
        folder = host.model_folder(kind) / "trained"
        folder.mkdir(exist_ok=True)
        shutil.copy(file, folder / file.name)
    host.forget_file_lists()
    return trainer


@pytest.fixture(scope="module")
def cache(trained: Trainer, tmp_path_factory: pytest.TempPathFactory) -> PictureCache:
    file = trained.settings.data.train
    samples = list(read_samples(file))
    return open_cache(tmp_path_factory.mktemp("cache"), file.parent, samples, 0, trained.encoders, Silent())


def edited(host: Host, trained: Trainer, cache: PictureCache, question: Question) -> torch.Tensor:
    """The picture that the nodes make, with the trainer's noise."""
    graph = Graph()
    for name, row in zip(("before", "after", "source"), (*question.exemplar, question.source), strict=True):
        cache.picture(row).save(host.input_folder / f"trained_{name}.png")
    pictures = {name: graph.add("LoadImage", image=f"trained_{name}.png") for name in ("before", "after", "source")}
    model = graph.add("UNETLoader", unet_name="trained/transformer.safetensors", weight_dtype="default")
    vae = graph.add("VAELoader", vae_name=f"trained/{trained.settings.models.vae.name}")
    adapter = graph.add(
        "LoadRelationAdapter",
        adapter_name="trained/relation_adapter.safetensors",
        vision_name=f"trained/{trained.settings.models.vision.name}",
    )
    relation = graph.add(
        "RelationExemplarEncode",
        relation_adapter=adapter,
        before=pictures["before"],
        after=pictures["after"],
        fit="pad",
        weight=1.0,
    )
    patched = graph.add(
        "ApplyRelationAdapter",
        model=model,
        relation=relation,
        strength=1.0,
        start_percent=0.0,
        end_percent=1.0,
        double_strength=1.0,
        single_strength=1.0,
    )
    prompt = graph.add("RelationEmptyPrompt", model=model)
    source = graph.add(
        "RelationSourceEncode", conditioning=prompt, vae=vae, image=pictures["source"], long_side=0, source_scale=1.0
    )
    latent = source[1]
    noise = torch.randn(16, 8, 8, generator=generator_of(0, question.source, question.target))[None]
    sampled = graph.add(
        "SamplerCustomAdvanced",
        noise=graph.add("ProbeNoise", tensor=host.value(graph, "noise", noise)),
        guider=graph.add("BasicGuider", model=patched, conditioning=source),
        sampler=graph.add("KSamplerSelect", sampler_name="euler"),
        sigmas=graph.add("RelationScheduler", steps=STEPS, latent=latent, denoise=1.0),
        latent_image=latent,
    )
    return host.run(graph, picture=graph.add("VAEDecode", samples=sampled, vae=vae))[0]


def test_the_nodes_make_the_trainers_picture(host: Host, trained: Trainer, cache: PictureCache) -> None:
    samples = list(read_samples(trained.settings.data.train))
    questions = make_questions(samples, [Path(sample.source).parent.name for sample in samples], cache, 3, 0)
    source = cache.latents(np.array([question.source for question in questions]))
    expected, without = (
        edit_with(trained.flow, trained.encoders, cache, STEPS, 0, shown)(questions, source)
        for shown in ("own", "none")
    )
    for index, question in enumerate(questions):
        found = edited(host, trained, cache, question)
        torch.testing.assert_close(found, expected[index], rtol=0, atol=1e-3)
        assert (found - without[index]).abs().max() > 5e-3, "the exemplars say something"
