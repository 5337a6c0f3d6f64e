"""A training run that takes seconds: a few landscapes, random frozen models, a tiny Flux."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import SiglipVisionConfig, SiglipVisionModel

from relation_core.progress import Silent
from relation_core.vision.vision_file import VisionConfig
from relation_tools.dataset.build import BuildOptions, build
from relation_tools.training.settings import (
    AdapterSettings,
    DataSettings,
    ModelSettings,
    NewTransformer,
    RecordSettings,
    RunSettings,
    TrainingSettings,
)
from relation_tools.training.thin_autoencoder import ThinAutoencoder, taesd_tensors
from relation_tools.training.weights_file import write_weights
from tests.small_pairs import write_pairs

ROOT = Path(__file__).resolve().parents[3]
EDITS = ("flip", "invert", "sky_green")
VISION = VisionConfig(
    hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=16
)


def run_command(*arguments: object, status: int = 0) -> str:
    command = [sys.executable, "-m", "relation_tools", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@dataclass(frozen=True)
class SmallRun:
    """Settings, and the files that they name."""

    folder: Path
    settings: RunSettings

    @classmethod
    def make(cls, folder: Path) -> SmallRun:
        torch.manual_seed(0)
        pairs = write_pairs(folder / "pairs", EDITS, 7)
        build(pairs, folder / "data", BuildOptions(test_pairs=3), {}, 1, Silent())
        write_autoencoder(folder / "ae.safetensors")
        write_vision(folder / "vision" / "siglip.safetensors")
        settings = RunSettings(
            output=folder / "run",
            device="cpu",
            data=DataSettings(folder / "data" / "train.jsonl", folder / "cache", long_side=0),
            models=ModelSettings(
                folder / "ae.safetensors",
                folder / "vision" / "siglip.safetensors",
                new_transformer=NewTransformer(1, 1, 1, text_dim=24, pooled_text_dim=8),
            ),
            adapter=AdapterSettings(tokens=2, projection_dim=12),
            training=TrainingSettings(
                "everything", 6, learning_rate=3e-3, precision="no", gradient_checkpointing=False, ema=0.9
            ),
            records=RecordSettings(1, save_every=1, sheet_every=100, sheet_steps=2, export_every=100),
        )
        return cls(folder, settings)

    def into(self, output: Path, records: dict[str, Any] | None = None, **training: Any) -> RunSettings:
        """The settings with another output folder, and others of their tables changed."""
        return replace(
            self.settings,
            output=output,
            training=replace(self.settings.training, **training),
            records=replace(self.settings.records, **(records or {})),
        )


def write_autoencoder(path: Path) -> ThinAutoencoder:
    model = ThinAutoencoder()
    with torch.no_grad():
        for _ in range(20):  # what the normalisation has seen
            model.norm(model.encoder(torch.rand(4, 3, 64, 64)))
        model.norm.running_var.clamp_(min=1e-4)
        last = model.decoder[-1]
        drawn = model.decode(torch.randn(4, 16, 8, 8))
        last.weight *= 0.25 / drawn.std()  # so that latents can be seen in the picture
        last.bias += 0.5 - model.decode(torch.randn(4, 16, 8, 8)).mean()
    write_weights(path, taesd_tensors(model.eval()), torch.float32)
    return model


def write_vision(path: Path, config: VisionConfig = VISION) -> SiglipVisionModel:
    path.parent.mkdir(parents=True, exist_ok=True)
    model = SiglipVisionModel(SiglipVisionConfig(**vars(config)))
    write_weights(path, {f"vision_model.{n}": tensor for n, tensor in model.state_dict().items()}, torch.float32)
    described = {"model_type": "siglip_vision_model", **vars(config)}
    path.with_name("config.json").write_text(json.dumps(described), encoding="utf-8")
    return model.eval()


def as_toml(settings: RunSettings) -> str:
    """The settings as a user writes them."""
    lines: list[str] = []

    def put(table: dict[str, Any], name: str) -> None:
        inner = {key: value for key, value in table.items() if hasattr(value, "__dataclass_fields__")}
        lines.extend([f"[{name}]"] if name else [])
        for key, value in table.items():
            if key not in inner and value is not None:
                lines.append(f"{key} = {json.dumps(str(value) if isinstance(value, Path) else value)}")
        for key, value in inner.items():
            put(vars(value), f"{name}.{key}" if name else key)

    put(vars(settings), "")
    return "\n".join(lines) + "\n"
