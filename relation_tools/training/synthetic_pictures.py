"""An endless stream of pictures of small scenes, edited and unedited, with labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from relation_core.randomness import generator_of
from relation_core.vision.exemplar import resize_exemplar, vision_pixels

from ..drawn_scenes.drawing import draw
from ..drawn_scenes.relations import ALL, LOUD, DrawnEdit
from ..drawn_scenes.scene import quiet_scene

COLOURS = ("none", *LOUD)
_QUIET_SHARE = 0.2
_SCENES = 2**31


@dataclass(frozen=True)
class Pictures:
    """A batch of pictures with labels."""

    images: list[Image.Image]
    kinds: torch.Tensor
    """(B,) indices into :data:`KINDS`."""
    things: torch.Tensor
    """(B,) indices into :data:`COLOURS`, of the loud colour of the things."""
    skies: torch.Tensor
    """(B,) indices into :data:`COLOURS`, of the loud colour of the background."""

    def pixels(self) -> torch.Tensor:
        """(B, 3, height, width) float32 in [0, 1]."""
        arrays = np.stack([np.asarray(image) for image in self.images])
        return torch.from_numpy(arrays).movedim(-1, 1).float().div(255.0)

    def exemplars(self, image_size: int) -> torch.Tensor:
        """(B, 3, side, side) float32 in [-1, 1]: made ready for the vision model as exemplars are."""
        return vision_pixels([resize_exemplar(image) for image in self.images], image_size)


def synthetic_pictures(seed: int, step: int, count: int) -> Pictures:
    """Draw the pictures of one step: random scenes, each with a random relation or none."""
    generator = generator_of(seed, "pictures", step)
    scenes = torch.randint(_SCENES, (count,), generator=generator)
    chosen = torch.randint(len(ALL), (count,), generator=generator)
    quiet = torch.rand(count, generator=generator) < _QUIET_SHARE
    images: list[Image.Image] = []
    shown: list[tuple[int, int, int]] = []
    for number, index, untouched in zip(scenes, chosen, quiet, strict=True):
        scene, relation = quiet_scene(seed, int(number)), ALL[int(index)]
        images.append(draw(scene) if untouched else relation.edit(scene))
        shown.append((0, 0, 0) if untouched else _shown(relation))
    kinds, things, skies = torch.tensor(shown).unbind(1)
    return Pictures(images, kinds, things, skies)


def _kind(relation: DrawnEdit) -> str:
    return relation.name if relation.kind == "shape" else relation.kind


KINDS = ("quiet", *dict.fromkeys(_kind(relation) for relation in ALL))
"""What may have happened to a picture; colours are told apart from it."""


def _shown(relation: DrawnEdit) -> tuple[int, int, int]:
    def colour_of(kind: str) -> int:
        return COLOURS.index(relation.parameter) if relation.kind == kind else 0

    return KINDS.index(_kind(relation)), colour_of("recolour"), colour_of("background")
