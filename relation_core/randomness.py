"""Randomness that depends on the step alone, so that a run that was killed goes on as if it had not been."""

from __future__ import annotations

from hashlib import blake2b

import torch


def generator_of(seed: int, *place: int | str) -> torch.Generator:
    """Give the random numbers of one place in a run, such as a step: the same ones however often it is reached."""
    text = " ".join(map(str, (seed, *place)))
    number = int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "little")
    return torch.Generator().manual_seed(number)
