"""How much memory learning a relation takes beside the weights."""

from __future__ import annotations

from typing import Any

from ..relation_core.tuning.flow import PIECE_TOKENS, LatentPair

_WITHIN = 50
"""Vectors of the model's width that a token's way through one block leaves for the gradient."""


def learning_bytes(sizes: dict[str, Any], pairs: list[LatentPair], text: int, tokens: int, item: int) -> int:
    """Bytes that learning holds at its height.

    They are what goes into every block, all of one block's activations, one block's weights where they are cast, and
    the keys and values of the exemplars with their gradients.

    Args:
        sizes: of the Flux, under ComfyUI's names.
        pairs: what is learned from.
        text: tokens of the prompt.
        tokens: exemplar tokens that are learned.
        item: bytes of a number.
    """
    width, blocks = sizes["hidden_size"], sizes["depth"] + sizes["depth_single_blocks"]
    most = 0
    for pair in pairs:
        samples = max(1, PIECE_TOKENS // pair.tokens)
        most = max(most, samples * (pair.tokens + text))
    activations = most * width * (blocks + _WITHIN)
    weights = int(width * width * 2 * (10 + 2 * sizes["mlp_ratio"]))  # of a double block, the largest
    exemplars = 4 * blocks * tokens * width
    return item * (activations + weights + exemplars)
