"""Learning a relation with the small model, with every part open to variation."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image, ImageOps
from small_edits import SmallEdit

from comfyui_host.graph import Node
from relation_core.pictures.tensors import from_pil
from relation_core.scenes.drawing import draw
from relation_core.scenes.examples import SEED
from relation_core.scenes.relations import ALL
from relation_core.scenes.scene import quiet_scene

LEARNED_FROM, UNSEEN = 500, 4000
"""Numbers of the first scenes to learn from and to judge by."""


def sepia(picture: Image.Image) -> Image.Image:
    return ImageOps.colorize(ImageOps.grayscale(picture), (30, 10, 0), (255, 235, 190))


def grey(picture: Image.Image) -> Image.Image:
    return ImageOps.grayscale(picture).convert("RGB")


def posterised(picture: Image.Image) -> Image.Image:
    return ImageOps.posterize(picture, 1)


def half_dark(picture: Image.Image) -> Image.Image:
    result = picture.copy()
    box = (0, picture.height // 2, picture.width, picture.height)
    result.paste(picture.crop(box).point(lambda value: int(0.3 * value)), box)
    return result


def swapped(picture: Image.Image) -> Image.Image:
    red, green, blue = picture.split()
    return Image.merge("RGB", (blue, green, red))


def pixelated(picture: Image.Image) -> Image.Image:
    small = picture.resize((8, 8), Image.Resampling.BOX)
    return small.resize(picture.size, Image.Resampling.NEAREST)


UNSEEN_EDITS = {
    "sepia": sepia,
    "grey": grey,
    "one-bit posterise": posterised,
    "lower half dark": half_dark,
    "red and blue swapped": swapped,
    "pixelate": pixelated,
}
"""Edits that nothing of the small model was trained on."""


def scene(index: int) -> Image.Image:
    return draw(quiet_scene(SEED, index))


class Tuning(SmallEdit):
    """Pairs of an edit that the small model never saw, and a node that learns it."""

    def __init__(self, host: Any, edit: str = "sepia", pairs: int = 4) -> None:
        super().__init__(host, "mirror", 4, 5)
        self.name = edit
        scenes = [scene(LEARNED_FROM + number) for number in range(pairs)]
        self.before = torch.cat([from_pil(picture) for picture in scenes])
        self.after = torch.cat([from_pil(UNSEEN_EDITS[edit](picture)) for picture in scenes])
        self.small_adapter = [self.plain[0], 2]

    def tuned(self, **inputs: Any) -> Node:
        defaults: dict[str, Any] = {
            "model": self.plain,
            "relation_adapter": self.small_adapter,
            "vae": self.vae,
            "conditioning": self.prompt,
            "before": self.value(self.before) if "before" not in inputs else None,
            "after": self.value(self.after) if "after" not in inputs else None,
            "steps": 3,
            "learning_rate": 0.15,
            "seed": 0,
            "long_side": 0,
        }
        return self.graph.add("TuneRelation", **{**defaults, **inputs})

    def right(self, relation: Node, count: int = 24) -> float:
        """The share of scenes that were not learned from whose result is nearest to its true target."""
        right = 0
        model = self.apply(self.plain, relation, strength=1.0)
        for index in range(UNSEEN, UNSEEN + count):
            source, known = scene(index), quiet_scene(SEED, index)
            targets = {shown.name: shown.edit(known) for shown in ALL}
            targets |= {name: edit(source) for name, edit in UNSEEN_EDITS.items()} | {"the source itself": source}
            encoded = self.encoded(self.prompt, self.value(from_pil(source)))
            sampled = self.sampled(model, encoded[0], encoded[1], seed=index)
            result = self.run(self.graph.add("VAEDecode", samples=sampled, vae=self.vae))
            errors = {name: float((from_pil(target) - result).square().mean()) for name, target in targets.items()}
            right += min(errors, key=errors.__getitem__) == self.name
        return right / count
