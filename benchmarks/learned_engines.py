"""The two ways to learn a relation with the small model, and to edit: the command line's and ComfyUI's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image

from relation_core.pictures.tensors import from_pil, to_pil
from relation_core.relation.learned import Learned
from relation_core.relation.pairs import Pair
from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, STEPS, VISION
from relation_core.tuning.flow import LatentPair
from relation_core.tuning.learner import Learner
from relation_core.tuning.pairs import learned_relation, start_relation
from relation_core.tuning.settings import TuningSettings
from relation_tools.diffusers_host.models import ModelFiles, load_models
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.settings import EditSettings

from .small_model import SmallModel, Way


class Engine(Protocol):
    """Learns and edits."""

    def relation(self, pairs: Sequence[Pair], settings: TuningSettings | None) -> Any:
        """Learn a relation; without settings, encode the pairs."""
        ...

    def edit(self, relation: Any, source: Image.Image, seed: int) -> Image.Image:
        """Edit a picture."""
        ...


class Headless:
    """The engine of ``relation-adapter tune`` and ``edit``."""

    def __init__(self) -> None:
        self._pipeline = RelationPipeline(
            load_models(ModelFiles(FLUX, ADAPTER, VISION, AUTOENCODER), torch.float32), "cpu"
        )
        self._prompt = self._pipeline.prompt("")

    def relation(self, pairs: Sequence[Pair], settings: TuningSettings | None) -> Any:
        """Learn, as ``tune`` does."""
        pipeline = self._pipeline
        if settings is None:
            return pipeline.relation(list(pairs), [1.0] * len(pairs))
        start = start_relation(pipeline.exemplars(list(pairs), "pad"))
        learner = Learner(
            pipeline.predict(self._prompt, settings.guidance),
            pipeline.adapter.weights(),
            pipeline.adapter.config,
            start.tokens,
            start.token_bias(),
            [LatentPair(*(pipeline.latent(picture, 0) for picture in pair)) for pair in pairs],
            [],
            settings,
            pipeline.device,
            pipeline.dtype,
        )
        while not learner.done:
            learner.take_step()
        learner.check_learned()
        origin = Learned(len(pairs), settings.steps, "", FLUX.name)
        return learned_relation(pipeline.adapter, start, learner.tokens, origin, "cpu", torch.float32)

    def edit(self, relation: Any, source: Image.Image, seed: int) -> Image.Image:
        """Edit, as ``edit`` does."""
        settings = EditSettings(steps=STEPS, long_side=0, seed=seed)
        return self._pipeline.edit(relation, source, self._prompt, settings)


class InComfyUI:
    """The nodes, in a real ComfyUI in this process."""

    def __init__(self, base: Path) -> None:
        self._small = SmallModel(base)

    def relation(self, pairs: Sequence[Pair], settings: TuningSettings | None) -> Any:
        """Learn with Tune Relation, or encode with Encode Relation Exemplars."""
        small, graph = self._small, self._small.graph.copy()
        if settings is None:
            return small.host.run(graph, relation=small.encoded(graph, pairs))
        told = {name: getattr(settings, name) for name in ("steps", "learning_rate", "seed", "batch_size")}
        through = {"model": small.model, "vae": small.vae, "conditioning": small.prompt, "long_side": 0}
        return small.host.run(
            graph, relation=graph.add("TuneRelation", **small.exemplars(graph, pairs), **through, **told)
        )

    def edit(self, relation: Any, source: Image.Image, seed: int) -> Image.Image:
        """Edit, as the workflow try_it_small does."""
        small, graph = self._small, self._small.graph.copy()
        edited = small.edited(
            graph, small.value(graph, relation), small.source(graph, from_pil(source)), Way("euler", STEPS), seed
        )
        return to_pil(small.host.run(graph, picture=edited))[0]
