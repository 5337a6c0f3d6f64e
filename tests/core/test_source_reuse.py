"""Where source tokens are in a stream, and when what is kept of them is too old."""

from __future__ import annotations

import random

import pytest
import torch

from relation_core.errors import RelationAdapterError
from relation_core.flux.source_reuse import (
    SourceKeysValues,
    SourceMemory,
    SourceTokens,
    kept_bytes,
    source_tokens,
)


@pytest.mark.parametrize("seed", range(30))
def test_a_stream_is_taken_apart_and_put_together(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - no secret
    references = [draw.randint(1, 5) for _ in range(draw.randint(1, 4))]
    ours = draw.sample(range(len(references)), draw.randint(1, len(references)))
    target, text = draw.randint(1, 6), draw.randint(0, 3)
    tokens = source_tokens(target + sum(references), references, ours)
    assert tokens is not None
    owners = [-1] * (text + target) + [place for place, count in enumerate(references) for _ in range(count)]
    stream = torch.arange(len(owners)).repeat(2, 1, 1)  # (2, 1, L)
    tokens = tokens.after(text)
    source, others = tokens.of(stream, 2), tokens.without(stream, 2)
    assert source[1, 0].tolist() == [index for index, owner in enumerate(owners) if owner in ours]
    assert others[1, 0].tolist() == [index for index, owner in enumerate(owners) if owner not in ours]
    assert torch.equal(tokens.together(others, source, 2), stream)


@pytest.mark.parametrize(("stream", "references", "ours"), [(9, [3], []), (9, [], []), (3, [3], [0]), (9, [0], [0])])
def test_streams_without_a_source(stream: int, references: list[int], ours: list[int]) -> None:
    assert source_tokens(stream, references, ours) is None


def ages(memory: SourceMemory, levels: list[float]) -> str:
    """At every level: computed and kept, or reused."""
    said = ""
    for level in levels:
        memory.evaluate(level)
        said += "." if memory.recall("call") else "C"
        if said[-1] == "C":
            memory.keep("call", ["entry"], {"block": None})  # type: ignore[dict-item]
    return said


FALLING = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("every", "schedule", "levels", "said"),
    [
        (1, FALLING, [9, 8, 7], "CCC"),
        (3, FALLING, FALLING[:-1], "C...C...C"),
        (3, FALLING, [9, 8, 8, 7, 7, 6, 6, 5, 5], "C......C."),  # a second call at a level
        (3, FALLING, [9, 8, 4, 3], "C.C."),  # levels that passed without a call
        (3, FALLING, [9, 8.5, 8, 7.5, 7, 5.5, 5.1, 4.9], "C......C"),  # levels between those of the schedule
        (3, FALLING, [9, 6, 5, 4, 6, 3], "C.C.CC"),  # back to the noise
        (3, FALLING, [9.5, 9, 6], "C.."),  # above the first
        (3, FALLING, [9, 2, 1, 1], "CCC."),  # the last step, called once more at its level
        (3, FALLING, [9, 2, 1, 0.5], "CCCC"),  # and below it
        (3, FALLING[:-1], [9, 5, 3, 2], "CC.C"),  # of a run that leaves some noise
        (3, [1, 2, 3, 4], [1, 2, 3], "CCC"),  # from a picture to noise
        (9, [4, 0], [4], "C"),
        (9, [4], [4, 3], "CC"),
    ],
)
def test_what_is_kept_grows_old(every: int, schedule: list[float], levels: list[float], said: str) -> None:
    assert ages(SourceMemory(every, schedule), levels) == said


def test_nothing_is_kept_before_a_prediction_is_asked_for() -> None:
    memory = SourceMemory(4, FALLING)
    assert memory.recall("call") is None and not memory.wants("call")


def test_a_call_that_comes_twice_is_never_reused() -> None:
    memory = SourceMemory(4, FALLING)
    assert ages(memory, [9, 8]) == "C."
    assert memory.recall("call") is None
    assert ages(memory, [7, 6]) == "CC"


def test_a_call_replaces_others_about_its_entries() -> None:
    """Conditioning that is batched at one level and not at the next is held once."""
    memory = SourceMemory(9, FALLING)
    for level, call, entries in ((9.0, "both", "ab"), (8.0, "a", "a"), (8.0, "c", "c")):
        memory.evaluate(level)
        memory.keep(call, entries, {"block": None})  # type: ignore[dict-item]
    memory.evaluate(7.0)
    assert [bool(memory.recall(call)) for call in ("both", "a", "c")] == [False, True, True]
    memory.clear()
    memory.evaluate(6.0)
    assert not memory.recall("a")


def test_the_memory_of_a_released_model() -> None:
    """57 blocks of width 3072 in bfloat16, at 512 and 1024 pixels."""
    assert kept_bytes(1024, 57, 3072, 2) / 1e9 == pytest.approx(0.72, abs=0.01)
    assert kept_bytes(4096, 57, 3072, 2) / 1e9 == pytest.approx(2.87, abs=0.01)
    for item in (2, 4):  # in 8 bits, and a float32 for the 128 numbers of each token and head
        assert kept_bytes(4096, 57, 3072, item, eight_bits=True) / 1e9 == pytest.approx(1.48, abs=0.01)


def test_what_is_held_is_as_it_was_or_in_8_bits() -> None:
    found = SourceKeysValues(*torch.randn(2, 1, 3, 7, 128, generator=torch.Generator().manual_seed(0)))
    assert SourceMemory(4, FALLING).held(found) is found and found.whole() is found
    held = SourceMemory(4, FALLING, eight_bits=True).held(found)
    for kept, rounded, exact in zip(held, held.whole(), found, strict=True):
        assert not isinstance(kept, torch.Tensor) and kept.numbers.dtype == torch.int8
        assert 0 < float((rounded - exact).abs().max()) < 0.02


def test_an_interval_below_one_is_refused() -> None:
    with pytest.raises(RelationAdapterError, match="Got refresh_every = 0; expected a whole number from 1 to 1000"):
        SourceMemory(0, FALLING)


def test_spans_are_where_they_are_said_to_be() -> None:
    assert source_tokens(10, [2, 3], {1}) == SourceTokens(10, ((7, 10),))
    assert source_tokens(10, [2, 3], [1, 0]) == SourceTokens(10, ((5, 7), (7, 10)))
