"""The frozen parts of a small model: trained the same after a stop, and written as files that hosts load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from relation_core.randomness import generator_of
from relation_tools.diffusers_host.autoencoder import load_autoencoder
from relation_tools.diffusers_host.vision_model import load_vision_model
from relation_tools.drawn_scenes.relations import ALL
from relation_tools.drawn_scenes.scene import quiet_scene
from relation_tools.training import pretrain_autoencoder
from relation_tools.training.curve import read_curve
from relation_tools.training.pretraining import PretrainingOptions, pretrain
from relation_tools.training.synthetic_pictures import COLOURS, KINDS, synthetic_pictures
from tests.command_line import run


def trained(options: PretrainingOptions, stop_at: int | None = None) -> torch.nn.Module:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))

    def losses(step: int) -> dict[str, torch.Tensor]:
        if step == stop_at:
            raise KeyboardInterrupt
        inputs = torch.randn(16, 3, generator=generator_of(0, step))
        error = module(inputs) - inputs[:, :2]
        return {"squared": error.square().mean(), "absolute": 0.1 * error.abs().mean()}

    pretrain(module, losses, options)
    return module


def test_a_stopped_run_ends_the_same(tmp_path: Path) -> None:
    whole, parts = (
        PretrainingOptions(tmp_path / name, steps=30, warmup=5, decay=10, record_every=5, save_every=4)
        for name in ("whole", "parts")
    )
    expected = trained(whole).state_dict()
    for step in (3, 17, 28):
        with pytest.raises(KeyboardInterrupt):
            trained(parts, stop_at=step)
    found = trained(parts).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    losses = [float(row["squared"]) for row in read_curve(tmp_path / "whole" / "curve.csv")]
    assert len(losses) == 6 and losses[-1] < 0.9 * losses[0]


def test_pictures_are_the_steps_own_and_told_truly() -> None:
    first, again, other = (synthetic_pictures(0, step, 60) for step in (3, 3, 4))
    assert torch.equal(first.pixels(), again.pixels()) and not torch.equal(first.pixels(), other.pixels())
    assert torch.equal(first.kinds, again.kinds)
    assert first.exemplars(32).shape == (60, 3, 32, 32)
    assert len(set(first.kinds.tolist())) > 8
    recoloured, behind = KINDS.index("recolour"), KINDS.index("background")
    for image, kind, thing, sky in zip(
        first.images, first.kinds.tolist(), first.things.tolist(), first.skies.tolist(), strict=True
    ):
        assert (thing > 0) == (kind == recoloured)
        assert (sky > 0) == (kind == behind)
        if kind == behind:
            corner = np.asarray(image)[0, 60].tolist()
            relation = next(r for r in ALL if r.name == f"background_{COLOURS[sky]}")
            assert corner == np.asarray(relation.edit(quiet_scene(0, 0)))[0, 60].tolist()


def test_the_autoencoder_is_written_as_a_taesd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrain_autoencoder, "_MEASURED", 4)
    run("pretrain", "autoencoder", tmp_path, "--steps", 2, "--batch-size", 2)
    model = load_autoencoder(tmp_path / "ae.safetensors", torch.float32)
    assert model.config["latent_channels"] == 16
    assert (tmp_path / "ae.safetensors").stat().st_size < 6e6


def test_the_vision_model_is_written_with_its_config(tmp_path: Path) -> None:
    run("pretrain", "vision", tmp_path, "--steps", 2, "--batch-size", 2)
    vision = load_vision_model(tmp_path / "siglip.safetensors", torch.float32)
    pixels = synthetic_pictures(0, 0, 3).exemplars(vision.config.image_size)
    assert vision.pooled(pixels).shape == (3, vision.config.hidden_size)
