"""How far fast ways to sample are from the converged edit, with the small model: ``python -m benchmarks.recipes``.

Every edit that the small model was trained on is sampled with the same noise in every way. A way's distance is the root
of the mean squared error of its decoded pictures to the converged ones, 128 Euler steps with the source computed at
each. The table shows it as PSNR, and as a multiple of the distance of the authors' way, 24 Euler steps.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from math import log10
from pathlib import Path

import torch

from comfyui_host.graph import Graph, Node
from relation_core.scenes.relations import TRAINED
from relation_core.settings.bounds import SAMPLING_STEPS
from relation_tools.commands.number_option import NumberOption

from .comfyui import start_comfyui

SCENES = 2
"""Scenes an edit."""
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


CONVERGED, AUTHORS = Way("euler", 128), Way("euler", 24)
SAMPLERS = ("euler", "dpmpp_2m", "uni_pc", "res_multistep", "heun")
STEPS = (24, 16, 13, 10, 7)
REFRESHES = (1, 3)
"""The last step is refreshed, too, where it is a multiple of this behind the first: after 16, 13, 10 and 7 steps."""


class SmallEdits:
    """The small model's edits in a real ComfyUI in this process."""

    def __init__(self, base: Path) -> None:
        self._host = start_comfyui(base)
        self._graph = Graph()
        add = self._graph.add
        small = add("LoadSmallRelationModel")
        self._model, self._vae, adapter = (small[place] for place in range(3))
        prompt = add("RelationEmptyPrompt", model=self._model)
        self._edits: list[tuple[Node, Node]] = []
        """Every edit's relation and encoded source."""
        for edit in TRAINED:
            for scene in range(_FIRST_SCENE, _FIRST_SCENE + SCENES):
                shown = add("RelationExample", edit=edit.name, exemplar_scene=scene, source_scene=scene + SCENES)
                pair = {"before": shown[0], "after": shown[1], "fit": "pad", "weight": 1.0}
                relation = add("RelationExemplarEncode", relation_adapter=adapter, **pair)
                picture = {"vae": self._vae, "image": shown[2], "long_side": 0}
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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("--samplers", nargs="+", default=SAMPLERS, help="names that ComfyUI knows")
    parser.add_argument("--steps", nargs="+", type=NumberOption(SAMPLING_STEPS), default=STEPS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recipes-") as folder:
        edits = SmallEdits(Path(folder) / "comfyui")
        converged = edits.pictures(CONVERGED)
        authors = _distance(edits.pictures(AUTHORS), converged)
        sys.stdout.write("| way | PSNR, dB | distance, authors' = 1 |\n| --- | --- | --- |\n")
        for sampler in options.samplers:
            for steps in options.steps:
                for refresh_every in REFRESHES:
                    way = Way(sampler, steps, refresh_every)
                    distance = _distance(edits.pictures(way), converged)
                    row = f"| {way} | {-20 * log10(distance):.1f} | {distance / authors:.2f} |\n"
                    sys.stdout.write(row)
                    sys.stdout.flush()


def _distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).square().mean().sqrt())


if __name__ == "__main__":
    main()
