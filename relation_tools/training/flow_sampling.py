"""Edits with the models as they are trained, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
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
"""What an edit is shown: its sample's exemplars, those of another relation, white pictures, or nothing (strength 0)."""


def edit_with(
    flow: RelationFlow,
    encoders: FrozenEncoders,
    cache: PictureCache,
    steps: int,
    seed: int,
    exemplars: Exemplars = "own",
    texts: Texts | None = None,
) -> Edit:
    """Give the function that edits the sources of questions.

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

    @torch.no_grad()
    def edit(questions: Sequence[Question], source: torch.Tensor) -> torch.Tensor:
        device = next(flow.parameters()).device
        shape = source.shape[1:]
        noise = torch.stack([torch.randn(shape, generator=generator_of(seed, q.source, q.target)) for q in questions])
        rows, columns = token_grid(noise)
        latents = sample(
            flow.transformer,
            Prompt(*given.encoded([question.text for question in questions])),
            source.to(device),
            noise.to(device),
            relation_sigmas(steps, rows * columns),
            flow.guidance,
            _shown(questions),
        )
        return encoders.pictures(latents)

    def _shown(questions: Sequence[Question]) -> ExemplarAttention | None:
        if exemplars == "none":
            return None
        if exemplars == "blank":
            white = torch.ones(1, 3, encoders.image_size, encoders.image_size)
            pooled = encoders.pooled(white).expand(len(questions), 2, -1)
        else:
            pairs = [question.exemplar if exemplars == "own" else question.wrong for question in questions]
            pooled = cache.pooled(np.array(pairs))
        keys, values = flow.adapter(pooled.to(next(flow.parameters()).device))
        return ExemplarAttention(keys, values)

    return edit
