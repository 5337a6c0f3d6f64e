"""Relation attention in diffusers' Flux, through its attention processors.

diffusers hands every entry of ``joint_attention_kwargs`` that a processor has a parameter for to that processor. So the
exemplars come with each call, and the model stores nothing of them::

    add_relation_attention(transformer)
    transformer(..., joint_attention_kwargs={"relation": ExemplarAttention(keys, values)})
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.transformers.transformer_flux import (
    FluxAttention,
    FluxAttnProcessor,
    FluxTransformer2DModel,
)

from relation_core.flux.attention import relation_attention, torch_attention
from relation_core.relation.relation import Relation

from .source_reuse import SourcePass

Strength = float | torch.Tensor
"""A number, or a tensor that broadcasts to (B, L, H * d), such as one of every sample: (B, 1, 1)."""


@dataclass(frozen=True)
class ExemplarAttention:
    """The exemplars that the blocks attend to in one call of the model.

    Keys and values have one entry for every attention block, the double-stream blocks first: (H, T, d), the same for
    the whole batch, or (B, H, T, d). Gradients flow through them.
    """

    keys: Sequence[torch.Tensor] | torch.Tensor
    """RMS-normalised per head."""
    values: Sequence[torch.Tensor] | torch.Tensor
    bias: torch.Tensor | None = None
    """(T,) or (B, T), added to the logits: the logarithms of the tokens' weights."""
    double_strength: Strength = 1.0
    single_strength: Strength = 1.0

    @classmethod
    def of_relation(
        cls, relation: Relation, device: torch.device | str, dtype: torch.dtype, double: float, single: float
    ) -> ExemplarAttention | None:
        """Move a relation to the model's device and dtype; None if it has no effect.

        Args:
            relation: the relation; pairs of weight 0 are left out.
            device: where the transformer computes.
            dtype: what it computes in.
            double: strength in the double-stream blocks.
            single: strength in the single-stream blocks.
        """
        present = relation.present()
        if present is None or not (double or single):
            return None
        keys_values = present.keys_values_in(dtype, device)
        bias = present.token_bias()
        return cls(keys_values.keys, keys_values.values, None if bias is None else bias.to(device), double, single)

    def attend(self, block: int, query: torch.Tensor, strength: Strength) -> torch.Tensor | None:
        """Compute what one block adds from the exemplars, times the strength; None at strength 0.

        Args:
            block: number of the block, counted on through the single-stream blocks.
            query: (B, L, H, d), after the query norm and before rotary embedding.
            strength: of this kind of block.

        Returns:
            (B, L, H * d).
        """
        if isinstance(strength, (int, float)) and not strength:
            return None
        query = query.transpose(1, 2)  # (B, H, L, d)
        keys, values = self.keys[block].to(query), self.values[block].to(query)
        bias = None if self.bias is None else self.bias.to(query)
        return strength * relation_attention(query, keys, values, torch_attention, bias)


class RelationAttnProcessor(FluxAttnProcessor):
    """diffusers' own processor of a Flux block, and the exemplars beside it.

    It computes what :class:`FluxAttnProcessor` computes, on a view of the attention module that records the image
    stream's query after its norm, and adds the result before the output projection.
    """

    def __init__(self, block: int) -> None:
        """Make the processor of one block, counted on through the single-stream blocks."""
        super().__init__()
        self.block = block

    def __call__(
        self,
        attn: FluxAttention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: Any = None,
        relation: ExemplarAttention | None = None,
        source: SourcePass | None = None,
    ) -> Any:
        """Attend; without a relation and a source exactly as diffusers does.

        A double-stream block gives its text as ``encoder_hidden_states`` and projects its output here; a single-stream
        block does neither.
        """
        attend: Any = super().__call__
        double = encoder_hidden_states is not None
        view: Any = attn
        if relation is not None:
            view = _AttentionView(attn, relation, self.block, double)
        heard = view
        if source is not None:
            heard = source.view(view, self.block, image_rotary_emb, double)
            image_rotary_emb = image_rotary_emb if source.kept is None else None  # that view rotates
        result = attend(heard, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb)
        return result if double or relation is None else view.with_exemplars(result)


class _AttentionView:
    """A view of an attention module: it records the normalised query, and adds the exemplars' share to the output."""

    def __init__(self, attn: FluxAttention, relation: ExemplarAttention, block: int, double: bool) -> None:
        self._attn, self._relation, self._block = attn, relation, block
        self._strength = relation.double_strength if double else relation.single_strength
        self._share: torch.Tensor | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._attn, name)

    def norm_q(self, query: torch.Tensor) -> torch.Tensor:
        """Normalise the query (B, L, H, d) of the image stream, or of all tokens of a single-stream block."""
        normalised = self._attn.norm_q(query)
        self._share = self._relation.attend(self._block, normalised, self._strength)
        return normalised

    @property
    def to_out(self) -> list[Callable[[torch.Tensor], torch.Tensor]]:
        """The output projection of the image stream, and what follows it."""
        projection, *rest = self._attn.to_out
        return [lambda hidden: projection(self.with_exemplars(hidden)), *rest]

    def with_exemplars(self, hidden: torch.Tensor) -> torch.Tensor:
        """Add the exemplars' share to the block's attention (B, L, H * d)."""
        return hidden if self._share is None else hidden + self._share


def add_relation_attention(transformer: FluxTransformer2DModel) -> None:
    """Give every block of a transformer a processor that takes ``relation`` from ``joint_attention_kwargs``."""
    double, single = len(transformer.transformer_blocks), len(transformer.single_transformer_blocks)
    names = [f"transformer_blocks.{index}" for index in range(double)]
    names += [f"single_transformer_blocks.{index}" for index in range(single)]
    processors: Any = {f"{name}.attn.processor": RelationAttnProcessor(block) for block, name in enumerate(names)}
    transformer.set_attn_processor(processors)
