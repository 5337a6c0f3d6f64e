"""The files of a run load where they should, and edit as the trainer does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_run import SmallRun

from relation_core.adapter.adapter import open_adapter
from relation_core.progress import Silent
from relation_core.samples.samples import read_samples
from relation_tools.diffusers_host.models import ModelFiles
from relation_tools.training.accuracy import make_questions
from relation_tools.training.flow_sampling import edit_with
from relation_tools.training.measuring import load_flow
from relation_tools.training.picture_cache import PictureCache, open_cache
from relation_tools.training.trainer import Trainer
from tests.command_line import run

FLOAT32 = {"export_dtype": "float32", "save_every": 100}


@pytest.fixture(scope="module")
def whole(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Every weight of a Flux and its adapter, trained for some steps."""
    output = tmp_path_factory.mktemp("whole")
    trainer = Trainer(small_run.into(output, FLOAT32, steps=20, learning_rate=1e-2, batch_size=8))
    trainer.run()
    return trainer


@pytest.fixture(scope="module")
def tuned(small_run: SmallRun, whole: Trainer, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """An adapter and a LoRA on that Flux, frozen."""
    settings = small_run.into(
        tmp_path_factory.mktemp("tuned"), FLOAT32, trained="adapter and lora", lora_rank=3, steps=10, learning_rate=1e-2
    )
    transformer = whole.settings.output / "exported" / "transformer.safetensors"
    models = replace(settings.models, new_transformer=None, transformer=transformer)
    trainer = Trainer(replace(settings, models=models))
    trainer.run()
    return trainer


def cache_of(trainer: Trainer, folder: Path) -> tuple[PictureCache, list[int]]:
    file = trainer.settings.data.train
    samples = list(read_samples(file))
    return open_cache(folder, file.parent, samples, 0, trainer.encoders, Silent()), [0, 20, 35]


def files_of(trainer: Trainer, model: Path) -> ModelFiles:
    exported = trainer.settings.output / "exported"
    lora = exported / "lora.safetensors"
    models = trainer.settings.models
    return ModelFiles(
        model,
        exported / "relation_adapter.safetensors",
        models.vision,
        models.vae,
        loras=(lora,) if lora.exists() else (),
    )


@pytest.mark.parametrize("which", ["whole", "tuned"])
def test_files_edit_as_the_trainer_does(which: str, whole: Trainer, tuned: Trainer, tmp_path: Path) -> None:
    trainer = {"whole": whole, "tuned": tuned}[which]
    files = files_of(trainer, whole.settings.output / "exported" / "transformer.safetensors")
    assert bool(files.loras) == (which == "tuned")
    cache, _ = cache_of(trainer, tmp_path)
    samples = list(read_samples(trainer.settings.data.train))
    questions = make_questions(samples, [Path(sample.source).parent.name for sample in samples], cache, 4, 0)
    source = cache.latents(np.array([question.source for question in questions]))
    with trainer.average.applied():
        expected = edit_with(trainer.flow, trainer.encoders, cache, 3, 0)(questions, source)
    loaded = load_flow(files, trainer.flow.guidance)
    found = edit_with(loaded, trainer.encoders, cache, 3, 0)(questions, source)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    other = edit_with(trainer.flow, trainer.encoders, cache, 3, 0, "none")(questions, source)
    assert (other - expected).abs().max() > 1e-3, "the exemplars say something"


def test_files_are_known_for_what_they_are(whole: Trainer, tuned: Trainer) -> None:
    exported = tuned.settings.output / "exported"
    assert sorted(path.name for path in exported.iterdir()) == ["lora.safetensors", "relation_adapter.safetensors"]
    assert open_adapter(exported / "relation_adapter.safetensors").config == tuned.flow.adapter.config
    layers = load_file(exported / "lora.safetensors")
    assert {name.split(".")[0] for name in layers} == {"transformer"}
    assert layers["transformer.transformer_blocks.0.attn.to_q.lora_A.weight"].shape == (3, 128)
    assert (whole.settings.output / "exported" / "transformer.safetensors").stat().st_mode & 0o777 == 0o644


def test_the_averages_are_exported(whole: Trainer) -> None:
    name = "image_proj.proj.2.weight"
    written = load_file(whole.settings.output / "exported" / "relation_adapter.safetensors")[name]
    assert torch.equal(written, whole.average.state()[f"adapter.{name}"])
    assert not torch.equal(written, whole.flow.adapter.state_dict()[name])


def test_measure_tells_the_accuracy(whole: Trainer, tmp_path: Path) -> None:
    exported, models = whole.settings.output / "exported", whole.settings.models
    test = whole.settings.data.train.with_name("test.jsonl")
    said = run(
        *("measure", test, "--model", exported / "transformer.safetensors", "--vae", models.vae),
        *("--adapter", exported / "relation_adapter.safetensors", "--vision", models.vision),
        *("--cache", tmp_path / "cache", "--samples", 12, "--steps", 2, "--long-side", 0, "-o", tmp_path / "f.json"),
    )
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["chance"] == 0.25  # three relations and the source
    assert sum(figures["own"]["asked"].values()) == 12
    assert f"with its exemplars {figures['own']['share']:.1%}" in " ".join(said.split())
    assert {"own", "wrong", "blank", "none", "chance"} == figures.keys()
    shares = {shown: figures[shown]["share"] for shown in ("own", "wrong", "blank", "none")}
    assert all(0.0 <= share <= 1.0 for share in shares.values())


def test_measure_refuses_tasks_that_are_not_there(whole: Trainer, tmp_path: Path) -> None:
    exported, models = whole.settings.output / "exported", whole.settings.models
    said = run(
        *("measure", whole.settings.data.train, "--model", exported / "transformer.safetensors", "--vae", models.vae),
        *("--adapter", exported / "relation_adapter.safetensors", "--vision", models.vision),
        *("--cache", tmp_path / "cache", "--tasks", "dance", "--long-side", 0),
        status=1,
    )
    assert "There are no samples of the tasks dance. The dataset has: background_blue, flip, invert." in said
