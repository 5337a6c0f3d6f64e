"""Scenes and relations: the same each time, easily seen, and told apart from what was before."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

from relation_tools.drawn_scenes.drawing import OUTLINES, draw
from relation_tools.drawn_scenes.relations import ALL, HELD_OUT, LOUD, LOUD_SHAPES, TRAINED, DrawnEdit
from relation_tools.drawn_scenes.scene import QUIET_SHAPES, SIDE, quiet_scene

SCENES = range(40)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def test_the_same_seed_draws_the_same_pictures() -> None:
    first, again = quiet_scene(3, 7), quiet_scene(3, 7)
    assert first == again
    for relation in ALL:
        assert relation.edit(first).tobytes() == relation.edit(again).tobytes()
    assert len({sha256(draw(quiet_scene(3, index)).tobytes()).digest() for index in SCENES}) == len(SCENES)
    assert draw(quiet_scene(3, 7)).tobytes() != draw(quiet_scene(4, 7)).tobytes()


def test_scenes_do_not_change_from_version_to_version() -> None:
    """A model is trained on them: its figures hold for these scenes only."""
    scene = quiet_scene(0, 0)
    things = [(thing.shape, thing.colour, round(thing.x, 2), round(thing.radius, 2)) for thing in scene.things]
    assert scene.sky == (218, 206, 232)
    assert things == [("square", (114, 77, 107), 17.92, 11.82), ("circle", (112, 65, 110), 45.13, 12.09)]


@pytest.mark.parametrize("relation", ALL, ids=lambda relation: relation.name)
def test_every_relation_is_visible(relation: DrawnEdit) -> None:
    for index in SCENES:
        scene = quiet_scene(1, index)
        before, after = pixels(draw(scene)), pixels(relation.edit(scene))
        assert after.shape == before.shape == (SIDE, SIDE, 3)
        changed = (np.abs(after - before).max(axis=2) > 32).mean()
        assert changed >= 0.05, f"scene {index}: {changed:.3f} of the pixels"


def test_no_two_relations_make_the_same_of_a_scene() -> None:
    for index in SCENES:
        scene = quiet_scene(2, index)
        pictures = [draw(scene), *(relation.edit(scene) for relation in ALL)]
        made = np.stack([np.asarray(picture).ravel().astype(float) for picture in pictures])
        squares = (made**2).sum(axis=1)
        apart = (squares[:, None] + squares - 2 * made @ made.T) / made.shape[1]
        np.fill_diagonal(apart, np.inf)
        assert apart.min() > 50


def test_quiet_scenes_show_nothing_that_a_relation_makes() -> None:
    assert not set(QUIET_SHAPES) & set(LOUD_SHAPES)
    assert set(QUIET_SHAPES) | set(LOUD_SHAPES) == OUTLINES.keys()
    loud = np.array(list(LOUD.values()))
    for index in SCENES:
        scene = quiet_scene(5, index)
        colours = pixels(draw(scene)).reshape(-1, 1, 3)
        sun = np.abs(colours - (236, 178, 72)).max(axis=2) < 60  # amber, and its soft edge
        distance = np.abs(colours - loud).max(axis=2).min(axis=1)
        assert (distance[~sun[:, 0]] > 40).all()
        assert scene.things and not scene.framed and not any(thing.hollow for thing in scene.things)


def test_held_out_combinations_are_never_trained() -> None:
    names = {relation.name for relation in TRAINED}
    assert not names & set(HELD_OUT)
    assert names | set(HELD_OUT) == {relation.name for relation in ALL}
    assert len({relation.name for relation in ALL}) == len(ALL)
    for name in HELD_OUT:  # each half of the combination is trained with others
        kind, parameter = name.split("_")
        assert any(relation.kind == kind for relation in TRAINED)
        assert any(relation.parameter == parameter for relation in TRAINED)
