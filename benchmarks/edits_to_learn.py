"""Edits of drawn scenes to learn relations from, and the verdict on what was learned.

Pairs come from some scenes, verdicts from others. A result is right if it is nearest, by mean squared error, to its
true target among 31 pictures of one scene: 24 edits that the model knows, 6 that it never saw, and the scene.
"""

from __future__ import annotations

from PIL import Image

from relation_core.pictures.tensors import from_pil
from relation_core.relation.pairs import Pair
from relation_tools.drawn_scenes.examples import draw_pair
from relation_tools.drawn_scenes.relations import ALL
from relation_tools.drawn_scenes.unseen import UNSEEN

LEARNED_FROM, JUDGED_BY = 500, 4000
"""Numbers of the first scenes to learn from and to judge by."""
REVERSED = ", reversed"
"""Ends the name of an edit that is learned from (A', A)."""
TO = " to "
"""Stands between two edits, the first of which leads to pictures before, the second to those after."""
_SCENE = "the scene itself"


def ends_of(name: str) -> tuple[str, str]:
    """What the pictures before and after show: an edit of a scene, or the scene itself."""
    start, _, end = name.removesuffix(REVERSED).rpartition(TO)
    first = start or _SCENE
    return (end, first) if name.endswith(REVERSED) else (first, end)


def pair_of(name: str, index: int) -> Pair:
    """A scene before and after an edit; after and before it, where the name says that it is reversed."""
    before, after = (_picture(end, index) for end in ends_of(name))
    return before, after


def _picture(end: str, index: int) -> Image.Image:
    return draw_pair("blur", index)[0] if end == _SCENE else draw_pair(end, index)[1]


def pairs_to_learn(name: str, count: int) -> list[Pair]:
    """Pairs to learn an edit from."""
    return [pair_of(name, LEARNED_FROM + number) for number in range(count)]


def nearest(index: int, result: Image.Image) -> str:
    """What a result for a scene is nearest to: an edit of it, or the scene itself."""
    found = from_pil(result)
    pictures = {end: _picture(end, index) for end in (*(edit.name for edit in (*ALL, *UNSEEN)), _SCENE)}
    errors = {name: float((from_pil(picture) - found).square().mean()) for name, picture in pictures.items()}
    return min(errors, key=errors.__getitem__)


def is_right(name: str, index: int, result: Image.Image) -> bool:
    """Whether a result for the first picture of :func:`pair_of` is nearest to the second."""
    return nearest(index, result) == ends_of(name)[1]
