"""Tune Relation while it encodes its pairs: an interrupt is heeded at once, and nothing of the pairs is held."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from golden_tuning import MODEL, GoldenTuning
from left_behind import changes, held, state_of
from PIL import Image

from comfyui_host.host import GraphError, Host

PAIRS = 4


@pytest.mark.parametrize(("encoder", "after"), [("vae", 1), ("vae", 4), ("vision", 1), ("vision", 3)])
def test_an_interrupt_is_heeded_between_pictures(
    host: Host, monkeypatch: pytest.MonkeyPatch, encoder: str, after: int
) -> None:
    """The autoencoder encodes 8 pictures one by one, the vision model 4 pairs."""
    import comfy.model_management

    tuning = GoldenTuning(host, PAIRS)
    model, vae, loaded = tuning.run(tuning.model(MODEL), tuning.vae, tuning.adapter())
    tuning.run(tuning.sample(tuning.value(model), tuning.text()))  # loaded, as by any sampling
    before = state_of(model)
    encoding, name = (vae, "encode") if encoder == "vae" else (type(loaded.vision), "pooled")
    encode, calls = getattr(encoding, name), []

    def interrupted(*arguments: Any) -> Any:
        calls.append(None)
        encoded = encode(*arguments)
        if len(calls) == after:  # afterwards, since ComfyUI's own operations heed it within a picture
            comfy.model_management.interrupt_current_processing(True)
        return encoded

    node = tuning.tuned(model=tuning.value(model), vae=tuning.value(vae), relation_adapter=tuning.value(loaded))
    with monkeypatch.context() as patched:
        patched.setattr(encoding, name, interrupted)
        with pytest.raises(GraphError, match="interrupted"):
            tuning.run(node)
    assert len(calls) == after
    assert changes(before, state_of(model)) == []
    assert tuning.run(node).learned[0].pairs == PAIRS


def test_what_is_held_while_learning_does_not_grow_with_the_pairs(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the latents, and the pictures that come in, which are the host's."""
    learner = host.module("relation_core.tuning.learner").Learner
    take_step = learner.take_step
    seen: list[tuple[int, int]] = []

    def counted(self: Any) -> float:
        gc.collect()
        latents = sum(part.nbytes for pair in self._pairs for part in (pair.source, pair.target))
        pictures = sum(issubclass(type(thing), Image.Image) for thing in gc.get_objects())
        seen.append((held()["bytes"] - latents - given, pictures))
        return take_step(self)

    for pairs in (1, 2, 9):
        tuning = GoldenTuning(host, pairs)
        given = tuning.before.untyped_storage().nbytes()
        with monkeypatch.context() as patched:
            patched.setattr(learner, "take_step", counted)
            tuning.run(tuning.tuned(steps=1))
        del tuning
        host.store.clear()
    assert seen[1] == seen[2], seen
