"""The accuracy of model files on new painted landscapes, by what was held out of the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Annotated

import numpy as np
import torch
from PIL import Image

from relation_core.flux.schedule import relation_sigmas
from relation_core.pictures.tensors import from_pil
from relation_core.progress import Progress
from relation_core.randomness import generator_of
from relation_core.scenes.painting import paint
from relation_core.scenes.splits import SPLITS, Split
from relation_core.settings import bounds
from relation_core.settings.bounds import COUNT, GUIDANCE, SAMPLING_STEPS, check_settings
from relation_core.vision.exemplar import resize_exemplar, vision_pixels

from ..diffusers_host.attention import ExemplarAttention
from ..diffusers_host.models import ModelFiles
from ..diffusers_host.quantisation import check_quantization
from ..diffusers_host.sampling import Prompt, sample, token_grid
from .flow import RelationFlow
from .flow_sampling import Exemplars
from .landscape_questions import LandscapeQuestion, candidates, degrees_off, draw_questions
from .measuring import SHOWN, load_flow
from .models import FrozenEncoders, load_encoders
from .texts import EmptyTexts

_BATCH = 16
SEED = 1000
"""Seed of relations and landscapes, different from the training's."""


@dataclass(frozen=True)
class LandscapeMeasuring:
    """How the accuracy is measured."""

    questions: Annotated[int, COUNT] = 100
    """Of each split."""
    steps: Annotated[int, SAMPLING_STEPS] = 4
    guidance: Annotated[float, GUIDANCE] = 3.5
    seed: Annotated[int, bounds.SEED] = SEED
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class SplitAccuracy:
    """Answers to the questions of a split."""

    right: dict[Exemplars, float]
    """Share of right results, by what was shown."""
    degrees: float | None
    """Median error of hues and angles, with the right exemplars."""
    families: dict[str, tuple[int, int]]
    """Right results and questions of every family, or composition, with the right exemplars."""


class LandscapeEditor:
    """Edits landscapes, many at a time, with the models as they are trained."""

    def __init__(self, flow: RelationFlow, encoders: FrozenEncoders, options: LandscapeMeasuring) -> None:
        self._flow = flow
        self._encoders = encoders
        self._options = options
        config = flow.transformer.config
        self._texts = EmptyTexts(config["joint_attention_dim"], config["pooled_projection_dim"])

    @torch.no_grad()
    def edit(self, questions: Sequence[LandscapeQuestion], shown: Exemplars) -> np.ndarray:
        """Give the results (B, height, width, 3) of some questions, in [0, 1]."""
        pictures = torch.cat([from_pil(paint(question.source)) for question in questions])
        source = self._encoders.latents(pictures)
        seed = self._options.seed
        noise = [torch.randn(source.shape[1:], generator=generator_of(seed, *q.source.seed)) for q in questions]
        rows, columns = token_grid(source)
        latents = sample(
            self._flow.transformer,
            Prompt(*self._texts.encoded([""] * len(questions))),
            source.to(self._options.device),
            torch.stack(noise).to(self._options.device),
            relation_sigmas(self._options.steps, rows * columns),
            self._flow.guidance,
            self._exemplars(questions, shown),
        )
        return self._encoders.pictures(latents).numpy()

    def _exemplars(self, questions: Sequence[LandscapeQuestion], shown: Exemplars) -> ExemplarAttention | None:
        if shown == "none":
            return None
        if shown == "blank":
            white = Image.new("RGB", (64, 64), "white")
            pairs = [(white, white)] * len(questions)
        else:
            pairs = [q.shown(q.relation if shown == "own" else q.wrong) for q in questions]
        images = [resize_exemplar(picture) for pair in pairs for picture in pair]
        pooled = self._encoders.pooled(vision_pixels(images, self._encoders.image_size))
        keys, values = self._flow.adapter(pooled.unflatten(0, (-1, 2)).to(self._options.device))
        return ExemplarAttention(keys, values)


def measure_landscapes(
    models: ModelFiles, options: LandscapeMeasuring, progress: Progress
) -> dict[Split, SplitAccuracy]:
    """Measure every split with the right exemplars, those of another relation, white pictures, and at strength 0.

    Args:
        models: what is measured; there is no text.
        options: how.
        progress: told of every question.

    Raises:
        CheckpointError: a model file is not what it should be.
        ModelMismatchError: the models do not fit each other.
    """
    check_quantization(models.quantize, models.model, options.device)
    encoders = load_encoders(models.vae or models.model, models.vision_file(), options.device)
    flow = load_flow(models, options.guidance, options.device)
    editor = LandscapeEditor(flow, encoders, options)
    progress.start(len(SPLITS) * options.questions)
    return {
        split: _measure(draw_questions(split, options.questions, options.seed), editor, progress) for split in SPLITS
    }


def _measure(questions: Sequence[LandscapeQuestion], editor: LandscapeEditor, progress: Progress) -> SplitAccuracy:
    right: dict[Exemplars, int] = dict.fromkeys(SHOWN, 0)
    degrees: list[float] = []
    families: dict[str, tuple[int, int]] = {}
    for start in range(0, len(questions), _BATCH):
        part = questions[start : start + _BATCH]
        results = {shown: editor.edit(part, shown) for shown in SHOWN}
        for place, question in enumerate(part):
            possible = candidates(question)
            answers: dict[Exemplars, bool] = {shown: possible.is_right(results[shown][place]) for shown in SHOWN}
            for shown, answer in answers.items():
                right[shown] += answer
            off = degrees_off(question, results["own"][place])
            degrees += [off] if off is not None else []
            name = "+".join(question.relation.families)
            done, asked = families.get(name, (0, 0))
            families[name] = (done + answers["own"], asked + 1)
            progress.step()
    shares: dict[Exemplars, float] = {shown: count / len(questions) for shown, count in right.items()}
    return SplitAccuracy(shares, median(degrees) if degrees else None, families)
