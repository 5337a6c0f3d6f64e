"""Whether a model has the sizes that an adapter was trained for."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ModelMismatchError
from .config import RelationConfig


@dataclass(frozen=True)
class ModelSizes:
    """The sizes of a Flux that must fit an adapter."""

    blocks: int
    """Attention blocks of both kinds together."""
    heads: int
    hidden_size: int
    text_dim: int


def check_sizes(name: str, sizes: ModelSizes, config: RelationConfig) -> None:
    """Refuse a model that the adapter was not trained for.

    Args:
        name: what to call the model.
        sizes: the model's.
        config: the adapter's.

    Raises:
        ModelMismatchError: blocks, heads or widths differ.
    """
    found_expected = {
        "attention blocks": (sizes.blocks, config.blocks),
        "heads": (sizes.heads, config.heads),
        "hidden size": (sizes.hidden_size, config.hidden_size),
        "text width": (sizes.text_dim, config.text_dim),
    }
    wrong = [
        f"{found} {what} for {expected}" for what, (found, expected) in found_expected.items() if found != expected
    ]
    if wrong:
        raise ModelMismatchError(
            f"The model ({name}) does not fit the adapter that the relation was made with: it has {', '.join(wrong)}. "
            "Use the kind of Flux that the adapter was trained on; the released adapter is for FLUX.1-dev."
        )
