"""Cuts files short that a reader has open, and goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def import_libraries() -> None:
    """Take the seconds that the libraries need before the time of a case runs."""
    from diffusers import AutoencoderKL, FluxPipeline, FluxTransformer2DModel  # noqa: F401
    from transformers import CLIPModel, CLIPTextModel, T5EncoderModel  # noqa: F401


def _cut(path: Path) -> None:
    assert path.stat().st_size > 4096
    os.truncate(path, 100)


def transformer(folder: Path) -> None:
    from model_readers import _golden

    from relation_tools.diffusers_host.transformer_file import load_transformer

    _golden(folder, "flux.safetensors", "transformer.safetensors")
    import torch

    model = load_transformer(folder / "flux.safetensors", torch.bfloat16)  # as it lies in the file
    _cut(folder / "flux.safetensors")
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def transformer_of_a_folder(folder: Path) -> None:
    from model_readers import _pipeline_folder

    from relation_tools.diffusers_host.transformer_file import load_transformer

    _pipeline_folder(folder)
    import torch

    model = load_transformer(folder, torch.float32)
    _cut(folder / "transformer" / "diffusion_pytorch_model.safetensors")
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def autoencoder(folder: Path) -> None:
    import torch
    from model_readers import _full_file

    from relation_tools.diffusers_host.autoencoder import encode, load_autoencoder

    _full_file(folder)
    model = load_autoencoder(folder / "ae.safetensors", torch.float32)
    _cut(folder / "ae.safetensors")
    assert encode(model, torch.zeros(1, 16, 16, 3)).isfinite().all()


def text_encoders(folder: Path) -> None:
    import torch
    from model_readers import _pipeline_folder

    from relation_tools.diffusers_host.text_encoders import open_text_encoders

    _pipeline_folder(folder)
    pipeline: Any = open_text_encoders(folder, torch.float32)
    for part in ("text_encoder", "text_encoder_2"):
        _cut(folder / part / "model.safetensors")
    text, pooled, _ = pipeline.encode_prompt(prompt="turn it", prompt_2=None, max_sequence_length=8)
    assert text.isfinite().all() and pooled.isfinite().all()


def clip(folder: Path) -> None:
    from model_readers import _clip_folder, _clip_i
    from PIL import Image

    from relation_tools.evaluation.clip_scorer import ClipScorer

    _clip_folder(folder)
    model, picture = ClipScorer(folder), Image.new("RGB", (40, 32))
    _cut(folder / "model.safetensors")
    assert _clip_i(model, picture) > 0.9


def lora(folder: Path) -> None:
    """It is read when it is fused: that is an error in our words."""
    import torch
    from golden_case import GoldenCase
    from model_readers import _golden

    from relation_tools.diffusers_host.lora_file import fuse_lora, read_lora
    from relation_tools.diffusers_host.transformer_file import load_transformer

    _golden(folder, "lora.safetensors", "pytorch_lora_weights.safetensors")
    found = read_lora(folder / "lora.safetensors")
    model = load_transformer(GoldenCase.load("one_head").folder / "transformer.safetensors", torch.float32)
    _cut(folder / "lora.safetensors")
    fuse_lora(model, found, 1.0)


def transposed_adapter(folder: Path) -> None:
    """Its values lie in the file in another order."""
    import torch

    from relation_core.weights.checkpoint import read_checkpoint

    matrix = torch.arange(5000.0).reshape(50, 100)
    torch.save({"a": matrix.t(), "b": matrix[::2, 1::3]}, folder / "file.bin")
    found = read_checkpoint(folder / "file.bin").stored
    assert torch.equal(found["a"].read(), matrix.t()) and torch.equal(found["b"][2:5], matrix[::2, 1::3][2:5])
    assert torch.equal(found["a"][7:9], matrix.t()[7:9])
    found = read_checkpoint(folder / "file.bin").stored
    _cut(folder / "file.bin")
    found["b"].read()


def cache_of_pictures(folder: Path) -> None:
    import numpy as np
    from light_readers import _dataset
    from model_readers import _Encoders

    from relation_core.progress import Silent
    from relation_core.samples.samples import read_samples
    from relation_tools.training.picture_cache import open_cache

    samples = list(read_samples(_dataset(folder)))
    cache = open_cache(folder / "cache", folder, samples, 0, _Encoders(), Silent())
    rows = np.arange(4)
    assert cache.latents(rows).shape == (4, 16, 2, 2)
    (path,) = (folder / "cache").rglob("latents_*.npy")
    os.truncate(path, 140)
    cache.latents(rows)


def cache_of_texts(folder: Path) -> None:
    from model_readers import _pipeline_folder

    from relation_core.progress import Silent
    from relation_tools.training.texts import open_texts

    _pipeline_folder(folder / "pipeline")
    cache = open_texts(folder / "cache", ["a", "bc"], folder / "pipeline", 8, "cpu", Silent())
    assert cache.encoded(["a"])[0].isfinite().all()
    (path,) = (folder / "cache").rglob("text.npy")
    os.truncate(path, 140)
    cache.encoded(["bc"])


CUTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "transformer": (transformer, ""),
    "transformer of a folder": (transformer_of_a_folder, ""),
    "autoencoder": (autoencoder, ""),
    "text encoders": (text_encoders, ""),
    "clip": (clip, ""),
    "lora": (lora, "was changed while it was read"),
    "transposed adapter": (transposed_adapter, "was changed while it was read"),
    "cache of pictures": (cache_of_pictures, "was cut short while it was read"),
    "cache of texts": (cache_of_texts, "was cut short while it was read"),
}
"""What is tried, and what the error says, if there is one."""
