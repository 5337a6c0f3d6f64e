"""Source reuse: the source is computed at some noise levels and attended to at all of them.

A source stays clean while the target is denoised, so its keys and values hardly change from one noise level to the
next. At a refresh (:mod:`.refreshes`) everything is computed, and every block's keys (after rotary embedding) and
values of the source's tokens are kept. In between, the image stream holds no source tokens, and the other tokens attend
to what was kept.

Axes: B rows of the batch, H heads, L tokens, R source tokens, d head width.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import torch

from .eight_bits import EightBits, bytes_a_number
from .refreshes import Refreshes
from .sizes import HEAD_DIM


class SourceKeysValues(NamedTuple):
    """The source's keys and values in one block, (B, H, R, d) each."""

    keys: torch.Tensor
    """After rotary embedding."""
    values: torch.Tensor

    def whole(self) -> SourceKeysValues:
        """Themselves: :class:`RoundedKeysValues` make these anew."""
        return self


class RoundedKeysValues(NamedTuple):
    """The same in 8 bits."""

    keys: EightBits
    values: EightBits

    def whole(self) -> SourceKeysValues:
        """In the dtype that they had."""
        return SourceKeysValues(self.keys.values(), self.values.values())


KeptKeysValues = SourceKeysValues | RoundedKeysValues


@dataclass(frozen=True)
class SourceTokens:
    """Where the tokens of the source are in a stream."""

    total: int
    """Tokens of the stream."""
    spans: tuple[tuple[int, int], ...]
    """Start and end of every run of source tokens, in order."""

    @property
    def source(self) -> int:
        """Tokens of the source."""
        return sum(end - start for start, end in self.spans)

    def after(self, tokens: int) -> SourceTokens:
        """The same in a stream that begins with further tokens, such as those of the text."""
        return SourceTokens(self.total + tokens, tuple((start + tokens, end + tokens) for start, end in self.spans))

    def of(self, tensor: torch.Tensor, dim: int) -> torch.Tensor:
        """Copy the source's tokens out of a tensor that holds all tokens along ``dim``."""
        return torch.cat([tensor.narrow(dim, start, end - start) for start, end in self.spans], dim)

    def without(self, tensor: torch.Tensor, dim: int) -> torch.Tensor:
        """Copy the other tokens."""
        return torch.cat([tensor.narrow(dim, start, end - start) for start, end in self._others()], dim)

    def together(self, others: torch.Tensor, source: torch.Tensor, dim: int) -> torch.Tensor:
        """Put the source's tokens back among the others, the reverse of :meth:`of` and :meth:`without`."""
        parts: list[torch.Tensor] = []
        at = before = 0  # how much of the stream, and of the source, is in place
        for start, end in self.spans:
            parts += [others.narrow(dim, at - before, start - at), source.narrow(dim, before, end - start)]
            at, before = end, before + end - start
        return torch.cat([*parts, others.narrow(dim, at - before, self.total - at)], dim)

    def _others(self) -> list[tuple[int, int]]:
        starts = (0, *(end for _, end in self.spans))
        ends = (*(start for start, _ in self.spans), self.total)
        return [(start, end) for start, end in zip(starts, ends, strict=True) if start < end]


def source_tokens(image_tokens: int, references: Sequence[int], ours: Collection[int]) -> SourceTokens | None:
    """Find the source's tokens in an image stream: the target's first, then those of each reference.

    Args:
        image_tokens: tokens of the stream.
        references: tokens of every reference.
        ours: which of them are sources.

    Returns:
        Their places; None if there are no source tokens, or if the stream does not hold every reference.
    """
    target = image_tokens - sum(references)
    ends = list(accumulate(references, initial=target))
    spans = tuple((ends[place], ends[place + 1]) for place in sorted(ours) if references[place])
    return SourceTokens(image_tokens, spans) if spans and target > 0 else None


def kept_bytes(tokens: int, blocks: int, width: int, item: int, eight_bits: bool = False) -> int:
    """Compute the bytes that a source's keys and values take.

    Args:
        tokens: source tokens, times rows of the batch.
        blocks: attention blocks of the model.
        width: of a token in the model.
        item: bytes of a number in the model's dtype.
        eight_bits: whether they are kept in 8 bits instead.
    """
    return round(2 * tokens * blocks * width * (bytes_a_number(HEAD_DIM) if eight_bits else item))


@dataclass(frozen=True)
class _Kept:
    blocks: Mapping[Hashable, KeptKeysValues]
    entries: frozenset[Hashable]
    part: int | None
    """Of the noise levels, where it was computed."""


class SourceMemory:
    """The keys and values that one sampling run keeps of its sources.

    Noise levels count, not calls: samplers of second order call the model twice at one, and step caches pass over some.
    Threads of several devices may recall and keep at once.
    """

    def __init__(self, refresh_every: int, schedule: Sequence[float], eight_bits: bool = False) -> None:
        """Begin a run.

        Args:
            refresh_every: steps for each refresh, on average.
            schedule: the run's falling noise levels, the last of which ends it.
            eight_bits: whether :meth:`held` rounds what is kept.

        Raises:
            RelationAdapterError: ``refresh_every`` is out of its bounds.
        """
        self._refreshes, self._reuses = Refreshes(refresh_every, schedule), refresh_every > 1
        self._eight_bits = eight_bits
        self._level: float | None = None
        self._part: int | None = None
        self._kept: dict[Hashable, _Kept] = {}
        self._called: set[Hashable] = set()
        self._ambiguous: set[Hashable] = set()

    def evaluate(self, level: float) -> None:
        """Note that the sampler asks for a prediction at a noise level, and drop what is due for a refresh."""
        self._called.clear()
        if level == self._level:
            return
        self._level, self._part = level, self._refreshes.part(level)
        due = [call for call, kept in self._kept.items() if self._part is None or kept.part != self._part]
        for call in due:
            del self._kept[call]

    def held(self, found: SourceKeysValues) -> KeptKeysValues:
        """What is held of one block's keys and values until :meth:`keep`, and from then on."""
        return RoundedKeysValues(*map(EightBits.of, found)) if self._eight_bits else found

    def recall(self, call: Hashable) -> Mapping[Hashable, KeptKeysValues] | None:
        """Return what is kept for a call of the model, by block; None if it has to compute its source.

        If a call comes twice for one prediction, it either shows different parts of the picture under one name, as with
        tiled samplers, or the model changed in between, as with some guidance methods. Nothing more is reused for it.
        """
        if call in self._called:
            self._ambiguous.add(call)
            self._kept.pop(call, None)
        self._called.add(call)
        kept = self._kept.get(call)
        return kept.blocks if kept else None

    def wants(self, call: Hashable) -> bool:
        """Whether to keep the source of a call. It is of use only once the sampler has asked for a prediction."""
        return self._level is not None and self._reuses and call not in self._ambiguous

    def keep(self, call: Hashable, entries: Iterable[Hashable], blocks: Mapping[Hashable, KeptKeysValues]) -> None:
        """Keep the source of a call, and forget any other call about the same pictures.

        Args:
            call: identifies the call: everything that its source's keys depend on except the noise level.
            entries: the conditioning entries that it computes.
            blocks: what :meth:`held` gave, by block.
        """
        if not self.wants(call):
            return
        ours = frozenset(entries)
        for other in [other for other, kept in list(self._kept.items()) if kept.entries & ours]:
            self._kept.pop(other, None)
        self._kept[call] = _Kept(blocks, ours, self._part)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
