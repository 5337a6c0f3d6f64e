"""Reuse of the source (:mod:`relation_core.flux.source_reuse`) in diffusers' Flux.

Axes: B rows of the batch, L tokens, R source tokens, H heads, d head width. diffusers keeps tokens before heads.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from diffusers.models.embeddings import apply_rotary_emb

from relation_core.flux.source_reuse import KeptKeysValues, SourceKeysValues, SourceMemory, SourceTokens

Rotary = tuple[torch.Tensor, torch.Tensor]
"""Cosines and sines of every token: (L, d)."""


@dataclass(frozen=True)
class SourcePass:
    """The source in one call of the model: computed and recorded, or reused."""

    tokens: SourceTokens
    """In the whole image stream."""
    text: int
    """Tokens of the text."""
    memory: SourceMemory
    """Says how what is recorded is held."""
    kept: Mapping[Hashable, KeptKeysValues] | None
    """By block, what is reused: (B, R, H, d); None where the source is computed."""
    recorded: dict[Hashable, KeptKeysValues] = field(default_factory=dict[Hashable, KeptKeysValues])

    def view(self, attn: Any, block: int, rotary: Rotary, double: bool) -> Any:
        """What a block's processor takes for its attention module.

        Args:
            attn: the module.
            block: number of the block.
            rotary: of the stream that is computed, the text's tokens first.
            double: whether the block's projections see the image stream without the text.
        """
        tokens = self.tokens if double else self.tokens.after(self.text)
        first = self.text if double else 0
        if self.kept is None:
            return _Recording(attn, tokens, _part(rotary, first), partial(self._record, block))
        return _Reusing(attn, tokens, rotary, first, self.kept[block].whole())

    def _record(self, block: int, found: SourceKeysValues) -> None:
        self.recorded[block] = self.memory.held(found)


class _Recording:
    """An attention module whose keys and values of the source are noted."""

    def __init__(
        self, attn: Any, tokens: SourceTokens, rotary: Rotary, note: Callable[[SourceKeysValues], None]
    ) -> None:
        self._attn, self._tokens, self._note = attn, tokens, note
        cosines, sines = rotary
        self._rotary = tokens.of(cosines, 0), tokens.of(sines, 0)
        self._values = torch.empty(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._attn, name)

    def to_v(self, hidden: torch.Tensor) -> torch.Tensor:
        """Make values (B, L, H * d)."""
        values = self._attn.to_v(hidden)
        self._values = self._tokens.of(values, 1)
        return values

    def norm_k(self, keys: torch.Tensor) -> torch.Tensor:
        """Normalise keys (B, L, H, d), after the values were made."""
        normalised = self._attn.norm_k(keys)
        rotated = _rotate(self._tokens.of(normalised, 1), self._rotary)
        self._note(SourceKeysValues(rotated, self._values.unflatten(-1, rotated.shape[-2:])))
        return normalised


class _Reusing:
    """An attention module that rotates its queries and keys itself, and whose source is what was noted."""

    def __init__(self, attn: Any, tokens: SourceTokens, rotary: Rotary, first: int, kept: SourceKeysValues) -> None:
        self._attn, self._tokens, self._kept = attn, tokens, kept
        self._rotary, self._text_rotary = _part(rotary, first), _part(rotary, 0, first)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._attn, name)

    def to_v(self, hidden: torch.Tensor) -> torch.Tensor:
        """Make values (B, L, H * d), with the source's put back."""
        return self._tokens.together(self._attn.to_v(hidden), self._kept.values.flatten(2), 1)

    def norm_q(self, queries: torch.Tensor) -> torch.Tensor:
        """Normalise and rotate queries (B, L, H, d)."""
        return _rotate(self._attn.norm_q(queries), self._rotary)

    def norm_k(self, keys: torch.Tensor) -> torch.Tensor:
        """Normalise and rotate keys (B, L, H, d), and put the source's back."""
        return self._tokens.together(_rotate(self._attn.norm_k(keys), self._rotary), self._kept.keys, 1)

    def norm_added_q(self, queries: torch.Tensor) -> torch.Tensor:
        """Normalise and rotate the text's queries."""
        return _rotate(self._attn.norm_added_q(queries), self._text_rotary)

    def norm_added_k(self, keys: torch.Tensor) -> torch.Tensor:
        """Normalise and rotate the text's keys."""
        return _rotate(self._attn.norm_added_k(keys), self._text_rotary)


def _part(rotary: Rotary, start: int, end: int | None = None) -> Rotary:
    cosines, sines = rotary
    return cosines[start:end], sines[start:end]


def _rotate(heads: torch.Tensor, rotary: Rotary) -> torch.Tensor:
    rotated: Any = apply_rotary_emb(heads, rotary, sequence_dim=1)  # type: ignore[arg-type]
    return rotated
