"""Flow matching with a clean source beside the target: the loss for learning a relation.

Axes: B samples, h and w rows and columns of a latent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch

from ..flux.schedule import relation_sigmas
from ..flux.sizes import PATCH
from .attended import Attended

PIECE_TOKENS = 2048
"""Image tokens in one call of the model: one sample of 512x512 pixels, or several smaller ones."""


class Predict(Protocol):
    """A host's frozen model, with its prompt and guidance."""

    def __call__(
        self, noisy: torch.Tensor, source: torch.Tensor, levels: torch.Tensor, attended: Attended | None
    ) -> torch.Tensor:
        """Predict the velocity, noise - target.

        Args:
            noisy: (B, 16, h, w) float32, on the model's device.
            source: likewise; its tokens stay clean and share the target's positions.
            levels: (B,) noise levels, 1 being pure noise.
            attended: what the blocks attend to at strength 1, with gradients; None for the model alone.

        Returns:
            (B, 16, h, w) float32.
        """
        ...


@dataclass(frozen=True)
class LatentPair:
    """A picture before and after the edit, in the model's latent space."""

    source: torch.Tensor
    """(16, h, w) float32 on the CPU."""
    target: torch.Tensor
    """Likewise, of the same size."""

    @property
    def tokens(self) -> int:
        """Image tokens of a sample: the target's and the source's."""
        return 2 * self.source.shape[1] * self.source.shape[2] // PATCH**2


@dataclass(frozen=True)
class Samples:
    """Samples of one size, enough for one call of the model."""

    source: torch.Tensor
    """(B, 16, h, w)."""
    target: torch.Tensor
    noise: torch.Tensor
    levels: torch.Tensor
    """(B,)."""


def samples_at_once(pair: LatentPair, batch_size: int) -> int:
    """How many of a batch's samples of a pair's size go through the model in one call."""
    return min(batch_size, max(1, PIECE_TOKENS // pair.tokens))


def split_samples(pairs: Sequence[LatentPair], noises: Sequence[torch.Tensor], levels: torch.Tensor) -> list[Samples]:
    """Group samples of the same size, as many as fit into one call of the model."""
    by_size: dict[torch.Size, list[int]] = {}
    for index, pair in enumerate(pairs):
        by_size.setdefault(pair.source.shape, []).append(index)
    return [
        Samples(
            torch.stack([pairs[index].source for index in part]),
            torch.stack([pairs[index].target for index in part]),
            torch.stack([noises[index] for index in part]),
            levels[part],
        )
        for indices in by_size.values()
        for part in _parts(indices, samples_at_once(pairs[indices[0]], len(indices)))
    ]


def _parts(indices: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def flow_losses(predict: Predict, samples: Samples, attended: Attended | None, device: torch.device) -> torch.Tensor:
    """The mean squared error of the predicted velocity, of every sample: (B,) float32."""
    source, target, noise, levels = (
        part.to(device) for part in (samples.source, samples.target, samples.noise, samples.levels)
    )
    noisy = torch.lerp(target, noise, levels.view(-1, 1, 1, 1))
    return (predict(noisy, source, levels, attended) - (noise - target)).square().flatten(1).mean(1)


@torch.no_grad()
def draw_edit(
    predict: Predict, source: torch.Tensor, noise: torch.Tensor, steps: int, attended: Attended | None
) -> torch.Tensor:
    """Edit sources (B, 16, h, w) as sampling does, with Euler steps down the authors' schedule."""
    sigmas = relation_sigmas(steps, source.shape[2] * source.shape[3] // PATCH**2)
    latent = noise
    for level, lower in pairwise(map(float, sigmas)):
        levels = torch.full((len(latent),), level, device=latent.device)
        latent = latent + (lower - level) * predict(latent, source, levels, attended)
    return latent
