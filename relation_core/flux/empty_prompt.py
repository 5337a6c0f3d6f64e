"""No text: what a model that was trained without any is given in its place."""

from __future__ import annotations

import torch

EMPTY_TOKENS = 1
"""Text tokens. All would be alike, so more of them would tell the model nothing."""


def empty_prompt(text_dim: int, pooled_dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Zeros in the shapes of a prompt.

    Args:
        text_dim: the model's text width.
        pooled_dim: the model's width of the pooled text.

    Returns:
        The text (1, 1, text_dim) and the pooled text (1, pooled_dim), float32 on the CPU.
    """
    return torch.zeros(1, EMPTY_TOKENS, text_dim), torch.zeros(1, pooled_dim)
