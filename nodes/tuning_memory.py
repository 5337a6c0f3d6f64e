"""The memory that learning a relation takes besides the weights."""

from __future__ import annotations

from typing import Any

from ..relation_core.tuning.flow import LatentPair, samples_at_once

_WITHIN = 50
"""Vectors of the model's width that one token leaves for the backward pass in one block."""


def learning_bytes(
    sizes: dict[str, Any], pairs: list[LatentPair], text: int, tokens: int, batch_size: int, item: int
) -> int:
    """Compute the peak memory of learning, in bytes.

    It is the input of every block, all activations of one block, one block's weights if they are cast, and the
    exemplars' keys and values with their gradients.

    Args:
        sizes: of the Flux, under ComfyUI's names.
        pairs: what is learned from.
        text: tokens of the prompt.
        tokens: exemplar tokens that are learned.
        batch_size: samples a step.
        item: bytes of a number.
    """
    width, blocks = sizes["hidden_size"], sizes["depth"] + sizes["depth_single_blocks"]
    most = 0
    for pair in pairs:
        most = max(most, samples_at_once(pair, batch_size) * (pair.tokens + text))
    activations = most * width * (blocks + _WITHIN)
    weights = int(width * width * 2 * (10 + 2 * sizes["mlp_ratio"]))  # of a double block, which is the largest
    exemplars = 4 * blocks * tokens * width
    return item * (activations + weights + exemplars)
