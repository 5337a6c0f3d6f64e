"""The files of a run load where they should, and edit as the trainer does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flow_inputs import inputs
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_run import SmallRun

from relation_core.adapter.adapter import open_adapter
from relation_core.errors import CheckpointError, ModelMismatchError
from relation_core.progress import Silent
from relation_core.samples.samples import read_samples
from relation_tools.diffusers_host.models import ModelFiles
from relation_tools.training.accuracy import make_questions
from relation_tools.training.export import ADAPTER, LORA
from relation_tools.training.flow_sampling import edit_with
from relation_tools.training.measuring import load_flow
from relation_tools.training.models import build_flow
from relation_tools.training.picture_cache import PictureCache, open_cache
from relation_tools.training.settings import RunSettings
from relation_tools.training.trainer import Trainer
from relation_tools.training.weights_file import write_weights
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


def test_the_lora_has_the_layers_of_the_authors(tuned: Trainer) -> None:
    layers = load_file(tuned.settings.output / "exported" / "lora.safetensors")
    ends = {name.split(".attn.")[1].rsplit(".lora_", 1)[0] for name in layers}
    assert ends == {"to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj"}


def rewritten(lora: Path, to: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    tensors = load_file(lora)
    change(tensors)
    save_file(tensors, to)
    return to


def halved_with_alpha(tensors: dict[str, torch.Tensor]) -> None:
    """The same LoRA, half of it in an alpha, with a kohya's plain names."""
    for name in list(tensors):
        if name.endswith(".lora_A.weight"):
            tensors[name.replace(".lora_A.weight", ".alpha")] = torch.tensor(6.0)  # twice the rank
            tensors[name] /= 2


def starts_from(tuned: Trainer, lora: Path, output: Path, **training: Any) -> RunSettings:
    models = replace(tuned.settings.models, adapter=tuned.settings.output / "exported" / ADAPTER, lora=lora)
    settings = replace(tuned.settings, output=output, models=models)
    return replace(settings, training=replace(settings.training, **training))


@pytest.mark.parametrize("layout", ["own", "alpha"])
@pytest.mark.parametrize("trained", ["adapter and lora", "adapter"])
def test_training_goes_on_from_a_lora(tuned: Trainer, tmp_path: Path, layout: str, trained: str) -> None:
    lora = tuned.settings.output / "exported" / LORA
    if layout == "alpha":
        lora = rewritten(lora, tmp_path / "alpha.safetensors", halved_with_alpha)
    flow = build_flow(starts_from(tuned, lora, tmp_path / "run", trained=trained), tuned.encoders.vision_dim)
    given = inputs(flow)
    with tuned.average.applied():
        expected = tuned.flow(**given)
    torch.testing.assert_close(flow(**given), expected, rtol=0, atol=1e-6)
    plain = build_flow(replace(tuned.settings, output=tmp_path / "plain"), tuned.encoders.vision_dim)
    assert (plain(**given) - expected).abs() > 1e-4
    trained_names = [name for name, weight in flow.transformer.named_parameters() if weight.requires_grad]
    assert all(".lora_" in name for name in trained_names) and bool(trained_names) == (trained != "adapter")


def test_a_lora_that_cannot_be_gone_on_from_is_refused(tuned: Trainer, tmp_path: Path) -> None:
    lora = tuned.settings.output / "exported" / LORA
    with pytest.raises(ModelMismatchError, match=r"has rank 3 for .*expected .*, 5\. Set training.lora_rank = 3"):
        build_flow(starts_from(tuned, lora, tmp_path / "run", lora_rank=5), 16)

    def dora(tensors: dict[str, torch.Tensor]) -> None:
        name = "transformer.transformer_blocks.0.attn.to_q"
        tensors[f"{name}.lora_magnitude_vector"] = torch.ones(128)

    with pytest.raises(ModelMismatchError, match=r"cannot be trained further: 1 of its \d+ matrices"):
        build_flow(starts_from(tuned, rewritten(lora, tmp_path / "dora.safetensors", dora), tmp_path / "run"), 16)

    def flat(tensors: dict[str, torch.Tensor]) -> None:
        name = "transformer.transformer_blocks.0.attn.to_q.lora_A.weight"
        tensors[name] = tensors[name].flatten()

    with pytest.raises(ModelMismatchError, match=r"cannot be trained further: 1 of its \d+ matrices"):
        build_flow(starts_from(tuned, rewritten(lora, tmp_path / "flat.safetensors", flat), tmp_path / "run"), 16)

    def broken(tensors: dict[str, torch.Tensor]) -> None:
        next(iter(tensors.values()))[0, 0] = float("nan")

    with pytest.raises(CheckpointError, match=r"nan\.safetensors has NaN or infinite values in"):
        build_flow(starts_from(tuned, rewritten(lora, tmp_path / "nan.safetensors", broken), tmp_path / "run"), 16)


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
    assert "There are no samples of the tasks dance. The dataset has: flip, invert, sky_green." in said


def test_the_same_weights_make_the_same_file(tmp_path: Path) -> None:
    """The library leaves the order of the metadata to chance."""
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(3)}
    metadata = {word: word.upper() for word in ("format", "version", "head_dim", "base", "steps", "seed")}
    files = [write_weights(tmp_path / f"{number}.safetensors", tensors, torch.float16, metadata) for number in range(6)]
    assert len({file.read_bytes() for file in files}) == 1
    with safe_open(files[0], "pt") as opened:
        assert opened.metadata() == metadata
        assert all(torch.equal(opened.get_tensor(name), tensors[name].half()) for name in tensors)
