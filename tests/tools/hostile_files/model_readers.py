"""Readers of weights, model folders, training states and caches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from corrupted_vision import CONFIG, GOOD_CONFIG
from corrupted_vision import weights as vision_weights
from damage import Damage
from light_readers import _dataset, json_form
from random_weights import SMALL, random_relation, random_weights, small_adapter, write_bin, write_safetensors
from reading import Reader
from safetensors.torch import load_file, save_file
from text_damage import json_damages
from weights_damage import npy_damages, pickle_damages, safetensors_damages

from relation_core.adapter.adapter import open_adapter
from relation_core.progress import Silent
from relation_core.relation.relation_file import load_relation, relation_thumbnails, save_relation
from relation_core.samples.samples import read_samples
from relation_core.tuning.learner import Learner
from relation_core.tuning.settings import TuningSettings
from relation_core.vision.vision_file import open_vision
from relation_tools.weights.conversion import convert_adapter


def config_form() -> Iterator[Damage]:
    yield from json_damages(24)


def _adapter_file(folder: Path, suffix: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = replace(SMALL, head_dim=128, heads=1)
    write = write_bin if suffix == ".bin" else write_safetensors
    write(folder / f"adapter{suffix}", random_weights(config))


def _adapter(folder: Path, suffix: str) -> None:
    adapter = open_adapter(folder / f"adapter{suffix}")
    relation = random_relation(adapter)
    assert relation.keys_values.keys.isfinite().all() and relation.keys_values.values.isfinite().all()
    converted = convert_adapter(adapter, folder / "converted.safetensors", False, Silent())
    assert converted.fingerprint == adapter.fingerprint


def _relation_file(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_relation(random_relation(small_adapter(folder)), folder / "relation.safetensors")


def _relation(folder: Path) -> None:
    relation = load_relation(folder / "relation.safetensors", small_adapter(folder), "cpu")
    assert relation.keys_values.keys.isfinite().all()
    relation_thumbnails(folder / "relation.safetensors")


def _inspected(folder: Path) -> None:
    from relation_tools.weights import inspection

    inspection.RELEASED = SMALL
    inspection.inspect_file(folder / "relation.safetensors")


def _vision_file(folder: Path, suffix: str = ".safetensors") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if suffix == ".bin":
        torch.save(vision_weights(), folder / "vision.bin")
    else:
        save_file(vision_weights(), folder / "vision.safetensors")
    (folder / "config.json").write_text(json.dumps(GOOD_CONFIG))


def _vision(folder: Path, suffix: str = ".safetensors") -> None:
    file = open_vision(folder / f"vision{suffix}")
    assert file.config == CONFIG and all(tensor.isfinite().all() for tensor in file.trunk.values())


def _golden(folder: Path, name: str, source: str) -> None:
    from golden_case import GoldenCase

    folder.mkdir(parents=True, exist_ok=True)
    tensors = load_file(GoldenCase.load("one_head").folder / source)
    save_file({key: tensor.to(torch.bfloat16) for key, tensor in tensors.items()}, folder / name)


def _original(folder: Path) -> None:
    from golden_case import GoldenCase
    from small_pipeline import original_names

    folder.mkdir(parents=True, exist_ok=True)
    tensors = original_names(GoldenCase.load("one_head").folder / "transformer.safetensors")
    small = {f"model.diffusion_model.{key}": tensor.to(torch.float8_e4m3fn) for key, tensor in tensors.items()}
    save_file(small, folder / "flux.safetensors")


def _pickled_transformer(folder: Path) -> None:
    _golden(folder, "flux.safetensors", "transformer.safetensors")
    torch.save(load_file(folder / "flux.safetensors"), folder / "flux.bin")


def _transformer(path: Path) -> None:
    from relation_tools.diffusers_host.transformer_file import load_transformer

    model = load_transformer(path, torch.bfloat16)
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())


def _lora(folder: Path) -> None:
    from golden_case import GoldenCase

    from relation_tools.diffusers_host.lora_file import fuse_lora, read_lora
    from relation_tools.diffusers_host.transformer_file import load_transformer

    lora = read_lora(folder / "lora.safetensors")
    fuse_lora(
        load_transformer(GoldenCase.load("one_head").folder / "transformer.safetensors", torch.float32), lora, 1.0
    )


def _tiny_file(folder: Path) -> None:
    from small_pipeline import tiny_autoencoder

    folder.mkdir(parents=True, exist_ok=True)
    tiny_autoencoder(folder / "ae.safetensors", vae_scale=0.5, vae_shift=0.1)


def _full_file(folder: Path) -> None:
    from small_pipeline import full_autoencoder

    folder.mkdir(parents=True, exist_ok=True)
    save_file(full_autoencoder().state_dict(), folder / "ae.safetensors")


def _autoencoder(path: Path) -> None:
    from relation_tools.diffusers_host.autoencoder import encode, load_autoencoder

    model = load_autoencoder(path, torch.float32)
    assert encode(model, torch.zeros(1, 16, 16, 3)).shape == (1, 16, 2, 2)


def _pipeline_folder(folder: Path) -> None:
    from golden_case import GoldenCase
    from small_pipeline import pipeline_folder

    pipeline_folder(GoldenCase.load("one_head"), folder)


def _text_encoders(folder: Path) -> None:
    from relation_tools.diffusers_host.text_encoders import open_text_encoders

    pipeline: Any = open_text_encoders(folder, torch.float32)
    text, pooled, _ = pipeline.encode_prompt(prompt="turn it", prompt_2=None, max_sequence_length=8)
    assert text.ndim == 3 and pooled.ndim == 2


def _clip_folder(folder: Path) -> None:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**sizes, "image_size": 32, "patch_size": 16}
    config = CLIPConfig(text_config={**sizes, "vocab_size": 20}, vision_config=vision, projection_dim=8)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)


def _clip(folder: Path) -> None:
    from PIL import Image

    from relation_tools.evaluation.clip_scorer import ClipScorer

    picture = Image.new("RGB", (40, 32), (200, 10, 30))
    assert abs(_clip_i(ClipScorer(folder), picture)) <= 1.01


def _clip_i(scorer: Any, picture: Any) -> float:
    """How alike it finds a picture and itself."""
    uncaptioned = SimpleNamespace(source_caption="", target_caption="")
    five = dict.fromkeys(("before", "after", "source", "result", "target"), picture)
    (found,) = scorer.score([scorer.prepare(SimpleNamespace(**five, sample=uncaptioned))])
    return found["clip_i"]


@dataclass
class _Encoders:
    fingerprint: str = "small"
    vision_dim: int = 4
    image_size: int = 16

    def latents(self, image: torch.Tensor) -> torch.Tensor:
        return image[..., :1].movedim(-1, 1)[..., ::8, ::8].expand(-1, 16, -1, -1)

    def pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.flatten(1)[:, :4]


def _cached(folder: Path) -> dict[str, torch.Tensor]:
    from relation_tools.training.picture_cache import open_cache

    samples = list(read_samples(folder / "train.jsonl"))
    cache = open_cache(folder / "cache", folder, samples, 0, _Encoders(), Silent())
    rows = np.array(sorted(set(cache.rows.values())))
    return {"latents": cache.latents(rows), "pooled": cache.pooled(rows)}


def _cache(folder: Path) -> None:
    _dataset(folder)
    torch.save(_cached(folder), folder / "expected.pt")
    (own,) = (folder / "cache").iterdir()
    own.rename(folder / "cache" / "own")


def _use_cache(folder: Path) -> None:
    """The key is the folder's name, which no case can know before."""
    own = folder / "cache" / "own"
    own.rename(folder / "moved")
    (folder / "cache").rename(folder / "emptied")
    _cached(folder)
    (key,) = (folder / "cache").iterdir()
    import shutil

    shutil.rmtree(key)
    (folder / "moved").rename(key)
    found, expected = _cached(folder), torch.load(folder / "expected.pt", weights_only=True)
    assert all(value.shape == expected[name].shape for name, value in found.items())


