"""Pairs and models for the tests of this folder, which share the helpers of the engine's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps

TESTS = Path(__file__).resolve().parents[2]

for folder in (TESTS / "tools" / "diffusers_host", TESTS / "core", Path(__file__).parent):
    sys.path.insert(0, str(folder))

from small_pipeline import tiny_autoencoder  # noqa: E402 - found there
from tune_runs import BEFORE  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums in one order, in this process and in those that it starts."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_autoencoder(tmp_path_factory.mktemp("vae") / "ae.safetensors")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Three pairs, one of them of another size; what happens to them is a mirror."""
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("before", "after"):
        (folder / name).mkdir()
    for number, size in enumerate([(64, 64), (64, 64), (64, 32)]):
        picture = Image.open(BEFORE).convert("RGB").resize(size).rotate(90 * number)
        picture.save(folder / "before" / f"{number}.png")
        ImageOps.mirror(picture).save(folder / "after" / f"{number}.png")
    return folder / "before", folder / "after"
