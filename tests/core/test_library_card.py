"""What a model library reads in the header of a relation and of a converted adapter."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from relation_core.adapter.adapter import open_adapter
from relation_core.relation.relation import encode_relation
from relation_core.relation.relation_file import load_relation, save_relation
from relation_core.weights.library_card import LibraryCard
from relation_core.weights.safetensors_file import sorted_metadata

ADAPTER = Path(__file__).resolve().parents[1] / "golden" / "two_heads" / "ip_adapter.bin"
MIB = 1 << 20
CARD = LibraryCard("Pencil", "Turns pictures into pencil drawings.", "2026-11-25T12:00:00+00:00")


def header(path: Path) -> bytes:
    data = path.read_bytes()
    return data[8 : 8 + int.from_bytes(data[:8], "little")]


def metadata(path: Path) -> dict[str, Any]:
    return json.loads(header(path))["__metadata__"]


def save(path: Path, pairs: int = 2, card: LibraryCard | None = None) -> torch.Tensor:
    """Save a relation with pictures that compress badly, and return these."""
    adapter = open_adapter(ADAPTER)
    random = torch.Generator().manual_seed(1)
    pooled = torch.randn(pairs, 2, adapter.config.vision_dim, generator=random)
    thumbnails = torch.randint(0, 256, (pairs, 128, 256, 3), generator=random, dtype=torch.uint8)
    save_relation(encode_relation(adapter, pooled, thumbnails, 1.0, "cpu", torch.float32), path, card)
    return thumbnails


def test_it_has_the_words_and_the_pairs_pictures(tmp_path: Path) -> None:
    file = tmp_path / "pencil_00001_.safetensors"
    thumbnails = save(file, card=CARD)
    words = metadata(file)
    assert {key: words[f"modelspec.{key}"] for key in ("title", "description", "date")} == vars(CARD)
    assert words["modelspec.architecture"] == "flux-1-dev/relation"
    assert words["modelspec.base_model"] == "flux-1-dev"
    assert "Load Relation" in words["modelspec.usage_hint"] and "image edit" in words["modelspec.tags"]
    covers = json.loads(words["ssmd_cover_images"])
    assert len(covers) == len(thumbnails)
    assert words["modelspec.thumbnail"] == f"data:image/jpeg;base64,{covers[0]}"
    for cover, thumbnail in zip(covers, thumbnails.numpy(), strict=True):
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(cover))))
        assert picture.shape == thumbnail.shape
        difference = np.abs(picture.astype(float) - thumbnail).mean()
        assert difference < np.abs(picture[:, ::-1].astype(float) - thumbnail).mean() / 1.2


def test_without_a_card_the_name_is_the_title_and_there_is_no_date(tmp_path: Path) -> None:
    file = tmp_path / "pencil.safetensors"
    save(file)
    assert metadata(file)["modelspec.title"] == "pencil"
    assert {"modelspec.date", "modelspec.description"}.isdisjoint(metadata(file))


def test_the_header_of_the_most_pairs_with_the_longest_words_stays_far_below_a_mebibyte(tmp_path: Path) -> None:
    file = tmp_path / "many.safetensors"
    save(file, pairs=64, card=LibraryCard("t" * 100_000, "\U0001f58c" * 100_000))
    assert len(header(file)) < MIB / 2
    assert 1 <= len(json.loads(metadata(file)["ssmd_cover_images"])) < 64


def test_the_same_relation_and_card_make_the_same_bytes(tmp_path: Path) -> None:
    files = [tmp_path / f"{index}.safetensors" for index in range(4)]
    for file in files:
        save(file, card=CARD)
    assert len({file.read_bytes() for file in files}) == 1
    assert list(metadata(files[0])) == sorted(metadata(files[0]))


@pytest.mark.parametrize("card", [None, CARD])
def test_a_file_with_and_without_a_card_loads_alike(tmp_path: Path, card: LibraryCard | None) -> None:
    """Relations of older versions have no such keys."""
    file, old = tmp_path / "new.safetensors", tmp_path / "old.safetensors"
    save(file, card=card)
    entries = json.loads(header(file))
    entries["__metadata__"] = {key: entries["__metadata__"][key] for key in ("format", "version", "adapter")}
    text = json.dumps(entries).encode()
    old.write_bytes(
        sorted_metadata(len(text).to_bytes(8, "little") + text + file.read_bytes()[8 + len(header(file)) :])
    )
    adapter = open_adapter(ADAPTER)
    new, before = (load_relation(path, adapter, "cpu") for path in (file, old))
    assert torch.equal(new.tokens, before.tokens) and torch.equal(new.thumbnails, before.thumbnails)
    assert torch.equal(new.keys_values.keys, before.keys_values.keys)