def _texts(folder: Path) -> None:
    from relation_tools.training.texts import open_texts

    _pipeline_folder(folder / "pipeline")
    open_texts(folder / "cache", ["a", "bc"], folder / "pipeline", 8, "cpu", Silent())
    (own,) = (folder / "cache").iterdir()
    for path in own.iterdir():
        path.rename(folder / path.name)
    (folder / "key").write_text(own.name)


def _use_texts(folder: Path) -> None:
    from relation_tools.training.texts import open_texts

    own = folder / "cache" / (folder / "key").read_text()
    for name in ("texts.json", "text.npy", "pooled_text.npy"):
        if (folder / name).exists() or (folder / name).is_symlink():
            (folder / name).rename(own / name)
    cache = open_texts(folder / "cache", ["a", "bc"], folder / "pipeline", 8, "cpu", Silent())
    assert cache.encoded(["a"])[0].shape[:2] == (1, 8)


def _pretraining(folder: Path, steps: int) -> None:
    from relation_tools.training.pretraining import PretrainingOptions, pretrain

    torch.manual_seed(0)
    module = torch.nn.Linear(2, 2)
    options = PretrainingOptions(folder, steps=steps, batch_size=4, save_every=1)
    pretrain(module, lambda step: {"loss": module(torch.ones(1, 2)).square().sum()}, options)


def _learner(folder: Path) -> Learner:
    adapter = small_adapter(folder)
    start = torch.ones(1, 2 * adapter.config.tokens, adapter.config.text_dim)
    settings = TuningSettings(10, 1e-3, 1, 0, 3.5)
    nothing: Any = None
    return Learner(nothing, {}, adapter.config, start, None, [], [], settings, "cpu", torch.float32)


