"""CUDA graphs: a block that is captured in one is replayed later without its hooks."""

from __future__ import annotations

import torch

from ..relation_core.errors import ModelMismatchError


def refuse_capture(query: torch.Tensor) -> None:
    """Refuse to be captured; the hooks of blocks call this with the block's query.

    Raises:
        ModelMismatchError: the block is being captured.
    """
    if captures(query):
        raise ModelMismatchError(
            "A block of this model is being captured in a CUDA graph, which would repeat this step's relation in every "
            "later step. Relations need blocks that ComfyUI runs anew at every step. Start ComfyUI with "
            "--disable-cuda-graphs, or remove the node that captures the model."
        )


def captures(query: torch.Tensor) -> bool:
    """Whether computations with this tensor are being captured in a CUDA graph."""
    return query.is_cuda and torch.cuda.is_current_stream_capturing()
