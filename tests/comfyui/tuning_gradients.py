"""What learning computes in ComfyUI: the velocity that a model predicts, and the loss's gradient by keys and values."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from edits import Edit

from relation_core.tuning.flow import LatentPair


@contextmanager
def predicting(edit: Edit, model: Any, text: Any, source: torch.Tensor) -> Generator[Any]:
    """What learning calls, for a source (1, 16, h, w) in the model's latent space."""
    patcher, conditioning = edit.run(model, text)
    tuning = edit.host.module("nodes.tuning_model")
    with (
        torch.inference_mode(),
        tuning.learning_model(patcher, conditioning, [LatentPair(source[0], source[0])], 1, 1) as predict,
    ):
        yield predict


def attended_of(edit: Edit, relation: Any) -> Any:
    keys_values = relation.keys_values
    parts = ([part.clone() for part in kept.float()] for kept in (keys_values.keys, keys_values.values))
    return edit.host.module("relation_core.tuning.attended").Attended(*parts, relation.token_bias())


def gradient_of(edit: Edit, predict: Any, relation: Any, move: list[torch.Tensor] | None = None) -> Any:
    """The loss of one call and its gradient by all keys and values, which may be moved beforehand."""
    attended = attended_of(edit, relation).cut_off()
    with torch.no_grad():
        for leaf, step in zip(attended.tensors(), move or [], strict=False):
            leaf.add_(step)
    source, noise = edit.tensors["source_latent"].clone(), edit.noise().clone()
    levels = torch.tensor([0.7, 0.3])
    velocity = predict(noise.expand(2, -1, -1, -1), source.expand(2, -1, -1, -1), levels, attended)
    loss = (velocity - source).square().mean()
    loss.backward()
    return float(loss.detach()), [leaf.grad for leaf in attended.tensors()]
