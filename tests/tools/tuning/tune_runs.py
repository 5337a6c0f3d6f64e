"""Runs of ``python -m relation_tools tune`` with the golden models."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_case import GoldenCase
from safetensors import safe_open
from safetensors.torch import load_file

from relation_tools.__main__ import main

CASE = GoldenCase.load("one_head")
BEFORE, AFTER = CASE.folder / "before.png", CASE.folder / "after.png"


def arguments(vae: Path, *options: str) -> list[str]:
    return [
        "tune",
        f"--model={CASE.folder / 'transformer.safetensors'}",
        f"--adapter={CASE.folder / 'ip_adapter.bin'}",
        f"--vision={CASE.folder / 'vision' / 'model.safetensors'}",
        f"--vae={vae}",
        "--device=cpu",
        "--long-side=0",
        "--batch-size=3",
        "--sheet-steps=1",
        "--steps=6",
        *options,
    ]


def tune(vae: Path, folders: tuple[Path, Path], out: Path, *options: str) -> int:
    return main(arguments(vae, f"--before={folders[0]}", f"--after={folders[1]}", f"--out={out}", *options))


def contents(path: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    """All that a relation file says; the library writes its metadata in no fixed order."""
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
    return metadata, {name: tensor.numpy().tobytes() for name, tensor in load_file(path).items()}


def refusal(caplog: pytest.LogCaptureFixture) -> str:
    (record,) = (record for record in caplog.records if record.levelname == "ERROR")
    return record.getMessage()
