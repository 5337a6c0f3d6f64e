"""A disk that is full when the first state is written, and what learning holds of its pairs."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps
from tune_runs import BEFORE, arguments, refusal, tune

from relation_tools.__main__ import main
from relation_tools.tuning import command
from tests.full_disk import room_for

Pairs = tuple[Path, Path]
OUT = "mine.safetensors"


def test_a_disk_that_is_full_at_the_first_state_is_named(
    vae: Path, folders: Pairs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with room_for(3_000):
        assert tune(vae, folders, tmp_path / OUT, "--steps=1") == 1
    assert refusal(caplog).startswith(
        f"The state of step 1 could not be written to {tmp_path / 'mine.tuning'} (File too"
    )
    assert list(tmp_path.iterdir()) == []


def test_what_is_held_does_not_grow_with_the_pairs(vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for their latents: of the pictures only the first and those of the sheet's eight rows are kept."""
    seen: list[tuple[int, int]] = []

    class Counted(command.Learner):
        def take_step(self) -> float:
            gc.collect()
            things = gc.get_objects()
            tensors = [thing for thing in things if issubclass(type(thing), torch.Tensor) and not thing.is_meta]
            storages = {thing.untyped_storage().data_ptr(): thing.untyped_storage().nbytes() for thing in tensors}
            latents = sum(part.nbytes for pair in self._pairs for part in (pair.source, pair.target))
            pictures = sum(issubclass(type(thing), Image.Image) for thing in things)
            seen.append((sum(storages.values()) - latents, pictures))
            return super().take_step()

    monkeypatch.setattr(command, "Learner", Counted)
    for pairs in (9, 14):
        shown: list[str] = []
        for number in range(pairs):
            before = Image.open(BEFORE).convert("RGB").resize((32, 32)).rotate(number)
            for kind, picture in (("before", before), ("after", ImageOps.mirror(before))):
                picture.save(path := tmp_path / f"{kind}{number}.png")
                shown.append(f"--{kind}={path}")
            del before, picture
        assert main(arguments(vae, *shown, "--steps=1", f"--out={tmp_path / f'{pairs}.safetensors'}")) == 0
    assert seen[0] == seen[1], seen
