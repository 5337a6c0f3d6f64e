"""The small model in a real ComfyUI in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch

from comfyui_host.graph import Graph, Node
from comfyui_host.host import Host
from relation_core.pictures.tensors import from_pil
from relation_core.relation.pairs import Pair

from .comfyui import start_comfyui


@dataclass(frozen=True)
class Way:
    """One way to sample."""

    sampler: str
    steps: int
    refresh_every: int = 1
    reuse_8bit: bool = False
    schedule_of: int = 0
    """Side in pixels of the square pictures whose noise levels are taken; 0 for those of the pictures themselves."""

    def __str__(self) -> str:
        every = f", source at 1 in {self.refresh_every}" if self.refresh_every > 1 else ""
        return f"{self.sampler}, {self.steps} steps{every}"


class SmallModel:
    """The small model, its encoders and an empty prompt, as nodes of a graph to go on from."""

    def __init__(self, base: Path) -> None:
        """Start ComfyUI in an empty folder."""
        self.host: Host = start_comfyui(base)
        self.graph = Graph()
        loaded = self.graph.add("LoadSmallRelationModel")
        self.model, self.vae, self.adapter = (loaded[place] for place in range(3))
        self.prompt = self.graph.add("RelationEmptyPrompt", model=self.model)
        self._values = count()

    def value(self, graph: Graph, value: Any) -> Node:
        """Bring a value in, under a name that no other has had: nothing made of it comes from ComfyUI's cache."""
        return self.host.value(graph, f"value {next(self._values)}", value)

    def exemplars(self, graph: Graph, pairs: Sequence[Pair]) -> dict[str, Any]:
        """Bring pairs in: the inputs of a node that makes a relation of them."""
        before, after = (self.value(graph, torch.cat([from_pil(pair[place]) for pair in pairs])) for place in range(2))
        return {"relation_adapter": self.adapter, "before": before, "after": after}

    def encoded(self, graph: Graph, pairs: Sequence[Pair]) -> Node:
        """Add a relation that pairs show."""
        return graph.add("RelationExemplarEncode", **self.exemplars(graph, pairs), fit="pad", weight=1.0)

    def source(self, graph: Graph, pictures: torch.Tensor) -> Node:
        """Add an encoded batch of sources (B, height, width, 3): conditioning and latent."""
        what = {"conditioning": self.prompt, "vae": self.vae, "image": self.value(graph, pictures), "long_side": 0}
        return graph.add("RelationSourceEncode", **what)

    def edited(self, graph: Graph, relation: Any, source: Node, way: Way, seed: int) -> Node:
        """Add the pictures of an edit, as the workflow try_it_small samples and decodes them."""
        acting = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
        model = graph.add("ApplyRelationAdapter", model=self.model, relation=relation, **acting)
        model = graph.add(
            "RelationSourceReuse", model=model, refresh_every=way.refresh_every, reuse_8bit=way.reuse_8bit
        )
        latent, side = source[1], way.schedule_of
        if side:
            latent = graph.add("EmptyLatentImage", width=side, height=side, batch_size=1)
        sampled = graph.add(
            "SamplerCustomAdvanced",
            noise=graph.add("RandomNoise", noise_seed=self.value(graph, seed)),
            guider=graph.add("BasicGuider", model=model, conditioning=source[0]),
            sampler=graph.add("KSamplerSelect", sampler_name=way.sampler),
            sigmas=graph.add("RelationScheduler", steps=way.steps, latent=latent, denoise=1.0),
            latent_image=source[1],
        )
        return graph.add("VAEDecode", samples=sampled, vae=self.vae)

    def through_autoencoder(self, pictures: torch.Tensor) -> torch.Tensor:
        """Encode pictures and decode them."""
        graph = self.graph.copy()
        encoded = graph.add("VAEEncode", pixels=self.value(graph, pictures), vae=self.vae)
        return self.host.run(graph, pictures=graph.add("VAEDecode", samples=encoded, vae=self.vae))
