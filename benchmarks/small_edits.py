"""Every edit of the model of drawn scenes, sampled in a real ComfyUI in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch

from comfyui_host.graph import Graph, Node
from relation_core.pictures.tensors import from_pil, to_pil
from relation_tools.drawn_scenes.examples import draw_pair
from relation_tools.drawn_scenes.relations import ALL

from .comfyui import start_comfyui
from .drawn_scenes.in_comfyui import add_loaders, install
from .edits_to_learn import is_right

_FIRST_SCENE = 5000
"""Scenes from here on were not trained on."""


@dataclass(frozen=True)
class Way:
    """One way to sample."""

    sampler: str
    steps: int
    refresh_every: int = 1

    def __str__(self) -> str:
        every = f", source every {self.refresh_every}" if self.refresh_every > 1 else ""
        return f"{self.sampler}, {self.steps} steps{every}"


class SmallEdits:
    """The edits of the model of drawn scenes in a real ComfyUI in this process."""

    def __init__(self, base: Path, scenes: int = 1) -> None:
        """Start ComfyUI.

        Args:
            base: an empty folder for it.
            scenes: sources for each edit.
        """
        self._host = start_comfyui(base)
        self._graph = Graph()
        add = self._graph.add
        install(self._host)
        self._model, self._vae, adapter = add_loaders(self._graph)
        prompt = add("RelationEmptyPrompt", model=self._model)
        self._edits: list[tuple[Node, Node]] = []
        """Every edit's relation and encoded source."""
        self.scenes: list[tuple[str, int]] = []
        """Every edit's name, and the number of its source's scene."""
        for edit in ALL:
            for scene in range(_FIRST_SCENE, _FIRST_SCENE + scenes):
                self.scenes.append((edit.name, scene + scenes))
                drawn = (*draw_pair(edit.name, scene), draw_pair(edit.name, scene + scenes)[0])
                before, after, source = (
                    self._host.value(self._graph, f"{edit.name} {scene} {place}", from_pil(picture))
                    for place, picture in enumerate(drawn)
                )
                pair = {"before": before, "after": after, "fit": "pad", "weight": 1.0}
                relation = add("RelationExemplarEncode", relation_adapter=adapter, **pair)
                picture = {"vae": self._vae, "image": source, "long_side": 0}
                self._edits.append((relation, add("RelationSourceEncode", conditioning=prompt, **picture)))

    def pictures(self, way: Way) -> torch.Tensor:
        """Sample all edits in one way: (edits, height, width, 3) in [0, 1]."""
        graph = self._graph.copy()
        sampler = graph.add("KSamplerSelect", sampler_name=way.sampler)
        noise = graph.add("RandomNoise", noise_seed=0)
        acting = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
        decoded = {}
        for number, (relation, source) in enumerate(self._edits):
            model = graph.add("ApplyRelationAdapter", model=self._model, relation=relation, **acting)
            model = graph.add("RelationSourceReuse", model=model, refresh_every=way.refresh_every)
            sampled = graph.add(
                "SamplerCustomAdvanced",
                noise=noise,
                guider=graph.add("BasicGuider", model=model, conditioning=source),
                sampler=sampler,
                sigmas=graph.add("RelationScheduler", steps=way.steps, latent=source[1], denoise=1.0),
                latent_image=source[1],
            )
            decoded[f"picture{number}"] = graph.add("VAEDecode", samples=sampled, vae=self._vae)
        return torch.cat(self._host.run(graph, **decoded))

    def right(self, pictures: torch.Tensor) -> float:
        """The share of pictures, from :meth:`pictures`, that show the right edit."""
        return mean(is_right(*what, picture) for what, picture in zip(self.scenes, to_pil(pictures), strict=True))

    def pairs(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Sources and true targets, as :meth:`pictures` orders and shapes them."""
        pairs = [draw_pair(*what) for what in self.scenes]
        before, after = (torch.cat([from_pil(pair[place]) for pair in pairs]) for place in range(2))
        return before, after

    def through_autoencoder(self, pictures: torch.Tensor) -> torch.Tensor:
        """Encode pictures and decode them."""
        graph = self._graph.copy()
        given = self._host.value(graph, "pictures", pictures)
        encoded = graph.add("VAEEncode", pixels=given, vae=self._vae)
        return self._host.run(graph, pictures=graph.add("VAEDecode", samples=encoded, vae=self._vae))