def _tuning(folder: Path) -> None:
    from relation_tools.training.run_state import save_state

    folder.mkdir(parents=True, exist_ok=True)
    learner = _learner(folder)
    learner._tokens.grad = torch.ones_like(learner._tokens)
    learner._optimizer.step()
    learner.step, learner.losses = 1, [0.5]
    save_state(folder, 1, {**learner.state(), "identity": "it"}, keep=1)


def _go_on_tuning(folder: Path) -> None:
    from relation_tools.tuning.resuming import resume

    learner = _learner(folder)
    assert resume(learner, folder, "it") == (learner.step > 0)
    assert learner.tokens.isfinite().all()
    learner._tokens.grad = torch.ones_like(learner._tokens)
    learner._optimizer.step()


def model_readers() -> Iterable[Reader]:
    """All of them."""
    for suffix, form in ((".safetensors", safetensors_damages), (".bin", pickle_damages)):
        yield Reader(
            f"adapter{suffix}",
            f"adapter{suffix}",
            lambda folder, suffix=suffix: _adapter_file(folder, suffix),
            lambda folder, suffix=suffix: _adapter(folder, suffix),
            form,
        )
        yield Reader(
            f"vision{suffix}",
            f"vision{suffix}",
            lambda folder, suffix=suffix: _vision_file(folder, suffix),
            lambda folder, suffix=suffix: _vision(folder, suffix),
            form,
        )
    yield Reader("relation", "relation.safetensors", _relation_file, _relation, safetensors_damages)
    yield Reader(
        "inspection",
        "relation.safetensors",
        _relation_file,
        _inspected,
        safetensors_damages,
    )
    yield Reader("configuration of vision", "config.json", _vision_file, _vision, config_form)
    yield Reader(
        "transformer",
        "flux.safetensors",
        lambda folder: _golden(folder, "flux.safetensors", "transformer.safetensors"),
        lambda folder: _transformer(folder / "flux.safetensors"),
        safetensors_damages,
    )
    yield Reader(
        "checkpoint", "flux.safetensors", _original, lambda f: _transformer(f / "flux.safetensors"), safetensors_damages
    )
    yield Reader(
        "pickled transformer", "flux.bin", _pickled_transformer, lambda f: _transformer(f / "flux.bin"), pickle_damages
    )
    yield Reader(
        "lora",
        "lora.safetensors",
        lambda folder: _golden(folder, "lora.safetensors", "pytorch_lora_weights.safetensors"),
        _lora,
        safetensors_damages,
    )
    for name, make in (("tiny autoencoder", _tiny_file), ("autoencoder", _full_file)):
        yield Reader(name, "ae.safetensors", make, lambda f: _autoencoder(f / "ae.safetensors"), safetensors_damages)
    transformer, vae = "transformer/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"
    yield Reader("transformer of a folder", transformer, _pipeline_folder, _transformer, safetensors_damages)
    yield Reader("autoencoder of a folder", vae, _pipeline_folder, _autoencoder, safetensors_damages)
    for file in ("transformer/config.json", "vae/config.json"):
        read = _transformer if file.startswith("transformer") else _autoencoder
        yield Reader(file, file, _pipeline_folder, read, config_form)
    for encoder in ("text_encoder", "text_encoder_2"):
        yield Reader(encoder, f"{encoder}/model.safetensors", _pipeline_folder, _text_encoders, safetensors_damages)
    for file in (
        *(
            "model_index.json",
            "text_encoder/config.json",
            "text_encoder_2/config.json",
            "scheduler/scheduler_config.json",
        ),
        *("tokenizer/tokenizer_config.json", "tokenizer_2/tokenizer.json"),
    ):
        yield Reader(file, file, _pipeline_folder, _text_encoders, config_form)
    for file, form in (
        ("config.json", config_form),
        ("preprocessor_config.json", config_form),
        ("model.safetensors", safetensors_damages),
    ):
        yield Reader(f"clip {file}", file, _clip_folder, _clip, form)
    for name in ("done.npy", "pooled.npy", "latents_16x16.npy", "sizes.json"):
        form = json_form if name.endswith(".json") else npy_damages
        yield Reader(f"cache {name}", f"cache/own/{name}", _cache, _use_cache, form)
    for name in ("text.npy", "texts.json"):
        yield Reader(f"cache {name}", name, _texts, _use_texts, config_form if name.endswith("json") else npy_damages)
    yield Reader(
        "state",
        "states/state-00000002.pt",
        lambda folder: _pretraining(folder, 2),
        lambda folder: _pretraining(folder, 3),
        pickle_damages,
    )
    yield Reader("state of tuning", "state-00000001.pt", _tuning, _go_on_tuning, pickle_damages)
