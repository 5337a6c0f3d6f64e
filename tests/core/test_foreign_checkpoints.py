"""A file of another kind is named for what it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from foreign_checkpoints import EACH, SIGLIP_HEADLESS
from safetensors.torch import save_file

from relation_core.adapter.adapter import open_adapter
from relation_core.errors import CheckpointError
from relation_core.vision.vision_file import open_vision


def written(path: Path, names: tuple[str, ...]) -> Path:
    save_file({name: torch.zeros(2, 2) for name in names}, path)
    return path


@pytest.mark.parametrize(("kind", "names"), [each for each in EACH if each[0] != "a RelationAdapter"])
def test_for_an_adapter(tmp_path: Path, kind: str, names: tuple[str, ...]) -> None:
    with pytest.raises(CheckpointError) as caught:
        open_adapter(written(tmp_path / "file.safetensors", names))
    message = str(caught.value)
    assert f"file.safetensors is {kind}, not a RelationAdapter (it has '" in message
    assert any(f"'{name}'" in message for name in names)
    assert "Expected ip_adapter-100000.bin from https://huggingface.co/handsomeWilliam/RelationAdapter" in message


@pytest.mark.parametrize(("kind", "names"), [each for each in EACH if each[0] != "a SigLIP vision model"])
def test_for_a_vision_model(tmp_path: Path, kind: str, names: tuple[str, ...]) -> None:
    with pytest.raises(CheckpointError) as caught:
        open_vision(written(tmp_path / "file.safetensors", names))
    message = str(caught.value)
    assert re.search(rf"file\.safetensors holds {kind} \(it has '.*'\); expected a SigLIP vision model", message)
    assert "Use sigclip_vision_patch14_384.safetensors from https://huggingface.co/Comfy-Org" in message


def test_a_siglip_without_its_head(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"without its attention-pooling head .*'vision_model\.head\.\*'.*Use sig"
    ):
        open_vision(written(tmp_path / "file.safetensors", SIGLIP_HEADLESS))


def test_a_file_of_no_known_kind(tmp_path: Path) -> None:
    path = written(tmp_path / "file.safetensors", ("layer_one.weight", "some.other.name"))
    with pytest.raises(CheckpointError, match=r"Missing: .* and 4 more\. Unknown: 'layer_one\.weight', 'some\.other"):
        open_adapter(path)
    with pytest.raises(CheckpointError, match="holds nothing known; expected a SigLIP vision model"):
        open_vision(path)
