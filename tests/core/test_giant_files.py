"""Files of gigabytes that are holes: what no model has is refused before memory is taken, however well it all fits."""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from random_weights import SMALL

from relation_core.adapter.adapter import open_adapter
from relation_core.adapter.config import expected_shapes
from relation_core.errors import CheckpointError
from relation_core.vision.vision_file import SO400M, VisionConfig, expected_vision_shapes, open_vision
from scripts.sparse_file import write_sparse

MOST = 100 << 10
"""KiB that a refusal may add to the process's memory."""


def vision(folder: Path, config: VisionConfig, told: VisionConfig | None = None) -> Path:
    """A hole of the sizes of one configuration, beside another or the same."""
    write_sparse(folder / "vision.safetensors", expected_vision_shapes(config), "F32", {})
    described = {"model_type": "siglip_vision_model", **asdict(told or config)}
    (folder / "config.json").write_text(json.dumps(described))
    return folder / "vision.safetensors"


def refused(path: Path, says: str) -> None:
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(CheckpointError, match=says):
        (open_adapter if path.stem == "adapter" else open_vision)(path)
    assert time.monotonic() - started < 5
    if sys.platform == "linux":
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 120},
        {"hidden_size": 8192, "num_hidden_layers": 3},
        {"image_size": 8192, "patch_size": 2},
        {"intermediate_size": 65536, "num_hidden_layers": 20},
    ],
)
def test_a_giant_beside_a_configuration_that_fits(tmp_path: Path, change: dict[str, int]) -> None:
    path = vision(tmp_path, replace(SO400M, **change))
    assert path.stat().st_size > 4 << 30
    refused(path, r"has \d+\.\d GB of weights; expected at most 4\.3 GB")


@pytest.mark.parametrize("change", [{"num_hidden_layers": 2}, {"image_size": 398}, {"hidden_size": 1168}])
def test_a_configuration_of_other_sizes_than_the_file(tmp_path: Path, change: dict[str, int]) -> None:
    small = replace(SO400M, num_hidden_layers=1)  # one of so400m's own sizes needs no configuration
    refused(vision(tmp_path, small, replace(small, **change)), "does not have the tensors that are expected")


def test_a_hole_after_a_whole_file(tmp_path: Path) -> None:
    path = vision(tmp_path, replace(SO400M, num_hidden_layers=1))
    with path.open("r+b") as file:
        file.truncate(40 << 30)
    refused(path, "is not a complete .safetensors file: it would have")


def test_an_adapter_with_a_giant_vector(tmp_path: Path) -> None:
    config = replace(SMALL, head_dim=128, heads=1, tokens=1 << 22, text_dim=24)
    write_sparse(tmp_path / "adapter.safetensors", expected_shapes(config), "BF16", {})
    refused(tmp_path / "adapter.safetensors", r"proj.2.bias' .*has 100,663,296 values; expected at most 67,108,864")
