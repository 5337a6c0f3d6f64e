"""The empty prompt for a model that was trained without text."""

from __future__ import annotations

import torch

EMPTY_TOKENS = 1
"""Text tokens. They are all alike, so more of them would add nothing."""


def empty_prompt(text_dim: int, pooled_dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Make zeros in the shapes of a prompt.

    Args:
        text_dim: the model's text width.
        pooled_dim: the model's width of the pooled text.

    Returns:
        The text (1, 1, text_dim) and the pooled text (1, pooled_dim), float32 on the CPU.
    """
    return torch.zeros(1, EMPTY_TOKENS, text_dim), torch.zeros(1, pooled_dim)
