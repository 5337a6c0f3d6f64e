"""Which relation a result shows."""

from __future__ import annotations

import torch

from relation_core.pictures.tensors import from_pil
from relation_tools.drawn_scenes.drawing import draw
from relation_tools.drawn_scenes.examples import SEED
from relation_tools.drawn_scenes.relations import ALL
from relation_tools.drawn_scenes.scene import quiet_scene

UNTOUCHED = "the source itself"


def nearest_edit(result: torch.Tensor, source: int) -> str:
    """The relation whose target for an example's source is nearest to a result (64, 64, 3), by mean squared error."""
    scene = quiet_scene(SEED, source)
    pictures = {relation.name: relation.edit(scene) for relation in ALL} | {UNTOUCHED: draw(scene)}
    errors = {name: float((from_pil(picture)[0] - result).square().mean()) for name, picture in pictures.items()}
    return min(errors, key=errors.__getitem__)
