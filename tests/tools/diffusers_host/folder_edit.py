"""The golden models, and their edit of whatever is named, by a command in the test's own process."""

from __future__ import annotations

import shutil
from pathlib import Path

from golden_case import GoldenCase
from small_pipeline import tiny_autoencoder

from relation_tools.__main__ import main

CASE = GoldenCase.load("one_head")


def golden_models(folder: Path) -> dict[str, Path]:
    """Copies, which a test may replace."""
    names = {"model": "transformer.safetensors", "adapter": "ip_adapter.bin", "before": "before.png"}
    names |= {"after": "after.png", "lora": "pytorch_lora_weights.safetensors"}
    found = {option: Path(shutil.copy(CASE.folder / name, folder / name)) for option, name in names.items()}
    vision = Path(shutil.copytree(CASE.folder / "vision", folder / "vision")) / "model.safetensors"
    return {**found, "vision": vision, "vae": tiny_autoencoder(folder / "ae.safetensors")}


def edit(models: dict[str, Path], source: Path | str, out: Path | str, *options: str, sheets: bool = False) -> int:
    named = [f"--{name}={path}" for name, path in models.items()]
    quick = ["--steps=1", "--long-side=48", "--device=cpu", *([] if sheets else ["--no-comparison"])]
    return main(["edit", *named, f"--source={source}", f"--out={out}", *quick, *options])
