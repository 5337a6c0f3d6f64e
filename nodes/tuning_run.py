"""Learning a relation inside ComfyUI: steps, progress and previews."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.utils
import torch
from PIL import Image

from ..relation_core.adapter.adapter import RelationAdapter
from ..relation_core.pictures.tensors import preview_pil
from ..relation_core.randomness import generator_of
from ..relation_core.tuning.flow import LatentPair, draw_edit
from ..relation_core.tuning.learner import Learner
from ..relation_core.tuning.pairs import Start
from ..relation_core.tuning.settings import TuningSettings
from .tuning_model import HostPredict, learning_model

_PREVIEW_EVERY, _PREVIEW_STEPS, _PREVIEW_SIDE = 25, 6, 512


@dataclass(frozen=True)
class LearnedTokens:
    """The result of learning."""

    tokens: torch.Tensor
    """(P, 2N, D) float32 on the CPU."""
    losses: list[float]
    """Of every step."""


def learn(
    model: Any,
    vae: Any,
    conditioning: list[Any],
    adapter: RelationAdapter,
    start: Start,
    pairs: list[LatentPair],
    settings: TuningSettings,
) -> LearnedTokens:
    """Learn tokens through a model (a ``ModelPatcher``), which is not changed.

    Raises:
        TuningError: the conditioning is not a plain prompt, or the loss diverges.
        ModelMismatchError: the model does not call the hooks.
    """
    bar = comfy.utils.ProgressBar(settings.steps)
    dtype = model.model.get_dtype_inference()
    tokens = start.tokens.shape[0] * start.tokens.shape[1]
    with learning_model(model, conditioning, pairs, tokens, settings.batch_size) as predict:
        learner = Learner(
            predict,
            adapter.weights(),
            adapter.config,
            start.tokens,
            start.token_bias(),
            pairs,
            [],
            settings,
            predict.device,
            dtype,
        )
        while not learner.done:
            learner.take_step()
            shown = None
            if learner.step % _PREVIEW_EVERY == 0 and not learner.done:
                shown = ("JPEG", _preview(predict, learner, vae, pairs[0], settings.seed), _PREVIEW_SIDE)
            bar.update_absolute(learner.step, settings.steps, shown)
        learner.check_learned()
        return LearnedTokens(learner.tokens, learner.losses)


@torch.inference_mode()
def _preview(predict: HostPredict, learner: Learner, vae: Any, pair: LatentPair, seed: int) -> Image.Image:
    """Edit the first pair's picture with the tokens learned so far."""
    source = pair.source[None].to(predict.device)
    noise = torch.randn(source.shape, generator=generator_of(seed, "preview")).to(predict.device)
    latent = draw_edit(predict, source, noise, _PREVIEW_STEPS, learner.attended())
    picture = vae.decode(predict.patcher.model.process_latent_out(latent))
    predict.load()  # the autoencoder may have displaced it
    return preview_pil(picture)[0]
