"""The two ways to learn a relation with the model of drawn scenes, and to edit: the command line's and ComfyUI's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image

from comfyui_host.graph import Graph
from relation_core.pictures.tensors import from_pil, to_pil
from relation_core.relation.learned import Learned
from relation_core.relation.pairs import Pair
from relation_core.tuning.flow import LatentPair
from relation_core.tuning.learner import Learner
from relation_core.tuning.pairs import learned_relation, start_relation
from relation_core.tuning.settings import TuningSettings
from relation_tools.diffusers_host.models import ModelFiles, load_models
from relation_tools.diffusers_host.pipeline import RelationPipeline
from relation_tools.diffusers_host.settings import EditSettings

from .comfyui import start_comfyui
from .drawn_scenes.in_comfyui import add_loaders, install
from .drawn_scenes.model import ADAPTER, AUTOENCODER, FLUX, STEPS, VISION


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
        encoded = pipeline.relation(list(pairs), [1.0] * len(pairs))
        if settings is None:
            return encoded
        start = start_relation(encoded)
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
        self._host = start_comfyui(base)
        self._graph = Graph()
        install(self._host)
        self._model, self._vae, self._adapter = add_loaders(self._graph)
        self._prompt = self._graph.add("RelationEmptyPrompt", model=self._model)

    def relation(self, pairs: Sequence[Pair], settings: TuningSettings | None) -> Any:
        """Learn with Tune Relation, or encode with Encode Relation Exemplars."""
        graph = self._graph.copy()
        before, after = (
            self._host.value(graph, name, torch.cat([from_pil(pair[place]) for pair in pairs]))
            for place, name in enumerate(("before", "after"))
        )
        shown = {"relation_adapter": self._adapter, "before": before, "after": after}
        if settings is None:
            node = graph.add("RelationExemplarEncode", **shown, fit="pad", weight=1.0)
        else:
            told = {name: getattr(settings, name) for name in ("steps", "learning_rate", "seed", "batch_size")}
            through = {"model": self._model, "vae": self._vae, "conditioning": self._prompt}
            node = graph.add("TuneRelation", **shown, **through, **told, long_side=0)
        return self._host.run(graph, relation=node)

    def edit(self, relation: Any, source: Image.Image, seed: int) -> Image.Image:
        """Edit, as the workflow try_it_small does."""
        graph = self._graph.copy()
        values = {"relation": relation, "source": from_pil(source)}
        learned, picture = (self._host.value(graph, name, value) for name, value in values.items())
        acting = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
        model = graph.add("ApplyRelationAdapter", model=self._model, relation=learned, **acting)
        source_of = {"conditioning": self._prompt, "vae": self._vae, "image": picture, "long_side": 0}
        encoded = graph.add("RelationSourceEncode", **source_of)
        sampled = graph.add(
            "SamplerCustomAdvanced",
            noise=graph.add("RandomNoise", noise_seed=seed),
            guider=graph.add("BasicGuider", model=model, conditioning=encoded[0]),
            sampler=graph.add("KSamplerSelect", sampler_name="euler"),
            sigmas=graph.add("RelationScheduler", steps=STEPS, latent=encoded[1], denoise=1.0),
            latent_image=encoded[1],
        )
        decoded = graph.add("VAEDecode", samples=sampled, vae=self._vae)
        return to_pil(self._host.run(graph, picture=decoded))[0]
