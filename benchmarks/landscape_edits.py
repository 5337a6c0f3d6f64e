"""Edits of landscapes to learn relations from, and the verdict on their results.

Pairs come from some landscapes, verdicts from others. A result is right if it is nearer, by mean squared error, to its
true target than to every look-alike: near misses of the edit, the landscape itself, and what was to be edited. An edit
of a kind that no family has is also held against the family that is most like it and the other new kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageOps

from relation_core.relation.pairs import Pair
from relation_core.scenes.examples import SEED, example_scene
from relation_core.scenes.landscape import Landscape
from relation_core.scenes.named_edits import EDITS, UNSEEN, edit_named
from relation_core.scenes.near_misses import near_misses
from relation_core.scenes.painting import paint
from relation_core.scenes.relation import PaintedEdit, Step, relation_of
from relation_tools.training.landscape_questions import Candidates, candidates_among

LEARNED_FROM, JUDGED_BY = 500, 4000
"""Numbers of the first landscapes to learn from and to judge by."""
REVERSED = ", reversed"
"""Ends the name of an edit that is learned from (A', A)."""
TO = " to "
"""Stands between two edits, the first of which leads to pictures before, the second to those after."""
_CENTRE, _FALLOFF = 1.15, 0.75
"""Light at the centre, of which no more than 1 is seen, and how much of it is lost at the middle of each side."""
_STRIPE = 4
"""Pixels of a stripe's height, a quarter of the way from one stripe to the next."""
_KEPT = 32
"""Look-alikes of so many landscapes are kept, 9 MB of each."""


@dataclass(frozen=True)
class NewKind:
    """An edit of finished pictures of a kind that no family has."""

    likest: PaintedEdit
    """What a trained family does that is most like it."""
    change: Callable[[Image.Image], Image.Image]

    def apply(self, scene: Landscape) -> Image.Image:
        """Paint the edited landscape."""
        return self.change(paint(scene))


def _posterised(picture: Image.Image) -> Image.Image:
    return ImageOps.posterize(picture, 1)


def _half_inverted(picture: Image.Image) -> Image.Image:
    result = picture.copy()
    box = (0, picture.height // 2, picture.width, picture.height)
    result.paste(ImageChops.invert(picture.crop(box)), box)
    return result


def _with_dark_corners(picture: Image.Image) -> Image.Image:
    down, across = np.mgrid[-1 : 1 : picture.height * 1j, -1 : 1 : picture.width * 1j]
    light = np.clip(_CENTRE - _FALLOFF * (down**2 + across**2), 0, 1)
    return Image.fromarray((np.asarray(picture) * light[..., None] + 0.5).astype(np.uint8))


def _striped(picture: Image.Image) -> Image.Image:
    dark = np.asarray(picture).copy()
    in_stripe = np.arange(picture.height) // _STRIPE % 4 == 0
    dark[in_stripe] = dark[in_stripe] // 4
    return Image.fromarray(dark)


NEW_KINDS: dict[str, NewKind] = {
    "posterise": NewKind(relation_of(Step("contrast", 1.5)), _posterised),
    "invert_lower_half": NewKind(relation_of(Step("invert")), _half_inverted),
    "dark_corners": NewKind(relation_of(Step("time", 0.6)), _with_dark_corners),
    "stripes": NewKind(relation_of(Step("rain")), _striped),
}
"""Chosen because no result of theirs was right before something was learned: 4 pairs encoded, 12 landscapes each."""
HELD_OUT = tuple(f"{name}{UNSEEN}" for name in ("sepia", "pencil", "boat"))
"""Families that were held out of the training."""
NEVER_SEEN = (*HELD_OUT, *NEW_KINDS)
"""Edits that nothing of the small model was trained on."""
TRAINED = tuple(name for name in EDITS if not name.endswith(UNSEEN))
"""Named edits that the small model was trained on."""


def pair_of(name: str, index: int) -> Pair:
    """A landscape before and after an edit; after and before it, where the name says that it is reversed."""
    scene = _scene_of(name, index)
    before, after = (_painted(end, scene) for end in _ends_of(name))
    return before, after


def pairs_to_learn(name: str, count: int) -> list[Pair]:
    """Pairs to learn an edit from."""
    return [pair_of(name, LEARNED_FROM + number) for number in range(count)]


def is_right(name: str, index: int, result: Image.Image) -> bool:
    """Whether a result for the first picture of :func:`pair_of` is nearer to the second than to all look-alikes."""
    return _candidates(name, index).is_right_picture(result)


@lru_cache(maxsize=_KEPT)
def _candidates(name: str, index: int) -> Candidates:
    scene = _scene_of(name, index)
    start, end = _ends_of(name)
    others: dict[str, PaintedEdit | NewKind] = {}
    for edit in _edits_of(name):
        near = edit.likest if isinstance(edit, NewKind) else edit
        others |= {miss.name: miss for miss in near_misses(near, SEED)}
        if isinstance(edit, NewKind):
            others |= {near.name: near, **{new: kind for new, kind in NEW_KINDS.items() if kind != edit}}
    known = [_painted(one, scene) for one in {"", start}]
    return candidates_among(_painted(end, scene), [*known, *(other.apply(scene) for other in others.values())])


def _ends_of(name: str) -> tuple[str, str]:
    """What the pictures before and after show: an edit of a landscape, or nothing, the landscape itself."""
    start, _, end = name.removesuffix(REVERSED).rpartition(TO)
    return (end, start) if name.endswith(REVERSED) else (start, end)


def _edit_of(end: str) -> PaintedEdit | NewKind | None:
    if not end:
        return None
    return NEW_KINDS[end] if end in NEW_KINDS else edit_named(end)


def _edits_of(name: str) -> list[PaintedEdit | NewKind]:
    """The edits that a name names, one or two; that of the pictures after first."""
    return [edit for edit in map(_edit_of, reversed(_ends_of(name))) if edit is not None]


def _scene_of(name: str, index: int) -> Landscape:
    """The landscape of a number; one that the edit can be seen on."""
    edit = _edits_of(name)[0]
    return example_scene(edit.likest if isinstance(edit, NewKind) else edit, index)


def _painted(end: str, scene: Landscape) -> Image.Image:
    edit = _edit_of(end)
    return paint(scene) if edit is None else edit.apply(scene)
