"""Batched edits with the models in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from relation_core.flux.schedule import relation_sigmas
from relation_core.randomness import generator_of

from ..diffusers_host.attention import ExemplarAttention
from ..diffusers_host.sampling import Prompt, sample, token_grid
from .accuracy import Edit, Question
from .flow import RelationFlow
from .models import FrozenEncoders
from .picture_cache import PictureCache
from .texts import EmptyTexts, Texts

Exemplars = Literal["own", "wrong", "blank", "none"]
"""The exemplars that an edit sees: its sample's, those of another relation, white pictures, or none (strength 0)."""


def edit_with(
    flow: RelationFlow,
    encoders: FrozenEncoders,
    cache: PictureCache,
    steps: int,
    seed: int,
    exemplars: Exemplars = "own",
    texts: Texts | None = None,
) -> Edit:
    """Return the function that edits the sources of questions.

    Args:
        flow: the models.
        encoders: the frozen ones.
        cache: has the features of the exemplars.
        steps: of sampling.
        seed: of the noise, which is each question's own.
        exemplars: what is shown.
        texts: gives the questions' texts; zeros without.
    """
    config = flow.transformer.config
    given = texts or EmptyTexts(config["joint_attention_dim"], config["pooled_projection_dim"])
    return _Editing(flow, encoders, cache, steps, seed, exemplars, given)


@dataclass(frozen=True)
class _Editing:
    flow: RelationFlow
    encoders: FrozenEncoders
    cache: PictureCache
    steps: int
    seed: int
    exemplars: Exemplars
    texts: Texts

    @torch.no_grad()
    def __call__(self, questions: Sequence[Question], source: torch.Tensor) -> torch.Tensor:
        """Edit the questions' sources, latents (B, 16, rows, columns), to pictures."""
        noise = torch.stack([self._noise(question, source.shape[1:]) for question in questions])
        rows, columns = token_grid(noise)
        latents = sample(
            self.flow.transformer,
            Prompt(*self.texts.encoded([question.text for question in questions])),
            source.to(self._device),
            noise.to(self._device),
            relation_sigmas(self.steps, rows * columns),
            self.flow.guidance,
            self._shown(questions),
        )
        return self.encoders.pictures(latents)

    @property
    def _device(self) -> torch.device:
        return next(self.flow.parameters()).device

    def _noise(self, question: Question, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randn(shape, generator=generator_of(self.seed, question.source, question.target))

    def _shown(self, questions: Sequence[Question]) -> ExemplarAttention | None:
        if self.exemplars == "none":
            return None
        if self.exemplars == "blank":
            white = torch.ones(1, 3, self.encoders.image_size, self.encoders.image_size)
            pooled = self.encoders.pooled(white).expand(len(questions), 2, -1)
        else:
            pairs = [question.exemplar if self.exemplars == "own" else question.wrong for question in questions]
            pooled = self.cache.pooled(np.array(pairs))
        keys, values = self.flow.adapter(pooled.to(self._device))
        return ExemplarAttention(keys, values)
