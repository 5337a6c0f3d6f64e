"""Edits with the small model, with every part open to variation."""

from __future__ import annotations

from typing import Any

from edits import Edit

from comfyui_host.graph import Node
from relation_core.pictures.tensors import from_pil
from relation_core.scenes.examples import draw_example
from relation_core.scenes.small_model import STEPS


class SmallEdit(Edit):
    """One edit of an example's landscape; its latent is 16 x 16, its picture 128 x 128."""

    def __init__(self, host: Any, name: str, exemplar: int, source: int) -> None:
        super().__init__(host)
        example = [self.value(from_pil(picture)) for picture in draw_example(name, exemplar, source)]
        small = self.graph.add("LoadSmallRelationModel")
        self.plain, self.vae, self.small_adapter = (small[index] for index in range(3))
        self.shown = self.relation(example[0], example[1], relation_adapter=self.small_adapter)
        self.picture, self.target = example[2:]
        self.prompt = self.graph.add("RelationEmptyPrompt", model=self.plain)
        self.source = self.encoded(self.prompt)

    def encoded(self, conditioning: Any, image: Any = None, source_scale: float = 1.0) -> Node:
        return self.graph.add(
            "RelationSourceEncode", conditioning=conditioning, vae=self.vae, image=image or self.picture, long_side=0,
            source_scale=source_scale,
        )  # fmt: skip

    def applied(self, **settings: Any) -> Node:
        return self.apply(self.plain, self.shown, **{"strength": 1.0, **settings})

    def sampled(self, model: Any, conditioning: Any, latent: Any = None, seed: int = 0) -> Node:
        add, latent = self.graph.add, latent or self.source[1]
        return add(
            "SamplerCustomAdvanced",
            noise=add("RandomNoise", noise_seed=seed),
            guider=add("BasicGuider", model=model, conditioning=conditioning),
            sampler=add("KSamplerSelect", sampler_name="euler"),
            sigmas=add("RelationScheduler", steps=STEPS, latent=latent, denoise=1.0),
            latent_image=latent,
        )
