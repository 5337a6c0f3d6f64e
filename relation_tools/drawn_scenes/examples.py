"""Pictures that show a relation: scenes before and after it."""

from __future__ import annotations

from PIL import Image

from relation_core.errors import DatasetError

from .drawing import draw
from .relations import ALL
from .scene import quiet_scene
from .unseen import UNSEEN

SEED = 1000
"""Of the examples' scenes. Models are trained on others, unless their commands are given this seed."""
MAX_SCENE = 2**31 - 1


def draw_pair(name: str, number: int) -> tuple[Image.Image, Image.Image]:
    """Draw a scene before and after an edit, 64x64 pixels in RGB.

    Args:
        name: of the relation.
        number: of the scene. After the last, :data:`MAX_SCENE`, comes the first.

    Raises:
        DatasetError: there is no such relation.
    """
    edits = {relation.name: relation.edit for relation in (*ALL, *UNSEEN)}
    if name not in edits:
        raise DatasetError(f"There is no relation '{name}'. Expected one of: {', '.join(edits)}.")
    scene = quiet_scene(SEED, number % (MAX_SCENE + 1))
    return draw(scene), edits[name](scene)
