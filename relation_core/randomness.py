"""Randomness that depends on the step alone, so that a killed run resumes as if it had never stopped."""

from __future__ import annotations

from hashlib import blake2b

import torch


def generator_of(seed: int, *place: int | str) -> torch.Generator:
    """Make the random generator of one place in a run, such as a step: it is the same each time."""
    text = " ".join(map(str, (seed, *place)))
    number = int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "little")
    return torch.Generator().manual_seed(number)
